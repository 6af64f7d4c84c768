package vfat

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

func TestImageIsReadByOthers(t *testing.T) {
	testkit.Tool(t, "7z")
	testkit.Tool(t, "fsck.fat")
	big := bytes.Repeat([]byte("0123456789abcdef"), 5000) // many clusters, an odd number
	files := map[string][]byte{"EFI/BOOT/BOOTX64.EFI": big, "EFI/BOOT/GRUB.CFG": []byte("set x=1\n"), "README.TXT": []byte("hi\n")}
	b, err := Image(files, 8192)
	testkit.Must(t, err)
	dir := t.TempDir()
	name := filepath.Join(dir, "efi.img")
	testkit.Must(t, os.WriteFile(name, b, 0o644))
	if out := testkit.Run(t, "fsck.fat", "-n", "-v", name); strings.Contains(out, "Fixing") || strings.Contains(out, "Auto") {
		t.Errorf("fsck.fat: %s", out)
	}
	testkit.Run(t, "7z", "x", "-y", "-o"+filepath.Join(dir, "out"), name)
	for path, want := range files {
		got, err := os.ReadFile(filepath.Join(dir, "out", filepath.FromSlash(path)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v, %d bytes, want %d", path, err, len(got), len(want))
		}
	}
	again, err := Image(files, 8192)
	if err != nil || !bytes.Equal(again, b) {
		t.Errorf("the same files give other bytes (%v)", err)
	}
}

func TestImageRefuses(t *testing.T) {
	for name, files := range map[string]map[string][]byte{
		"lower case": {"efi.cfg": nil}, "a long name": {"A/LONGERTHAN8.CFG": nil}, "too large": {"A": make([]byte, 17<<20)},
	} {
		if b, err := Image(files, 0); err == nil || !strings.Contains(err.Error(), "make FAT") {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
}
