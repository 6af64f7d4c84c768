package iso9660

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/overlay"
)

func TestOpenRefusesOtherFiles(t *testing.T) {
	page := "  \n<!DOCTYPE HTML><html><title>404</title>" + strings.Repeat(" ", 40000)
	for _, tt := range []struct{ name, data, want string }{
		{"empty", "", "is empty"},
		{"page", page, "an HTML page"},
		{"short page", page[:60], "an HTML page"},
		{"xml", "<?xml version='1.0'?>", "an XML document"},
		{"gzip", "\x1f\x8b\x08" + strings.Repeat("z", 40000), "a gzip file"},
		{"xz", "\xfd7zXZ\x00", "an xz file"},
		{"zip", "PK\x03\x04", "a zip file"},
		{"zeros", strings.Repeat("\x00", 1<<20), "no volume descriptor at sector 16"},
		{"short", "hello", "no volume descriptor"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(strings.NewReader(tt.data), int64(len(tt.data)))
			if !errors.Is(err, ErrNotISO) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestOpenTruncated(t *testing.T) {
	b := writeBytes(t, everything())
	for _, size := range []int{len(b) - 1, len(b) / 2, 18 * sectorSize, 17*sectorSize + 5} {
		_, err := Open(bytes.NewReader(b), int64(size))
		if !errors.Is(err, ErrTruncated) {
			t.Fatalf("%d of %d bytes: %v", size, len(b), err)
		}
		for _, n := range []int{size, len(b)} {
			if !strings.Contains(err.Error(), fmt.Sprint(n)) {
				t.Errorf("%v does not name %d", err, n)
			}
		}
	}
	// The file is shorter than the caller's size: a read error, not a panic.
	if _, err := Open(bytes.NewReader(b[:20*sectorSize]), int64(len(b))); err == nil {
		t.Error("no error")
	}
}

// disc is an image to damage.
type disc struct {
	t *testing.T
	b []byte
}

func (d *disc) primary() []byte          { return d.b[16*sectorSize:] }
func (d *disc) rootDir() []byte          { return d.b[le32(d.primary()[158:])*sectorSize:][:sectorSize] }
func (d *disc) catalog() []byte          { return d.b[le32(d.b[17*sectorSize+0x47:])*sectorSize:] }
func (d *disc) set32(b []byte, v uint32) { binary.LittleEndian.PutUint32(b, v) }

// record returns the root directory's record of a plain identifier.
func (d *disc) record(id string) []byte {
	d.t.Helper()
	i := bytes.Index(d.rootDir(), []byte(id))
	if i < 33 {
		d.t.Fatalf("no record %s", id)
	}
	r := d.rootDir()[i-33:]
	return r[:r[0]]
}

// field returns a system use field of a record.
func (d *disc) field(r []byte, sig string) []byte {
	d.t.Helper()
	i := bytes.Index(r, []byte(sig))
	if i < 0 {
		d.t.Fatalf("no field %s", sig)
	}
	return r[i:]
}

func bootableImage() *Image {
	img := &Image{VolumeID: "BOOT", CatalogPath: "boot.cat", Boot: []BootEntry{
		{Bootable: true, Path: "loader", LoadSectors: 4, InfoTable: true},
		{Bootable: true, Platform: PlatformUEFI, Path: "efi.img", LoadSectors: 2, ID: "an id"},
	}}
	img.Files.Put(regular("loader", string(filled(5000, 7))))
	img.Files.Put(regular("efi.img", string(filled(1000, 8))))
	img.Files.Put(regular("sub/inner", "inner"))
	img.Files.Put(regular("sub/outer", "outer"))
	img.Files.Put(overlay.Entry{Path: "link", Mode: overlay.TypeLink | 0o777, Link: "target"})
	img.Files.Put(overlay.Entry{Path: "long", Mode: overlay.TypeLink | 0o777, Link: strings.Repeat("part/", 100)})
	return img
}

func TestOpenRefusesDamage(t *testing.T) {
	tests := []struct {
		name   string
		damage func(d *disc)
		want   string
	}{
		{"no damage", func(*disc) {}, ""},
		{"block size", func(d *disc) { d.primary()[129] = 2 }, "blocks of"},
		{"no terminator", func(d *disc) { d.b[19*sectorSize+1] = 'X' }, "no volume descriptor"},
		{"no primary", func(d *disc) { d.primary()[0] = 3 }, "no primary"},
		{"root beyond the end", func(d *disc) { d.set32(d.primary()[158:], 1<<30) }, "beyond the end"},
		{"root is a file", func(d *disc) { d.primary()[156+25] = 0 }, "no root"},
		{"huge root", func(d *disc) { d.set32(d.primary()[166:], 1<<31) }, "directory"},
		{"loop", func(d *disc) { copy(d.record("SUB")[2:6], d.primary()[158:162]) }, "loop"},
		{"record cut off", func(d *disc) { d.set32(d.primary()[166:], 200) }, "directory record"},
		{"record too short", func(d *disc) { d.record("EFI.IMG")[0] = 20 }, "directory record"},
		{"identifier too long", func(d *disc) { d.record("EFI.IMG")[32] = 250 }, "identifier"},
		{"no identifier", func(d *disc) { d.record("EFI.IMG")[32] = 0 }, "identifier"},
		{"interleaved", func(d *disc) { d.record("EFI.IMG")[26] = 1 }, "interleaved"},
		{"file beyond the end", func(d *disc) { d.set32(d.record("EFI.IMG")[10:], 1<<31) }, "beyond the end"},
		{"files share data in part", func(d *disc) {
			for _, id := range []string{"EFI.IMG", "LOADER.;1", "BOOT.CAT"} {
				d.set32(d.record(id)[10:], uint32(len(d.b)/2)+uint32(id[0]))
				d.set32(d.record(id)[2:], 1)
			}
		}, "overlaps"},
		{"directory as a file", func(d *disc) { d.record("SUB")[25] = 0 }, "contradicts"},
		{"never ending file", func(d *disc) { d.record("EFI.IMG")[25] = 0x80 }, "next extent"},
		{"slash in a name", func(d *disc) { d.field(d.record("LINK"), "NM")[6] = '/' }, "unsafe name"},
		{"NUL in a name", func(d *disc) { d.field(d.record("LINK"), "NM")[6] = 0 }, "unsafe name"},
		{"two of a name", func(d *disc) { copy(d.field(d.record("LINK"), "NM")[5:], "long") }, "two entries"},
		{"dot dot", func(d *disc) {
			f := d.field(d.record("SUB"), "NM")
			f[5], f[6] = '.', '.'
			f[2] = 7
		}, "unsafe name"},
		{"no symlink target", func(d *disc) { d.field(d.record("LINK"), "SL")[5] = 0; d.field(d.record("LINK"), "SL")[2] = 5 }, "symlink"},
		{"component too long", func(d *disc) { d.field(d.record("LINK"), "SL")[6] = 99 }, "symlink component"},
		{"continuation loop", func(d *disc) {
			f := d.field(d.record("LONG"), "CE")
			area := d.b[le32(f[4:])*sectorSize+le32(f[12:]):]
			copy(area, f[:28])
		}, "without end"},
		{"continuation too large", func(d *disc) { d.set32(d.field(d.record("LONG"), "CE")[20:], 1<<30) }, "continuation area"},
		{"continuation beyond the end", func(d *disc) { d.set32(d.field(d.record("LONG"), "CE")[4:], 1<<30) }, "beyond the end"},
		{"compressed", func(d *disc) { copy(d.field(d.record("LINK"), "TF"), "ZF") }, "zisofs"},
		{"relocated to nowhere", func(d *disc) { copy(d.field(d.record("SUB"), "TF"), "CL\x1a\x01\xff\xff\xff\x7f") }, "beyond the end"},
		{"catalog beyond the end", func(d *disc) { d.set32(d.b[17*sectorSize+0x47:], 1<<30) }, "bytes at sector"},
		{"catalog elsewhere", func(d *disc) { d.set32(d.b[17*sectorSize+0x47:], 0) }, "no boot catalog"},
		{"catalog checksum", func(d *disc) { d.catalog()[5]++ }, "checksum"},
		{"boot file beyond the end", func(d *disc) { d.set32(d.catalog()[40:], 1<<30) }, "beyond the end"},
	}
	good := writeBytes(t, bootableImage())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := &disc{t, bytes.Clone(good)}
			tt.damage(d)
			_, err := Open(bytes.NewReader(d.b), int64(len(d.b)))
			if tt.want == "" {
				testkit.Must(t, err)
				return
			}
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestOpenMultiExtent joins two files into one, like files of 4 GiB and more by mkisofs.
func TestOpenMultiExtent(t *testing.T) {
	img := &Image{}
	img.Files.Put(regular("x", strings.Repeat("x", sectorSize)))
	img.Files.Put(regular("y", "the rest"))
	d := &disc{t, writeBytes(t, img)}
	d.record("X.;1")[25] |= flagMore
	y := d.record("Y.;1")
	d.field(y, "NM")[5] = 'x'
	y[33] = 'X'
	back := openBytes(t, d.b)
	f := back.Files.Get("x")
	if back.Files.Len() != 2 || f.Size != sectorSize+8 {
		t.Fatalf("got %+v", back.Files)
	}
	if got := contents(t, f); got != strings.Repeat("x", sectorSize)+"the rest" {
		t.Errorf("got %q", got)
	}
	if again := openBytes(t, writeBytes(t, back)); contents(t, again.Files.Get("x")) != contents(t, f) {
		t.Error("lost in writing")
	}
}

func TestOpenBootEntries(t *testing.T) {
	img := bootableImage()
	hidden := filled(2880<<10, 5)
	img.Boot = append(img.Boot,
		BootEntry{Bootable: false, Media: MediaFloppy288, Open: overlay.Bytes(hidden), Size: int64(len(hidden)), LoadSegment: 0x7c0, LoadSectors: 1},
		BootEntry{Bootable: true, Platform: PlatformPPC, Path: "loader", LoadSectors: 9, SystemType: 6})
	img.CatalogID = "by hand"
	first := writeBytes(t, img)
	back := openBytes(t, first)
	if len(back.Boot) != len(img.Boot) || back.CatalogPath != "boot.cat" || back.CatalogID != "by hand" {
		t.Fatalf("got %+v in %q by %q", back.Boot, back.CatalogPath, back.CatalogID)
	}
	for i, e := range back.Boot {
		e.lba = 0
		w := img.Boot[i]
		if w.Path == "loader" {
			w.InfoTable = true // one file, one table
		}
		if got, want := fmt.Sprintf("%+v", bare(e)), fmt.Sprintf("%+v", bare(w)); got != want {
			t.Errorf("entry %d\n got %s\nwant %s", i, got, want)
		}
	}
	data, err := back.BootImage(&back.Boot[2]).Content(4 << 20)
	if err != nil || !bytes.Equal(data, hidden) {
		t.Errorf("hidden image: %v", err)
	}
	if !bytes.Equal(first, writeBytes(t, back)) {
		t.Error("write, read, write gave other bytes")
	}
	for len(img.Boot) < 40 { // more than one sector of catalog
		img.Boot = append(img.Boot, BootEntry{Bootable: true, Platform: PlatformUEFI, Path: "efi.img"})
	}
	if back := openBytes(t, writeBytes(t, img)); len(back.Boot) != 40 {
		t.Errorf("got %d entries", len(back.Boot))
	}
}

// bare is an entry without its opener, which does not compare.
func bare(e BootEntry) BootEntry {
	e.Open = nil
	return e
}

func TestHiddenSize(t *testing.T) {
	fat := make([]byte, 1024)
	fat[510], fat[511] = 0x55, 0xaa
	binary.LittleEndian.PutUint16(fat[11:], 512)
	large := bytes.Clone(fat)
	binary.LittleEndian.PutUint16(fat[19:], 2880)
	binary.LittleEndian.PutUint32(large[32:], 100_000)
	table := make([]byte, 64)
	binary.LittleEndian.PutUint32(table[16:], 24576)
	const gap = 1 << 20
	for _, tt := range []struct {
		name string
		e    BootEntry
		head []byte
		want int64
	}{
		{"info table", BootEntry{InfoTable: true, LoadSectors: 4}, table, 24576},
		{"floppy", BootEntry{Media: MediaFloppy144}, nil, 1440 << 10},
		{"FAT12", BootEntry{Platform: PlatformUEFI, LoadSectors: 1}, fat, 2880 * 512},
		{"FAT32", BootEntry{Platform: PlatformUEFI}, large, 100_000 * 512},
		{"UEFI by its sectors", BootEntry{Platform: PlatformUEFI, LoadSectors: 196}, make([]byte, 1024), 196 * 512},
		{"BIOS loader without a table", BootEntry{LoadSectors: 4}, make([]byte, 1024), gap},
		{"hard disk", BootEntry{Media: MediaHardDisk, LoadSectors: 1}, make([]byte, 1024), gap},
	} {
		if got := tt.e.hiddenSize(tt.head, gap); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestByteFlips damages images at random places: Open always returns, and allocates at most a small multiple of the
// input.
func TestByteFlips(t *testing.T) {
	for _, good := range [][]byte{writeBytes(t, bootableImage()), writeBytes(t, everything())} {
		seed := uint32(1)
		next := func(n int) int {
			seed = seed*1664525 + 1013904223
			return int(seed>>8) % n
		}
		meta := min(len(good), 60*sectorSize) - 16*sectorSize // descriptors, tables, directories
		b := bytes.Clone(good)
		for range 1500 {
			var undo [][2]int
			for range 1 + next(4) {
				at := 16*sectorSize + next(meta)
				undo = append(undo, [2]int{at, int(b[at])})
				b[at] = byte(next(256))
			}
			before := allocated()
			if img, err := Open(bytes.NewReader(b), int64(len(b))); err == nil {
				_, _ = img.Size() // must not panic either
			}
			if used := allocated() - before; used > 16<<20 {
				t.Fatalf("%d bytes allocated after flips %v", used, undo)
			}
			for i := len(undo) - 1; i >= 0; i-- {
				b[undo[i][0]] = byte(undo[i][1])
			}
		}
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// withoutPad removes the padding of an image, which only slows fuzzing.
func withoutPad(b []byte) []byte {
	b = b[:len(b)-tailPad*sectorSize]
	both32(b[16*sectorSize+80:], sectors(int64(len(b))))
	return b
}

func FuzzOpen(f *testing.F) {
	for _, img := range []*Image{{}, bootableImage(), everything()} {
		var b bytes.Buffer
		testkit.Must(f, img.Write(&b))
		f.Add(withoutPad(b.Bytes()))
	}
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		img, err := Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		for _, f := range img.Files.Entries() {
			if f.IsRegular() {
				_, _ = f.Content(1 << 16)
			}
		}
		var out bytes.Buffer
		if img.Write(&out) != nil {
			return // the image need not be writable: for example, a name over 255 bytes
		}
		if _, err := Open(bytes.NewReader(out.Bytes()), int64(out.Len())); err != nil {
			t.Errorf("cannot read what was written: %v", err)
		}
	})
}
