package iso9660

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"

	"mkbuild/internal/overlay"
)

const isolinuxDir = "/usr/lib/ISOLINUX"

// coreArgs are the mkisofs options in Tiny Core's own documentation.
var coreArgs = []string{
	"-l", "-J", "-R", "-V", "TC-custom", "-no-emul-boot", "-boot-load-size", "4",
	"-boot-info-table", "-b", "boot/isolinux/isolinux.bin", "-c", "boot/isolinux/boot.cat",
}

// debianFile reads a file of the isolinux and syslinux packages, under testkit's rule for tools.
func debianFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		return b
	}
	if os.Getenv("MKBUILD_REQUIRE_TOOLS") == "1" {
		t.Fatalf("required here (MKBUILD_REQUIRE_TOOLS=1): %v", err)
	}
	t.Skipf("no boot loader: %v", err)
	return nil
}

// coreTree makes a disc like Tiny Core's Core and CorePlus in a directory.
func coreTree(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	put := func(name string, b []byte, perm os.FileMode) {
		p := filepath.Join(dir, name)
		testkit.Must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		testkit.Must(t, os.WriteFile(p, b, 0o600))
		testkit.Must(t, os.Chmod(p, perm))
	}
	put("boot/isolinux/isolinux.bin", debianFile(t, isolinuxDir+"/isolinux.bin"), 0o644)
	put("boot/isolinux/isolinux.cfg", []byte("default core\nlabel core\n\tkernel /boot/vmlinuz\n\tappend initrd=/boot/core.gz quiet\n"), 0o644)
	put("boot/vmlinuz", filled(300_000, 1), 0o755)
	put("boot/core.gz", filled(500_001, 2), 0o644)
	put("EFI/BOOT/efi.img", filled(100_000, 3), 0o644)
	put("cde/.hidden", []byte("dot"), 0o600)
	put("cde/setuid", []byte("suid"), 0o755|os.ModeSetuid)
	for i := range 200 {
		put(fmt.Sprintf("cde/optional/package-%03d-5.15.10-tinycore.tcz", i), fmt.Append(nil, "package ", i), 0o644)
	}
	put("a/b/c/d/e/f/g/h/i/j/deep", []byte("deep"), 0o644)
	testkit.Must(t, os.Symlink("../optional/package-001-5.15.10-tinycore.tcz", filepath.Join(dir, "cde/link")))
	testkit.Must(t, os.Symlink("/"+strings.Repeat("long-name/", 12)+strings.Repeat("x", 60), filepath.Join(dir, "cde/longlink")))
	testkit.Must(t, os.Link(filepath.Join(dir, "boot/vmlinuz"), filepath.Join(dir, "boot/vmlinuz.again")))
	return dir
}

// filled returns n bytes that resemble a compressed file, always the same.
func filled(n int, seed uint32) []byte {
	b := make([]byte, n)
	for i := range b {
		seed = seed*1664525 + 1013904223
		b[i] = byte(seed >> 24)
	}
	return b
}

// mkisofs makes an image of a directory with one of the two reference programs.
func mkisofs(t testing.TB, tool, dir string, args ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), tool+".iso")
	var cmd []string
	to := out
	if tool == "xorriso" {
		cmd, to = []string{"-as", "mkisofs"}, "stdio:"+out // it treats files in /dev/shm as devices
	}
	cmd = append(append(append(cmd, coreArgs...), args...), "-o", to, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // some links send genisoimage into a loop
	defer cancel()
	run := exec.CommandContext(ctx, testkit.Tool(t, tool), cmd...)
	run.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1350000000")
	if b, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", tool, err, b)
	}
	return out
}

// openFile opens an image on disk for the duration of the test.
func openISO(t testing.TB, path string) *Image {
	t.Helper()
	f, err := os.Open(path)
	testkit.Must(t, err)
	t.Cleanup(func() { f.Close() })
	st, err := f.Stat()
	testkit.Must(t, err)
	img, err := Open(f, st.Size())
	testkit.Must(t, err)
	return img
}

func openBytes(t testing.TB, b []byte) *Image {
	t.Helper()
	img, err := Open(bytes.NewReader(b), int64(len(b)))
	testkit.Must(t, err)
	return img
}

func writeBytes(t testing.TB, img *Image) []byte {
	t.Helper()
	var b bytes.Buffer
	testkit.Must(t, img.Write(&b))
	return b.Bytes()
}

// writeISO writes an image into a file for other programs.
func writeISO(t testing.TB, img *Image) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "written.iso")
	testkit.Must(t, os.WriteFile(p, writeBytes(t, img), 0o600))
	return p
}

func regular(path, text string) overlay.Entry { return overlay.File(path, 0o644, []byte(text)) }

func treeOf(files ...overlay.Entry) (tree overlay.Tree) {
	for _, f := range files {
		if err := tree.Put(f); err != nil {
			panic(err)
		}
	}
	return tree
}

func contents(t testing.TB, f *overlay.Entry) string {
	t.Helper()
	b, err := f.Content(1 << 30)
	testkit.Must(t, err)
	return string(b)
}

// readAt reads bytes at an offset of a file.
func readAt(t testing.TB, path string, off int64, b []byte) []byte {
	t.Helper()
	f, err := os.Open(path)
	testkit.Must(t, err)
	defer f.Close()
	_, err = f.ReadAt(b, off)
	testkit.Must(t, err)
	return b
}
