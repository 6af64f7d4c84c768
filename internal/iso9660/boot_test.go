package iso9660

import (
	"context"
	"regexp"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/qemu"
)

const bootMarker = "MKBUILD-ISOLINUX-WAS-HERE"

// bootableCore is an image of Tiny Core's shape, hybrid. Its isolinux.cfg prints the marker on the serial console,
// as the name of a missing kernel. It has been read and written, so isolinux has moved.
func bootableCore(t *testing.T) *Image {
	t.Helper()
	dir := coreTree(t)
	ldlinux := debianFile(t, "/usr/lib/syslinux/modules/bios/ldlinux.c32")
	img := openISO(t, mkisofs(t, "xorriso", dir, "-isohybrid-mbr", isolinuxDir+"/isohdpfx.bin"))
	img.Files.Put(regular("boot/isolinux/ldlinux.c32", string(ldlinux)))
	img.Files.Put(regular("boot/isolinux/isolinux.cfg", "serial 0 115200\ndefault x\nprompt 0\nlabel x\nkernel /"+bootMarker+"\n"))
	for _, name := range []string{"x", "y", "z"} {
		img.Files.Put(regular(name+"/moves/the/boot/file", name))
	}
	return img
}

// boots reports whether a machine's console shows the marker.
func boots(t *testing.T, wait time.Duration, m qemu.Machine) bool {
	t.Helper()
	m.Program, m.MemoryMiB = testkit.Tool(t, "qemu-system-i386"), 64
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	vm, err := qemu.Start(ctx, m)
	testkit.Must(t, err)
	defer vm.Stop()
	err = vm.Expect(ctx, regexp.MustCompile(bootMarker))
	t.Logf("%v\n%s", err, vm.Log())
	return err == nil
}

// TestBIOSBoots boots isolinux with a BIOS from the image as a CD and as a USB stick. isolinux finds the rest of
// itself through the boot-info-table, and reads isolinux.cfg.
func TestBIOSBoots(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a machine")
	}
	iso := writeISO(t, bootableCore(t))
	for _, m := range []qemu.Machine{{CDROM: iso}, {Stick: iso}} {
		if !boots(t, testkit.Patience, m) {
			t.Errorf("%+v does not boot", m)
		}
	}
}

// TestBIOSNeedsInfoTable is the negative control: the same image with the table of the source.
func TestBIOSNeedsInfoTable(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a machine")
	}
	img := bootableCore(t)
	img.Boot[0].InfoTable = false
	iso := writeISO(t, img)
	if boots(t, 4*time.Second, qemu.Machine{CDROM: iso}) {
		t.Error("it boots without a fresh boot-info-table")
	}
}
