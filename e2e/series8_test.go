package e2e

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/qemu"
)

// TestBootSeries8 builds from a mirror over HTTP that lacks mkbuild's default extensions and has modules for two
// kernels, and boots the image. Its ISO's menu has arguments after the kernel, and its base's /tmp belongs to a
// group. Folder listings of the mirror make no difference.
func TestBootSeries8(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.configName, f.args = "mkbuild-8.x.yaml", noClient
	var images []string
	for _, listing := range []bool{true, false} {
		url := testkit.ServeMirror(t, f.mirror, listing)
		images = append(images, f.image(t, func(text string) string {
			return strings.Replace(text, "\n  - "+f.mirror+"\n", "\n  - "+url+"\n", 1)
		}, "--cache-dir", t.TempDir()))
	}
	if !bytes.Equal(contents(t, images[0]), contents(t, images[1])) {
		t.Error("with a listing and without one: other bytes")
	}
	_, log := boot(t, qemu.Machine{CDROM: images[1]})
	wantLines(t, log, "PROBE ok lshw", "PROBE ok util-linux-whole", "PROBE ok own-rubygems", "com1=9600,8n1", "MK loaded: v0.1.0")
}

func contents(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	testkit.Must(t, err)
	return b
}
