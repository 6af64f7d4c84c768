package e2e

import (
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/qemu"
)

// TestBootModernLine boots a prod image of the 64-bit line by BIOS: its boot menu has several labels and
// INITRD lines, and the set of extensions and gems is the release's own.
func TestBootModernLine(t *testing.T) {
	testkit.Tool(t, "qemu-system-x86_64")
	f := setup(t)
	f.config64 = true
	_, log := boot(t, qemu.Machine{Program: "qemu-system-x86_64", CDROM: f.image(t, with(""))})
	wantLines(t, log, "PROBE ok util-linux-whole", "PROBE ok own-rubygems", "PROBE ok no-mcollective", "PROBE sshd not running; installed: no", "PROBE console 0 login lines", "MK loaded: v0.1.0")
}
