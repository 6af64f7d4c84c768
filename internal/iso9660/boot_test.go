package iso9660

import (
	"bufio"
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
)

const bootMarker = "MKBUILD-ISOLINUX-WAS-HERE"

// bootableCore is an image of Tiny Core's shape, hybrid, whose isolinux.cfg says the marker on
// the serial console, as the name of a kernel that it cannot find. It has been read and written, so isolinux lies elsewhere than before.
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

// serial boots a machine and returns what it says until one of the texts, or until the time is up.
func serial(t *testing.T, wait time.Duration, texts []string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	args = append([]string{"-accel", "tcg", "-m", "64", "-display", "none", "-serial", "stdio",
		"-monitor", "none", "-nic", "none", "-no-reboot"}, args...)
	run := exec.CommandContext(ctx, testkit.Tool(t, "qemu-system-i386"), args...)
	out, err := run.StdoutPipe()
	testkit.Must(t, err)
	run.Stderr = run.Stdout // what qemu itself complains about
	testkit.Must(t, run.Start())
	var said strings.Builder
	for s := bufio.NewScanner(out); s.Scan(); {
		said.WriteString(s.Text() + "\n")
		if containsAny(said.String(), texts) {
			break
		}
	}
	cancel()
	_ = run.Wait() // it was killed
	return said.String()
}

func containsAny(s string, texts []string) bool {
	for _, text := range texts {
		if strings.Contains(s, text) {
			return true
		}
	}
	return false
}

// TestBIOSBoots lets a BIOS load isolinux from the image as a CD and as a USB stick. isolinux
// finds the rest of itself by the boot-info-table, and reads isolinux.cfg.
func TestBIOSBoots(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a machine")
	}
	iso := writeISO(t, bootableCore(t))
	for name, args := range map[string][]string{
		"CD":  {"-cdrom", iso, "-boot", "d"},
		"USB": {"-drive", "format=raw,snapshot=on,file=" + iso},
	} {
		t.Run(name, func(t *testing.T) {
			if s := serial(t, 40*time.Second, []string{bootMarker}, args...); !strings.Contains(s, bootMarker) {
				t.Errorf("no marker in %q", s)
			}
		})
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
	if s := serial(t, 4*time.Second, []string{bootMarker}, "-cdrom", iso, "-boot", "d"); strings.Contains(s, bootMarker) {
		t.Errorf("it boots without a fresh boot-info-table: %q", s)
	}
}
