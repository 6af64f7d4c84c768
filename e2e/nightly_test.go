package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

// TestNightlyPipeline runs examples/ci/nightly.sh as a site would, with the real boot test: a first
// night that fetches everything.
func TestNightlyPipeline(t *testing.T) {
	f := setup(t)
	dir := t.TempDir()
	f.config(t, dir, with(""))
	script, err := os.ReadFile(filepath.Join(root(t), "examples/ci/nightly.sh"))
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "nightly.sh"), script, 0o755))
	out := ""
	for _, line := range []string{
		"mkbuild lock",
		"BOOT_TEST='mkbuild test --memory 768 --timeout " + bootTime.String() + "' ./nightly.sh",
		"cd out && sha256sum -c SHA256SUMS",
	} {
		c := exec.CommandContext(t.Context(), "bash", "-c", line)
		c.Dir = dir
		c.Env = append(os.Environ(), "PATH="+filepath.Dir(f.mkbuild)+":"+os.Getenv("PATH"), "XDG_CACHE_HOME="+filepath.Join(f.dir, "xdg-cache"))
		b, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, b)
		}
		out = string(b)
	}
	if !strings.Contains(out, "nightly.iso: OK") {
		t.Errorf("the image has no checksum:\n%s", out)
	}
}
