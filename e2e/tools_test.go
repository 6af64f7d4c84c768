package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

// fakeApt is a fake apt-get that records its calls. UPDATE and INSTALL are patterns of calls that succeed.
const fakeApt = `#!/bin/sh
echo "$*" >>"$CALLS"
case "$*" in
*" update"*) eval "case \"\$*\" in $UPDATE) exit 0 ;; esac"
	echo "E: Failed to fetch http://deb.example/Packages.xz  File has unexpected size (1 != 2). Mirror sync in progress?" >&2 ;;
*) eval "case \"\$*\" in $INSTALL) exit 0 ;; esac"
	echo "E: Failed to fetch http://deb.example/x.deb  404  Not Found" >&2 ;;
esac
exit 100
`

// TestToolsInstall tests scripts/tools: a suite's index that is out of step with its mirror is only a warning if
// the packages are available. Nothing real is installed.
func TestToolsInstall(t *testing.T) {
	testkit.Tool(t, "bash")
	const none, any = "nothing", "*"
	for _, tc := range []struct {
		name, update, install string
		calls                 string // new lines of each call
		status                int
	}{
		{"all well", any, any, "update install", 0},
		{"a suite out of step, and the packages there", none, any, "update install", 0},
		{"a proxy's old index", "*No-Cache*", "*No-Cache*", "update install No-Cache:update No-Cache:install", 0},
		{"an old index that names what is gone", none, "*Dir::State::Lists=*", "update install No-Cache:update No-Cache:install Lists:update Lists:install", 0},
		{"lists read, and no package", any, none, "update install", 1},
		{"nothing", none, none, "update install No-Cache:update No-Cache:install Lists:update Lists:install", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{
				"apt-get":    fakeApt,
				"dpkg-query": "#!/bin/sh\n[ \"$4\" = strace ] || echo installed\n",
				"sudo":       "#!/bin/sh\nexec \"$@\"\n",
				"tee":        "#!/bin/sh\nexec cat\n", // this and the next two: the policy that keeps services from starting
				"chmod":      "#!/bin/sh\n",
				"rm":         "#!/bin/sh\n",
			} {
				testkit.WriteFile(t, filepath.Join(dir, name), text, 0o755)
			}
			log := filepath.Join(dir, "calls")
			cmd := exec.CommandContext(t.Context(), "bash", filepath.Join(root(t), "scripts", "tools"))
			cmd.Env = append(cmd.Environ(), "PATH="+dir+":/usr/bin:/bin", "TMPDIR="+t.TempDir(), "CALLS="+log, "UPDATE="+tc.update, "INSTALL="+tc.install)
			out, err := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != tc.status {
				t.Errorf("exit status %d, want %d: %v\n%s", got, tc.status, err, out)
			}
			if warned := strings.Contains(string(out), "tools: warning: apt-get update: Failed to fetch"); warned == (tc.update == any) {
				t.Errorf("warned: %v\n%s", warned, out)
			}
			if got := calls(contents(t, log)); got != tc.calls {
				t.Errorf("called %s\nwant %s", got, tc.calls)
			}
		})
	}
}

// calls shortens the log of apt-get's calls.
func calls(log []byte) string {
	var out []string
	for _, line := range strings.Split(strings.TrimSpace(string(log)), "\n") {
		call := "install"
		if strings.HasSuffix(line, " update") {
			call = "update"
		}
		for _, option := range []string{"No-Cache", "Lists"} {
			if strings.Contains(line, option) {
				call = option + ":" + call
			}
		}
		out = append(out, call)
	}
	return strings.Join(out, " ")
}
