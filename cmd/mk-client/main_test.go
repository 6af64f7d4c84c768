package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/mkclient"
	"mkbuild/internal/mkclient/settings"
)

func command(t *testing.T, environ []string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	err = run(t.Context(), args, environ, &out, &errs)
	return out.String(), errs.String(), err
}

func TestHelpListsCommandsAndSettings(t *testing.T) {
	out, _, err := command(t, nil, "--help")
	testkit.Must(t, err)
	for _, want := range []string{"run", "register", "update", "facts", "config", "execute", "version", "Exit status"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing", want)
		}
	}
	for _, row := range settings.Table() {
		if !strings.Contains(out, row.Usage()) {
			t.Errorf("%s is missing", row.Usage())
		}
	}
}

func TestUsageErrors(t *testing.T) {
	for _, args := range [][]string{nil, {"nonsense"}, {"run", "x"}, {"config", "a", "b"}, {"execute"}, {"facts", "--wrong"}, {"update", "now"}} {
		if _, _, err := command(t, nil, args...); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v, want a usage error", args, err)
		}
	}
}

func TestNotRoot(t *testing.T) {
	if got := notRoot(1001, []string{"facts", "--sources"}); !strings.HasSuffix(got, "; use sudo mk-client facts --sources") {
		t.Errorf("%q", got)
	}
	if got := notRoot(0, []string{"register"}) + notRoot(1001, []string{"config", "server"}); got != "" {
		t.Errorf("root, and a command that needs no root, are told: %q", got)
	}
}

func TestConfig(t *testing.T) {
	env := []string{"razor.server=10.0.0.1:8151", "razor.fact.Site=ams1", "razor.interval=never"}
	tests := []struct {
		key, want string
		err       error
	}{
		{"server", "10.0.0.1:8151\n", nil},
		{"RAZOR.Register", "http://10.0.0.1:8151/svc/checkin\n", nil},
		{"extend", "http://10.0.0.1:8151/svc/mk/extension.zip\n", nil},
		{"commands", "/usr/lib/razor\n", nil},
		{"fact.site", "ams1\n", nil},
		{"ca", "\n", errSilent},
		{"nonsense", "\n", errSilent},
	}
	for _, tt := range tests {
		out, stderr, err := command(t, env, "config", tt.key)
		if out != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %q, %v", tt.key, out, err)
		}
		if !strings.Contains(stderr, `razor.interval="never" is ignored`) {
			t.Errorf("no warning about the interval: %q", stderr)
		}
	}
	out, _, err := command(t, env, "config")
	if err != nil || !strings.Contains(out, "razor.interval=15\t# default\n") || !strings.Contains(out, "razor.server=10.0.0.1:8151\t# environment\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestExecuteRefusesPaths(t *testing.T) {
	for _, action := range []string{"/bin/true", "../bin/true", ""} {
		if _, _, err := command(t, nil, "execute", action); !errors.Is(err, mkclient.ErrAction) {
			t.Errorf("%q: %v", action, err)
		}
	}
	if _, _, err := command(t, nil, "execute", "none"); err != nil {
		t.Error(err)
	}
}

// TestImageBuilds checks the requirements of an image: the client is static, for both architectures, and small.
func TestImageBuilds(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the client twice")
	}
	goTool := testkit.Tool(t, "go")
	for _, arch := range []string{"386", "amd64"} {
		bin := filepath.Join(t.TempDir(), "mk-client")
		cmd := exec.CommandContext(t.Context(), goTool, "build", "-trimpath", "-ldflags", "-s -w -X main.version=1.2.3", "-o", bin, ".")
		cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", arch, err, out)
		}
		f, err := elf.Open(bin)
		testkit.Must(t, err)
		defer f.Close()
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
				t.Errorf("%s: not static", arch)
			}
		}
		fi, err := os.Stat(bin)
		if err != nil || fi.Size() > 10<<20 {
			t.Errorf("%s: %d bytes, %v", arch, fi.Size(), err)
		}
		t.Logf("%s: %d bytes", arch, fi.Size())
		if arch != "amd64" && os.Getenv("GOARCH") != arch {
			continue
		}
		if out := testkit.Run(t, bin, "version"); out != "1.2.3\n" {
			t.Errorf("version: %q", out)
		}
	}
}
