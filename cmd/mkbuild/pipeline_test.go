package main

import (
	"crypto/md5"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/sqfs"
	"mkbuild/internal/ui"
)

// pipeline is a checkout with the scripts of examples/ci, a configuration, a lock and the miniature mirror.
type pipeline struct {
	dir string
	env []string
}

func newPipeline(t *testing.T) *pipeline {
	t.Helper()
	testkit.Tool(t, "bash")
	dir, bin := t.TempDir(), t.TempDir()
	prepare(t, dir)
	must(0, os.Symlink(must(os.Executable()), filepath.Join(bin, "mkbuild")))
	p := &pipeline{dir, append(os.Environ(), "HOME="+dir, "PATH="+bin+":"+os.Getenv("PATH"))}
	for _, name := range []string{"nightly.sh", "weekly-update.sh"} {
		b := must(os.ReadFile(filepath.Join("../../examples/ci", name)))
		must(0, os.WriteFile(filepath.Join(dir, name), b, 0o755))
	}
	p.run(t, 0, "mkbuild lock")
	return p
}

// run runs a line of shell in the checkout and returns its output.
func (p *pipeline) run(t *testing.T, status int, line string, env ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "bash", "-c", line)
	c.Dir, c.Env = p.dir, append(p.env[:len(p.env):len(p.env)], env...)
	out, err := c.CombinedOutput()
	got := 0
	if err != nil {
		got = c.ProcessState.ExitCode()
	}
	if got != status {
		t.Fatalf("%s: exit status %d, want %d\n%s", line, got, status, out)
	}
	return string(out)
}

// The miniature does not boot: this tests the pipeline around the boot test, which e2e runs completely.
const bootGood = "BOOT_TEST=test -s"

// replace replaces the content of an existing name on the mirror, like upstream.
func (p *pipeline) replace(t *testing.T, name string) {
	t.Helper()
	file := filepath.Join(p.dir, "mirror/4.x/x86/tcz", name)
	b := sqfs.Image([]sqfs.File{sqfs.Reg("usr/local/bin/lshw", 0o755, "another lshw\n")})
	must(0, os.WriteFile(file, b, 0o644))
	must(0, os.WriteFile(file+".md5.txt", fmt.Appendf(nil, "%x  %s\n", md5.Sum(b), name), 0o644))
}

func (p *pipeline) sums(t *testing.T, out string) string {
	t.Helper()
	p.run(t, 0, "cd "+out+" && sha256sum -c SHA256SUMS")
	return string(must(os.ReadFile(filepath.Join(p.dir, out, "SHA256SUMS"))))
}

func TestNightly(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	must(0, os.Mkdir(filepath.Join(p.dir, "uploaded"), 0o755))
	p.run(t, 0, "mkbuild key new nightly --no-password")
	p.run(t, exitUsage, "./nightly.sh", bootGood, "UPLOAD=cp -t uploaded") // unsigned
	key := "SIGN_KEY=nightly.key"
	p.run(t, exitVerify, "./nightly.sh", bootGood, key, "UPLOAD=cp -t uploaded") // not attested
	p.run(t, 0, "test -z \"$(ls uploaded)\"")
	// The miniature does not boot: a rebuild attests in place of a boot test.
	attests := []string{key, "BOOT_TEST=mkbuild verify --rebuild --cache-dir rebuilt --attest nightly.key", "REQUIRE=reproduced"}
	p.run(t, 0, "./nightly.sh", append(attests, "UPLOAD=cp -t uploaded")...)
	p.run(t, 0, "cd uploaded && mkbuild verify nightly.iso --key ../nightly.pub --lock mkbuild.lock --require reproduced")
	first := p.sums(t, "uploaded")
	for _, name := range []string{"nightly.iso", "nightly.iso.manifest.json", "nightly.iso.minisig", "nightly.iso.intoto.jsonl", "mkbuild.lock"} {
		if !strings.Contains(first, "  "+name+"\n") {
			t.Errorf("%s is not among the results:\n%s", name, first)
		}
	}
	for _, l := range strings.Split(strings.TrimSpace(p.run(t, 0, "cat out/events.jsonl")), "\n") {
		var e struct{ Schema string }
		if err := json.Unmarshal([]byte(l), &e); err != nil || e.Schema != ui.EventsSchema {
			t.Errorf("no event: %s", l)
		}
	}
	p.run(t, 0, "./nightly.sh", attests...)
	if again := p.sums(t, "out"); again != first {
		t.Errorf("another night, other bytes:\n%s\n%s", first, again)
	}
	p.run(t, 0, "./nightly.sh", bootGood)
	first = p.sums(t, "out") // of unsigned nights
	// Upstream changes: the lock decides and reports it, or the night ends, depending on the setting.
	p.replace(t, "lshw.tcz")
	if out := p.run(t, 0, "./nightly.sh", bootGood); !strings.Contains(out, "lshw.tcz") || p.sums(t, "out") != first {
		t.Errorf("upstream has changed a file: the night should say so and build what is locked\n%s", out)
	}
	p.run(t, exitDrift, "./nightly.sh", bootGood, "ON_DRIFT=fail")
	// Upstream is unavailable: locked content is in the cache.
	p.run(t, 0, "cp mkbuild.yaml kept.yaml && sed -i 's#[[]mirror[]]#[http://127.0.0.1:9/]#' mkbuild.yaml")
	if out := p.run(t, 0, "./nightly.sh", bootGood); !strings.Contains(out, "127.0.0.1:9") || p.sums(t, "out") != first {
		t.Errorf("upstream is away: the night should say so and build what is locked\n%s", out)
	}
	p.run(t, exitNetwork, "./nightly.sh", bootGood, "ON_DRIFT=fail")
	p.run(t, 0, "mv kept.yaml mkbuild.yaml")
	// A configuration that differs from the lock ends the night.
	p.run(t, 0, "echo 'extensions: [bash]' >>mkbuild.yaml")
	p.run(t, exitDrift, "./nightly.sh", bootGood)
}

// An image that does not boot gets no checksum and is not published.
func TestNightlyStopsAtTheBootTest(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.run(t, 0, "mkbuild key new n --no-password")
	must(0, os.WriteFile(filepath.Join(p.dir, "no-boot"), []byte("#!/bin/sh\nexit 6\n"), 0o755))
	must(0, os.Mkdir(filepath.Join(p.dir, "uploaded"), 0o755))
	p.run(t, exitBoot, "./nightly.sh", "BOOT_TEST=./no-boot", "SIGN_KEY=n.key", "UPLOAD=cp -t uploaded")
	p.run(t, 0, "test -s out/nightly.iso && ! test -e out/SHA256SUMS && test -z \"$(ls uploaded)\"")
}

func TestWeeklyUpdate(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.run(t, 0, "cp mkbuild.lock first.lock")
	p.run(t, 0, "./weekly-update.sh && cmp mkbuild.lock first.lock && ! test -e lock-diff.txt")
	p.run(t, 0, "./nightly.sh", bootGood)
	first := p.sums(t, "out")
	p.replace(t, "lshw.tcz")
	p.run(t, 0, "./weekly-update.sh", "REVIEW=cp -t .mkbuild-cache")
	if text := p.run(t, 0, "cat .mkbuild-cache/lock-diff.txt"); !strings.Contains(text, "lshw.tcz") || strings.Contains(text, "dmidecode") {
		t.Errorf("the review should name what changed, and that alone:\n%s", text)
	}
	p.run(t, 0, "rm .mkbuild-cache/lock-diff.txt && ./nightly.sh", bootGood, "ON_DRIFT=fail")
	if p.sums(t, "out") == first {
		t.Error("the new lock makes the old image")
	}
}

// shellcheck finds no mistakes in the scripts; the workflows pin their actions and request only the rights that
// they name.
func TestPipelineFiles(t *testing.T) {
	scripts := append(must(filepath.Glob("../../examples/ci/*.sh")), must(filepath.Glob("../../scripts/release*"))...)
	testkit.Run(t, "shellcheck", scripts...)
	uses := regexp.MustCompile(`uses: \S+@(\S+)`)
	for _, name := range must(filepath.Glob("../../examples/ci/*.yml")) {
		text := must(os.ReadFile(name))
		var w struct {
			Permissions map[string]string
			Jobs        map[string]struct{ Steps []map[string]any }
		}
		if err := yaml.Unmarshal(text, &w); err != nil || w.Permissions == nil || len(w.Permissions) > 0 || len(w.Jobs) == 0 {
			t.Errorf("%s: %v, permissions %v", name, err, w.Permissions)
		}
		for _, m := range uses.FindAllSubmatch(text, -1) {
			if len(m[1]) != 40 {
				t.Errorf("%s: %s is not pinned", name, m[0])
			}
		}
	}
}
