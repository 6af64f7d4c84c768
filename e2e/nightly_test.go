package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

// TestNightlyPipeline runs examples/ci/nightly.sh like a site, with the real boot test of a prod image by CD: a
// first night that fetches everything, and publishes a signed image with an attested boot.
func TestNightlyPipeline(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.quick = true
	dir := t.TempDir()
	f.config(t, dir, with(""))
	script, err := os.ReadFile(filepath.Join(root(t), "examples/ci/nightly.sh"))
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "nightly.sh"), script, 0o755))
	out := ""
	for _, line := range []string{
		"mkbuild lock && mkbuild key new n --no-password && mkdir published",
		`SIGN_KEY=n.key UPLOAD='cp -t published' BOOT_TEST='mkbuild test --attest n.key --memory 768 --check-in --log console.log --expect ^MK.loaded:.v0\.1\.0$ --expect PROBE.done --timeout ` + aLot.String() + `' ./nightly.sh >facts`,
		"cd published && mkbuild verify nightly.iso --key ../n.pub --lock mkbuild.lock --require tested && sha256sum -c SHA256SUMS",
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
	checkProd(t, string(contents(t, filepath.Join(dir, "console.log"))), string(contents(t, filepath.Join(dir, "facts"))))
	if !strings.Contains(out, "nightly.iso: OK") {
		t.Errorf("the image has no checksum:\n%s", out)
	}
}
