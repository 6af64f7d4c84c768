package iso9660

import (
	"os"
	"path/filepath"
	"testing"

	"mkbuild/e2e/testkit"
)

// TestTableOfALaterSession: xorriso, changing an ISO in place, writes another descriptor's sector into the
// boot-info-table. It is still recognized, and our image has a correct table.
func TestTableOfALaterSession(t *testing.T) {
	t.Parallel()
	xorriso := testkit.Tool(t, "xorriso")
	dir := t.TempDir()
	loader := make([]byte, 24576)
	for i := range loader {
		loader[i] = byte(i * 7)
	}
	testkit.Must(t, os.Mkdir(filepath.Join(dir, "boot"), 0o755))
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "boot", "isolinux.bin"), loader, 0o644))
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "n.txt"), []byte("n"), 0o644))
	name := filepath.Join(t.TempDir(), "x.iso")
	testkit.Run(t, xorriso, "-as", "mkisofs", "-quiet", "-R", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "-b", "boot/isolinux.bin", "-c", "boot/boot.cat", "-o", "stdio:"+name, dir)
	testkit.Run(t, xorriso, "-dev", "stdio:"+name, "-boot_image", "isolinux", "patch", "-map", filepath.Join(dir, "n.txt"), "/later.txt", "-commit")
	f, err := os.Open(name)
	testkit.Must(t, err)
	defer f.Close()
	info, err := f.Stat()
	testkit.Must(t, err)
	img, err := Open(f, info.Size())
	testkit.Must(t, err)
	if img.Files.Get("later.txt") == nil || len(img.Boot) != 1 || !img.Boot[0].InfoTable {
		t.Fatalf("boot entries %+v", img.Boot)
	}
	if wrong, err := img.CheckTables(&img.Boot[0]); wrong != "" || err != nil {
		t.Errorf("the source: %s, %v", wrong, err)
	}
}
