package iso9660

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"mkbuild/internal/overlay"
)

// everything is an image with one of each kind.
func everything() *Image {
	long := strings.Repeat("n", 251) + ".tcz"
	img := &Image{
		VolumeID: "Razor MK 0.1.0", SystemID: "LINUX", Publisher: "a publisher", Preparer: "a preparer",
		ApplicationID: "Razor Microkernel", VolumeSetID: "set", Copyright: "LICENSE",
		Created: 1350000000, Modified: 1350000001, ModifiedCentis: 42,
		Files: treeOf([]overlay.Entry{
			{Path: ".", Mode: overlay.TypeDir | 0o755, MTime: 1},
			{Path: "dev", Mode: overlay.TypeDir | 0o1777, UID: 1001, GID: 50, MTime: 1350000003},
			{Path: "dev/disk", Mode: overlay.TypeBlock | 0o660, Major: 8, Minor: 17, MTime: 5},
			{Path: "dev/null", Mode: overlay.TypeChar | 0o666, Major: 1, Minor: 3, MTime: 6},
			{Path: "dev/tty", Mode: overlay.TypeChar | 0o620, Major: 0, Minor: 7, GID: 5},
			{Path: "dev/pipe", Mode: 0o010000 | 0o600},
			{Path: "empty", Mode: overlay.TypeRegular | 0o400},
			{Path: "link", Mode: overlay.TypeLink | 0o777, Link: "../a/./b"},
			{Path: "link.abs", Mode: overlay.TypeLink | 0o777, Link: "/"},
			{Path: "link.long", Mode: overlay.TypeLink | 0o777, Link: "/" + strings.Repeat("component/", 300) + strings.Repeat("z", 700)},
			regular(long, "long name"),
			regular("sub/implied/deep", "implied directories"),
			{Path: "suid", Mode: overlay.TypeRegular | 0o6755, UID: 1 << 31, GID: 70000, MTime: -1, Size: 3, Open: overlay.Bytes([]byte("abc"))},
			regular("ünïcode-名前", "unicode"),
		}...),
		RockRidge: true, Joliet: true,
	}
	one, two := regular("hard/one", "shared"), regular("hard/two", "shared")
	one.HardLink, two.HardLink = "x", "x"
	img.Files.Put(one)
	img.Files.Put(two)
	return img
}

// summary describes a file completely, except for the place of its data.
func summary(t *testing.T, f *overlay.Entry) string {
	t.Helper()
	text := ""
	if f.IsRegular() {
		text = contents(t, f)
	}
	return fmt.Sprintf("%s %#o %d:%d dev %d:%d -> %q at %d: %d %q", f.Path, f.Mode, f.UID, f.GID,
		f.Major, f.Minor, f.Link, f.MTime, f.Size, text)
}

func TestRoundTrip(t *testing.T) {
	img := everything()
	first := writeBytes(t, img)
	back := openBytes(t, first)
	for _, f := range img.Files.Entries() {
		want := summary(t, f)
		f := back.Files.Get(f.Path)
		if f == nil {
			t.Errorf("lost %s", f.Path)
			continue
		}
		if got := summary(t, f); got != want {
			t.Errorf("\n got %.200s\nwant %.200s", got, want)
		}
	}
	if got := back.Files.Get("sub/implied"); got == nil || got.Mode != overlay.TypeDir|0o755 || got.MTime != img.Modified {
		t.Errorf("implied directory: %+v", got)
	}
	if a, b := back.Files.Get("hard/one").HardLink, back.Files.Get("hard/two").HardLink; a == "" || a != b {
		t.Errorf("hard links: %q and %q", a, b)
	}
	if !back.RockRidge || !back.Joliet || back.Boot != nil || back.CatalogPath != "" {
		t.Errorf("got %v %v %v %q", back.RockRidge, back.Joliet, back.Boot, back.CatalogPath)
	}
	got := []any{back.VolumeID, back.SystemID, back.Publisher, back.Preparer, back.ApplicationID,
		back.VolumeSetID, back.Copyright, back.Created, back.CreatedCentis, back.Modified, back.ModifiedCentis}
	want := []any{img.VolumeID, img.SystemID, img.Publisher, img.Preparer, img.ApplicationID,
		img.VolumeSetID, img.Copyright, img.Created, img.CreatedCentis, img.Modified, img.ModifiedCentis}
	if fmt.Sprint(got...) != fmt.Sprint(want...) {
		t.Errorf("fields\n got %q\nwant %q", got, want)
	}
	if second := writeBytes(t, back); !bytes.Equal(first, second) {
		t.Error("write, read, write gave other bytes")
	}
}

func TestWriteIsDeterministic(t *testing.T) {
	img := everything()
	want := writeBytes(t, img)
	if !bytes.Equal(writeBytes(t, img), want) {
		t.Error("two writes differ")
	}
	if n, err := img.Size(); err != nil || n != int64(len(want)) {
		t.Errorf("Size() = %d, %v; wrote %d", n, err, len(want))
	}
	img.Files.Get("suid").MTime++
	if bytes.Equal(writeBytes(t, img), want) {
		t.Error("a changed time changed nothing")
	}
}

func TestEmptyImage(t *testing.T) {
	img := openBytes(t, writeBytes(t, &Image{}))
	if img.Files.Len() != 1 || img.Files.Get(".") == nil || img.Created != 0 {
		t.Errorf("got %+v", img)
	}
}

func TestWriteRefuses(t *testing.T) {
	broken := errors.New("broken disk")
	bootable := func(e BootEntry) *Image {
		return &Image{Files: treeOf(regular("boot", strings.Repeat("b", 100))), Boot: []BootEntry{e}}
	}
	files := func(f ...overlay.Entry) *Image { return &Image{Files: treeOf(f...)} }
	tests := []struct {
		name string
		img  *Image
		want error
		text string
	}{
		{"4 GiB", files(overlay.Entry{Path: "big", Mode: overlay.TypeRegular, Size: 1 << 32, Open: overlay.Bytes(nil)}), ErrTooLarge, "big"},
		{"total", files(overlay.Entry{Path: "a", Mode: overlay.TypeRegular, Size: 1, Open: overlay.Bytes([]byte("ab"))}), nil, "copy a"},
		{"short", files(overlay.Entry{Path: "a", Mode: overlay.TypeRegular, Size: 3, Open: overlay.Bytes([]byte("ab"))}), nil, "copy a"},
		{"open fails", files(overlay.Entry{Path: "a", Mode: overlay.TypeRegular, Size: 3,
			Open: func() (io.ReadCloser, error) { return nil, broken }}), broken, "copy a"},
		{"no content", files(overlay.Entry{Path: "a", Mode: overlay.TypeRegular, Size: 3}), ErrInvalid, "a"},
		{"negative", files(overlay.Entry{Path: "a", Mode: overlay.TypeRegular, Size: -3}), ErrInvalid, "a"},
		{"long name", files(regular(strings.Repeat("a", 256), "")), ErrInvalid, "path"},
		{"below a file", files(regular("a", ""), regular("a/b", "")), ErrInvalid, "a/b"},
		{"root is a file", files(regular(".", "")), ErrInvalid, "root"},
		{"volume id", &Image{VolumeID: strings.Repeat("v", 33)}, ErrInvalid, "volume id"},
		{"system area", &Image{System: make([]byte, 32769)}, ErrInvalid, "system area"},
		{"two sizes", files(overlay.Entry{Path: "a", Mode: overlay.TypeRegular, Size: 1, Open: overlay.Bytes(nil), HardLink: "h"},
			overlay.Entry{Path: "b", Mode: overlay.TypeRegular, Size: 2, Open: overlay.Bytes(nil), HardLink: "h"}), ErrInvalid, "one file"},
		{"boot file is gone", bootable(BootEntry{Path: "boot/isolinux.bin"}), ErrInvalid, "boot/isolinux.bin"},
		{"boot file is nothing", bootable(BootEntry{}), ErrInvalid, "boot entry 1"},
		{"no room for the table", &Image{Files: treeOf(regular("boot", "tiny")),
			Boot: []BootEntry{{Path: "boot", InfoTable: true}}}, ErrInvalid, "boot"},
		{"section id", bootable(BootEntry{Path: "boot", ID: strings.Repeat("i", 29)}), ErrInvalid, "section id"},
		{"catalog is a directory", &Image{Files: treeOf(regular("cat/boot", "b")), CatalogPath: "cat",
			Boot: []BootEntry{{Path: "cat/boot"}}}, ErrInvalid, "catalog"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.img.Write(io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.text) || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v with %q", err, tt.want, tt.text)
			}
		})
	}
}

// failing fails after so many bytes.
type failing struct{ left int }

var errFull = errors.New("no space left")

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWriteToFullDisk(t *testing.T) {
	img := everything()
	img.Files.Put(regular("large", string(filled(3<<20, 1))))
	for _, room := range []int{0, 1 << 20, 2 << 20, 3 << 20} {
		if err := img.Write(&failing{left: room}); !errors.Is(err, errFull) {
			t.Errorf("room for %d bytes: %v", room, err)
		}
	}
}
