package iso9660

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

// TestHybridImages rewrites xorriso's images for USB sticks, with more data before the boot files, and checks them
// with xorriso.
func TestHybridImages(t *testing.T) {
	dir := coreTree(t)
	debianFile(t, isolinuxDir+"/isohdpfx.bin")
	mbr := []string{"-isohybrid-mbr", isolinuxDir + "/isohdpfx.bin"}
	efi := []string{"-eltorito-alt-boot", "-e", "EFI/BOOT/efi.img", "-no-emul-boot"}
	appended := []string{"-eltorito-alt-boot", "-e", "--interval:appended_partition_2:all::", "-no-emul-boot"}
	add := []string{"-append_partition", "2", "0xef", dir + "/EFI/BOOT/efi.img"}
	tests := []struct {
		name  string
		args  [][]string
		parts []string // content of the MBR: type and position
		note  string
	}{
		{"BIOS", [][]string{mbr}, []string{"0x17 volume"}, ""},
		{"BIOS and UEFI", [][]string{mbr, efi}, []string{"0x17 volume"}, ""},
		{"GPT", [][]string{mbr, efi, {"-isohybrid-gpt-basdat"}}, []string{"0x00 volume", "0xef efi"}, ""},
		{"Apple", [][]string{mbr, efi, {"-isohybrid-gpt-basdat", "-isohybrid-apm-hfsplus"}}, []string{"0x00 volume", "0xef efi"}, "Apple"},
		{"offset", [][]string{mbr, {"-partition_offset", "16"}, efi}, []string{"0x17 volume"}, ""},
		{"appended", [][]string{mbr, add, appended}, []string{"0x17 volume", "0xef efi"}, ""},
		{"appended, offset", [][]string{mbr, {"-partition_offset", "16"}, add, appended}, []string{"0x17 volume", "0xef efi"}, ""},
		{"appended, not booted", [][]string{mbr, add}, []string{"0x17 volume"}, ", an EFI system partition, lies behind the volume"},
		{"appended GPT", [][]string{mbr, add, {"-appended_part_as_gpt"}, appended}, []string{"0xee protective"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var args []string
			for _, a := range tt.args {
				args = append(args, a...)
			}
			src := mkisofs(t, "xorriso", dir, args...)
			img := openISO(t, src)
			if notes := strings.Join(img.Notes, "; "); !strings.Contains(notes, tt.note) || tt.note == "" && notes != "" {
				t.Errorf("notes %q", notes)
			}
			for i := range 300 { // the directory grows, so everything moves
				img.Files.Put(regular(fmt.Sprintf("boot/added-%03d", i), strings.Repeat("x", 3000)))
			}
			checkHybrid(t, src, writeISO(t, img), tt.parts)
		})
	}
}

// TestPartitionOfNoBootEntry: a dropped GPT partition is named.
func TestPartitionOfNoBootEntry(t *testing.T) {
	dir := coreTree(t)
	src := mkisofs(t, "xorriso", dir, "-isohybrid-mbr", isolinuxDir+"/isohdpfx.bin", "-append_partition", "2", "0xef", dir+"/EFI/BOOT/efi.img", "-appended_part_as_gpt")
	if notes := strings.Join(openISO(t, src).Notes, "; "); !strings.HasPrefix(notes, "GPT partition 2 (196 blocks at ") || !strings.HasSuffix(notes, "), an EFI system partition, lies behind the volume and is in no boot catalog: dropped") {
		t.Errorf("notes %q", notes)
	}
}

// TestLargeAppendedPartition: the volume's partition ends before a large one, and stays.
func TestLargeAppendedPartition(t *testing.T) {
	dir := coreTree(t)
	large := filepath.Join(t.TempDir(), "efi.img")
	if err := os.WriteFile(large, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	src := mkisofs(t, "xorriso", dir, "-isohybrid-mbr", isolinuxDir+"/isohdpfx.bin", "-partition_offset", "16", "-append_partition", "2", "0xef", large,
		"-eltorito-alt-boot", "-e", "--interval:appended_partition_2:all::", "-no-emul-boot")
	out := openISO(t, writeISO(t, openISO(t, src)))
	if e := out.System[mbrTable:]; e[4] != 0x17 || mbrPart(e) != (partition{0, uint64(out.sectors) * blocksPerSec}) {
		t.Errorf("the first partition is %#x %+v", e[4], mbrPart(e))
	}
}

// checkHybrid compares xorriso's reports about both images' boot parts.
func checkHybrid(t *testing.T, src, out string, parts []string) {
	t.Helper()
	img := openISO(t, out)
	total := uint64(img.sectors) * blocksPerSec
	bios := uint64(img.Boot[0].lba) * blocksPerSec
	old := openISO(t, src)
	if bios == uint64(old.Boot[0].lba)*blocksPerSec {
		t.Error("the boot file did not move: this test proves nothing")
	}
	if got := le64(img.System[mbrPointer:]); got != bios {
		t.Errorf("boot code points to block %d, isolinux.bin is at %d", got, bios)
	}
	where := map[string]string{
		"volume":     fmt.Sprintf("0 %d", total),
		"protective": fmt.Sprintf("1 %d", total-1),
	}
	if len(img.Boot) > 1 {
		where["efi"] = fmt.Sprintf("%d 196", img.Boot[1].lba*blocksPerSec)
	}
	lines := report(t, out, "-report_system_area", "MBR partition : ")
	if len(lines) != len(parts) {
		t.Fatalf("partitions %q, want %q", lines, parts)
	}
	for i, l := range lines {
		kind, at, _ := strings.Cut(parts[i], " ")
		if !strings.HasSuffix(l, kind+" "+where[at]) {
			t.Errorf("%q: want %s at %s", l, parts[i], where[at])
		}
	}
	got := strings.Join(report(t, out, "-report_system_area", "System area summary"), "")
	want := strings.Join(report(t, src, "-report_system_area", "System area summary"), "")
	if want = strings.TrimSuffix(want, " APM"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if strings.Contains(want, "GPT") {
		checkGPT(t, out, img, total)
	}
}

// checkGPT checks both copies of the table.
func checkGPT(t *testing.T, out string, img *Image, total uint64) {
	t.Helper()
	g, err := parseGPT(img.System)
	if err != nil || g == nil {
		t.Fatalf("GPT: %v", err)
	}
	if last := le64(g.header[32:]); last != total-1 {
		t.Errorf("backup at block %d of %d", last, total)
	}
	efi := partition{uint64(img.Boot[1].lba) * blocksPerSec, 196}
	found := false
	for i := range g.count() {
		p := g.partition(i)
		found = found || p == efi
		if p.size != 0 && p.start+p.size-1 > le64(g.header[48:]) {
			t.Errorf("entry %d ends behind the usable blocks: %+v", i+1, p)
		}
	}
	if !found {
		t.Errorf("no entry for the EFI image at %+v", efi)
	}
	if len(report(t, out, "-report_system_area", "GPT start and size")) == 0 {
		t.Error("xorriso sees no GPT entry")
	}
	backup := readAt(t, out, int64(total-1)*blockSize, make([]byte, blockSize))[:gptHeaderSize]
	if headerSum(backup) != le32(backup[16:]) || le64(backup[24:]) != total-1 || le64(backup[32:]) != 1 {
		t.Error("backup header is wrong")
	}
	entries := readAt(t, out, int64(le64(backup[72:]))*blockSize, make([]byte, len(g.entries)))
	if !bytes.Equal(entries[:len(g.entries)], g.entries) {
		t.Error("backup entries are not those of the table")
	}
}

// systemArea makes the system area of a hybrid image by hand.
type systemArea []byte

func newSystemArea() systemArea {
	s := make(systemArea, systemSectors*sectorSize)
	copy(s, "boot code")
	s[mbrSignature], s[mbrSignature+1] = 0x55, 0xaa
	return s
}

func (s systemArea) part(i int, kind byte, start, size uint32) {
	e := s[mbrTable+i*mbrEntry:]
	e[4], e[5], e[6] = kind, 63, 32
	binary.LittleEndian.PutUint32(e[8:], start)
	binary.LittleEndian.PutUint32(e[12:], size)
}

// gpt writes a table with a partition for each pair of first and last block.
func (s systemArea) gpt(names []string, blocks ...[2]uint64) {
	le := binary.LittleEndian
	h := s[gptHeaderAt:][:gptHeaderSize]
	copy(h, gptMagic)
	le.PutUint32(h[12:], gptHeaderSize)
	le.PutUint64(h[72:], 2)
	le.PutUint32(h[80:], 4)
	le.PutUint32(h[84:], gptEntry)
	entries := s[2*blockSize:][:4*gptEntry]
	for i, b := range blocks {
		e := entries[i*gptEntry:]
		e[0] = byte(i + 1)
		le.PutUint64(e[32:], b[0])
		le.PutUint64(e[40:], b[1])
		for k, u := range utf16.Encode([]rune(names[i])) {
			le.PutUint16(e[56+2*k:], u)
		}
	}
	le.PutUint32(h[88:], crc32.ChecksumIEEE(entries))
	le.PutUint32(h[16:], headerSum(h))
}

// hybridSource writes a bootable image and adds a matching system area.
func hybridSource(t *testing.T, fill func(s systemArea, img *Image)) *Image {
	t.Helper()
	b := writeBytes(t, bootableImage())
	s := newSystemArea()
	fill(s, openBytes(t, b))
	copy(b, s)
	return openBytes(t, b)
}

func TestSystemAreaByHand(t *testing.T) {
	img := hybridSource(t, func(s systemArea, img *Image) {
		loader, efi := img.Boot[0].lba*4, img.Boot[1].lba*4
		binary.LittleEndian.PutUint64(s[mbrPointer:], uint64(loader)+4) // like GRUB's boot code
		s.part(0, 0x17, 0, img.sectors*4)
		s.part(1, 0xef, efi, 1)
		s.part(2, 0x83, 5000000, 77)
		s.gpt([]string{"ISO", "EFI", "data", "Gap1"}, [2]uint64{64, uint64(img.sectors)*4 - 1},
			[2]uint64{uint64(efi), uint64(efi) + 1}, [2]uint64{5000000, 5000076}, [2]uint64{6000000, 6000001})
		copy(s[10*blockSize:], "PM\x00\x00")
	})
	notes := strings.Join(img.Notes, "\n")
	for _, want := range []string{"MBR partition 3 (type 0x83, 77 blocks at 5000000)", "GPT partition 3 (77 blocks at 5000000)", "Apple partition map"} {
		if !strings.Contains(notes, want) {
			t.Errorf("no note %q in\n%s", want, notes)
		}
	}
	if len(img.Notes) != 3 {
		t.Errorf("notes\n%s", notes)
	}
	img.Files.Put(regular("aaa", strings.Repeat("x", 1<<20)))
	out := openBytes(t, writeBytes(t, img))
	if out.Notes != nil || out.sectors%512 != 0 {
		t.Errorf("%d sectors; notes %q", out.sectors, out.Notes)
	}
	if got, want := le64(out.System[mbrPointer:]), uint64(out.Boot[0].lba)*4+4; got != want {
		t.Errorf("boot code points to %d, want %d", got, want)
	}
	if string(out.System[:9]) != "boot code" {
		t.Error("the boot code changed")
	}
	table := out.System[mbrTable:]
	if got, want := mbrPart(table[16:]), (partition{uint64(out.Boot[1].lba) * 4, 2}); got != want {
		t.Errorf("EFI partition %+v, want %+v", got, want)
	}
	if [16]byte(table[32:48]) != [16]byte{} {
		t.Error("partition 3 is still there")
	}
	g, err := parseGPT(out.System)
	if err != nil || g == nil {
		t.Fatal(err)
	}
	if g.partition(1) != mbrPart(table[16:]) || g.partition(2).size != 0 || g.partition(3).size != 0 {
		t.Errorf("GPT: %+v %+v %+v", g.partition(1), g.partition(2), g.partition(3))
	}
}

// TestBrokenGPT clears a table that was already invalid.
func TestBrokenGPT(t *testing.T) {
	for name, breakIt := range map[string]func(systemArea){
		"checksum": func(s systemArea) { s[2*blockSize+56]++ },
		"sizes":    func(s systemArea) { s[gptHeaderAt+84] = 7 },
		"entries":  func(s systemArea) { s[gptHeaderAt+72+7] = 0xff },
		"count":    func(s systemArea) { s[gptHeaderAt+83] = 0xff },
	} {
		img := hybridSource(t, func(s systemArea, img *Image) {
			s.gpt([]string{"ISO"}, [2]uint64{0, uint64(img.sectors)*4 - 1})
			breakIt(s)
		})
		out := openBytes(t, writeBytes(t, img))
		if g, err := parseGPT(out.System); g != nil || err != nil || len(img.Notes) != 1 {
			t.Errorf("%s: %v, %v, notes %q", name, g, err, img.Notes)
		}
	}
}

// TestSystemAreaIsKept: a system area without a partition table stays, and so does the area of a new image.
func TestSystemAreaIsKept(t *testing.T) {
	plain := bytes.Repeat([]byte("other boot code "), systemSectors*sectorSize/16)
	img := hybridSource(t, func(s systemArea, _ *Image) { copy(s, plain) })
	img.Files.Put(regular("aaa", "moves the rest"))
	if out := openBytes(t, writeBytes(t, img)); !bytes.Equal(out.System, plain) {
		t.Error("a system area without a signature changed")
	}
	fresh := bootableImage()
	fresh.System = newSystemArea()
	systemArea(fresh.System).part(0, 0x17, 0, 1)
	if out := writeBytes(t, fresh); !bytes.Equal(out[:len(fresh.System)], fresh.System) {
		t.Error("the system area of a new image changed")
	}
}
