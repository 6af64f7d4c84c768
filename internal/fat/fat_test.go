package fat

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

const menu = "set timeout=5\nmenuentry a {\n linux /boot/vmlinuz64\n}\n"

// image makes a file system of KiB kibibytes with mkfs.fat and mtools.
func image(t testing.TB, bits, kib int) []byte {
	t.Helper()
	mkfs := testkit.Tool(t, "mkfs.fat")
	dir := t.TempDir()
	name, cfg, long := filepath.Join(dir, "efi.img"), filepath.Join(dir, "grub.cfg"), filepath.Join(dir, "A long name of a file.cfg")
	testkit.Put(t, name, make([]byte, kib<<10))
	testkit.Put(t, cfg, []byte(menu))
	testkit.Put(t, long, bytes.Repeat([]byte("long "), 3000))
	testkit.Run(t, mkfs, "-F", strconv.Itoa(bits), "-i", "12345678", name)
	testkit.Run(t, "mmd", "-i", name, "::/EFI", "::/EFI/BOOT", "::/boot")
	testkit.Run(t, "mcopy", "-i", name, cfg, "::/EFI/BOOT/grub.cfg")
	testkit.Run(t, "mcopy", "-i", name, long, "::/boot/A long name of a file.cfg")
	testkit.Run(t, "mcopy", "-i", name, cfg, "::/EFI/BOOT/BOOTX64.EFI")
	return testkit.Read(t, name)
}

func open(t testing.TB, b []byte) *FS {
	t.Helper()
	f, err := Open(b)
	testkit.Must(t, err)
	return f
}

var kinds = []struct{ bits, kib int }{{12, 1440}, {12, 2880}, {16, 9000}, {32, 34000}}

// TestReplace: longer, shorter, empty and long again, checked with fsck.fat and mtools.
func TestReplace(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(strconv.Itoa(k.bits)+"-"+strconv.Itoa(k.kib), func(t *testing.T) {
			b := image(t, k.bits, k.kib)
			f := open(t, b)
			if f.bits != k.bits {
				t.Fatalf("taken for FAT%d", f.bits)
			}
			for _, n := range []int{len(menu), 40_000, 513, 0, 100, 4096, 8192} {
				want := bytes.Repeat([]byte("x\n"), n)[:n]
				if err := f.Replace("efi/boot/GRUB.CFG", want); err != nil {
					t.Fatal(err)
				}
				judge(t, b, want)
			}
		})
	}
}

// judge checks a file system and its content with the tools.
func judge(t *testing.T, b, want []byte) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "out.img")
	testkit.Put(t, name, b)
	testkit.Run(t, "fsck.fat", "-n", name) // fails on any difference
	if got := testkit.Run(t, "mtype", "-i", name, "::/EFI/BOOT/grub.cfg"); got != string(want) {
		t.Errorf("mtype: %d bytes, want %d", len(got), len(want))
	}
	got, err := open(t, b).ReadFile("EFI/BOOT/grub.cfg", 1<<20)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("ReadFile: %d bytes, %v", len(got), err)
	}
	for other, text := range map[string]string{"EFI/BOOT/BOOTX64.EFI": menu, "boot/a LONG name of a file.cfg": strings.Repeat("long ", 3000)} {
		if got, err := open(t, b).ReadFile(other, 1<<20); err != nil || string(got) != text {
			t.Errorf("%s is not what it was: %v", other, err)
		}
	}
}

func TestSameContentChangesNothing(t *testing.T) {
	t.Parallel()
	for _, k := range kinds[:3] {
		b := image(t, k.bits, k.kib)
		before := bytes.Clone(b)
		if err := open(t, b).Replace("EFI/BOOT/grub.cfg", []byte(menu)); err != nil || !bytes.Equal(b, before) {
			t.Errorf("FAT%d: the same content changed the image: %v", k.bits, err)
		}
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	got, err := open(t, image(t, 12, 1440)).Files()
	want := []string{"boot/A long name of a file.cfg", "EFI/BOOT/grub.cfg", "EFI/BOOT/BOOTX64.EFI"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestFull(t *testing.T) {
	t.Parallel()
	b := image(t, 12, 1440)
	before := bytes.Clone(b)
	err := open(t, b).Replace("EFI/BOOT/grub.cfg", make([]byte, 2<<20))
	if !errors.Is(err, ErrFull) || !bytes.Equal(b, before) {
		t.Errorf("%v; changed: %v", err, !bytes.Equal(b, before))
	}
	if err := open(t, b).Replace("EFI/BOOT/none.cfg", nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := open(t, b).ReadFile("EFI/BOOT/grub.cfg", 3); err == nil {
		t.Error("a file over the limit was read")
	}
}

// floppy is a small FAT12 file system made by hand, for tests without tools.
func floppy() []byte {
	b := make([]byte, 64*512)
	copy(b[11:], []byte{0, 2, 1, 1, 0, 2, 16, 0, 64, 0, 0xf8, 1, 0}) // 512, 1 per cluster, 1 reserved, 2 tables, 16 entries, 64 sectors, 1 per table
	b[510], b[511] = 0x55, 0xaa
	for _, at := range []int{512, 1024} {
		copy(b[at:], []byte{0xf8, 0xff, 0xff, 0xff, 0x0f, 0}) // cluster 2 ends a chain
	}
	e := b[1536:]
	copy(e, "GRUB    CFG")
	e[26], e[28] = 2, 5
	copy(b[2048:], "hello")
	return b
}

func TestCorrupt(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func([]byte){
		"circle":       func(b []byte) { b[515], b[516] = 2, 0 },
		"beyond":       func(b []byte) { b[515], b[516] = 0xf0, 0x0e },
		"too short":    func(b []byte) { b[1536+29] = 9 },
		"folder loops": func(b []byte) { b[1536+11] = attrFolder; copy(b[2048:], b[1536:1568]) },
	} {
		b := floppy()
		if got, err := open(t, b).ReadFile("grub.cfg", 1<<20); err != nil || string(got) != "hello" {
			t.Fatalf("before: %q, %v", got, err)
		}
		spoil(b)
		if _, err := open(t, b).ReadFile("grub.cfg", 1<<20); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, b := range [][]byte{nil, make([]byte, 512), floppy()[:1000]} {
		if _, err := Open(b); err == nil {
			t.Errorf("%d bytes were taken for a file system", len(b))
		}
	}
}

// FuzzReplace: no input panics, and replaced content reads back.
func FuzzReplace(f *testing.F) {
	f.Add(floppy(), 700)
	f.Add(floppy(), 0)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		fs, err := Open(b)
		if err != nil {
			return
		}
		names, err := fs.Files()
		if err != nil || len(names) == 0 {
			return
		}
		content := bytes.Repeat([]byte{'y'}, max(0, min(n, 1<<16)))
		size := len(b)
		if err := fs.Replace(names[0], content); err == nil && len(b) != size {
			t.Fatal("the image has another length")
		}
	})
}
