package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/qemu"
)

// firmware is Debian's UEFI firmware for QEMU (package ovmf).
const firmware = "/usr/share/ovmf/OVMF.fd"

// TestBootUEFIFromAStick boots a prod image of the 64-bit series with UEFI from a USB stick: its source is a hybrid
// with an EFI image. mkbuild customize put the kernel arguments into the menu inside that image.
func TestBootUEFIFromAStick(t *testing.T) {
	testkit.Tool(t, "qemu-system-x86_64")
	t.Parallel()
	f := setup(t)
	if _, err := os.Stat(firmware); err != nil {
		testkit.Tool(t, firmware)
	}
	f.configName, f.args = "mkbuild-x86_64.yaml", noClient
	built, image := f.image(t, with("")), filepath.Join(t.TempDir(), "site.iso")
	if out, stderr, err := f.run(t, "customize", built, "-o", image, "--append", "razor.site=ams1"); err != nil || out != image+"\n" {
		t.Fatalf("%q, %v\n%s", out, err, stderr)
	}
	_, log := boot(t, qemu.Machine{Program: "qemu-system-x86_64", MemoryMiB: 768, Stick: image, Firmware: firmware})
	wantLines(t, log, "PROBE firmware UEFI, arguments: ", bootArgs+noClient+" razor.site=ams1\n", "PROBE sshd not running; installed: no", "MK loaded: v0.1.0",
		"PROBE ok util-linux-whole", "PROBE ok own-rubygems", "PROBE ok no-mcollective", "PROBE console 0 login lines")
}

// TestBoot64BitSeries boots the same image with BIOS until its userland is up: its boot menu has several labels and
// INITRD lines. TestBootUEFIFromAStick tests the image's content.
func TestBoot64BitSeries(t *testing.T) {
	testkit.Tool(t, "qemu-system-x86_64")
	t.Parallel()
	f := setup(t)
	f.configName, f.args = "mkbuild-x86_64.yaml", noClient
	start(t, qemu.Machine{Program: "qemu-system-x86_64", CDROM: f.image(t, with(""))}, "PROBE firmware BIOS")
}
