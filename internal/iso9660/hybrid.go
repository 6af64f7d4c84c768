package iso9660

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"unicode/utf16"
)

// Layout of the master boot record of isohybrid images (syslinux doc/isolinux.txt, "HYBRID CD-ROM/HARD DISK MODE").
const (
	mbrPointer   = 432 // position of the boot file in 512-byte blocks
	mbrTable     = 446
	mbrEntry     = 16
	mbrSignature = 510
	mbrGPT       = 0xee // partition type of a protective entry

	// volumeStart is the highest start of a partition of the volume itself: xorriso can start it after the system
	// area.
	volumeStart = systemSectors * blocksPerSec
	// volumeSlack is the number of blocks by which such a partition may be shorter than the volume: xorriso
	// excludes the backup GPT.
	volumeSlack = 1024
)

// partition is one entry of a partition table in 512-byte blocks.
type partition struct{ start, size uint64 }

// fate is the treatment of a partition in the new image.
type fate int

const (
	fateDrop   fate = iota // its target is not in the new image
	fateVolume             // it is the volume itself
	fateBoot               // it is a boot image, such as an EFI system partition
)

// fate compares a partition with the source's layout.
func (img *Image) fate(p partition) (f fate, entry int) {
	for i := range img.Boot {
		if lba := uint64(img.Boot[i].lba); lba != 0 && p.start == lba*blocksPerSec {
			return fateBoot, i
		}
	}
	if p.start <= volumeStart && img.isEnd(p.start+p.size) {
		return fateVolume, 0
	}
	return fateDrop, 0
}

// isEnd reports whether a partition that ends at a block covers the volume: up to its end, or up to a boot image
// that xorriso appended as a separate partition.
func (img *Image) isEnd(block uint64) bool {
	appended := func(e BootEntry) bool { return e.lba != 0 && uint64(e.lba)*blocksPerSec == block }
	return block+volumeSlack >= uint64(img.sectors)*blocksPerSec || slices.ContainsFunc(img.Boot, appended)
}

// whyDropped describes a partition and the reason why the new image lacks it.
func (img *Image) whyDropped(p partition, efi bool) string {
	what := ""
	if efi {
		what = ", an EFI system partition,"
	}
	if p.start >= uint64(img.sectors)*blocksPerSec {
		return what + " lies behind the volume and is in no boot catalog: dropped"
	}
	return what + " is no file of the image: dropped"
}

// mbrEFI is the type of an EFI system partition in an MBR, gptEFI its type in a GPT.
const mbrEFI, gptEFI = 0xef, "\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b"

// Hybrid reports whether the image, as read or as written, also boots from a USB stick: its first sector is a boot
// record with code and a partition.
func (img *Image) Hybrid() bool {
	if len(img.System) <= mbrSignature+1 || img.System[mbrSignature] != 0x55 || img.System[mbrSignature+1] != 0xaa {
		return false
	}
	code, table := img.System[:mbrTable], img.System[mbrTable:mbrSignature]
	return slices.ContainsFunc(code, nonzero) && slices.ContainsFunc(table, nonzero)
}

func nonzero(b byte) bool { return b != 0 }

// hybrid reports whether the source's system area has a partition table to update.
func (img *Image) hybrid() bool {
	return img.sectors != 0 && len(img.System) == systemSectors*sectorSize &&
		img.System[mbrSignature] == 0x55 && img.System[mbrSignature+1] == 0xaa
}

func mbrPart(e []byte) partition {
	return partition{uint64(le32(e[8:])), uint64(le32(e[12:]))}
}

// noteSystemArea reports the parts of the system area that a new image will lack.
func (img *Image) noteSystemArea() {
	if !img.hybrid() {
		return
	}
	for i := range 4 {
		e := img.System[mbrTable+i*mbrEntry:][:mbrEntry]
		p := mbrPart(e)
		if f, _ := img.fate(p); p.size != 0 && f == fateDrop {
			img.Notes = append(img.Notes, fmt.Sprintf(
				"MBR partition %d (type %#02x, %d blocks at %d)%s", i+1, e[4], p.size, p.start, img.whyDropped(p, e[4] == mbrEFI)))
		}
	}
	if len(applePartitions(img.System)) > 0 {
		img.Notes = append(img.Notes, "Apple partition map: dropped")
	}
	g, err := parseGPT(img.System)
	if err != nil {
		img.Notes = append(img.Notes, fmt.Sprintf("GPT: dropped: %v", err))
	}
	if g != nil {
		img.noteGPT(g)
	}
}

func (img *Image) noteGPT(g *gpt) {
	for i := range g.count() {
		p := g.partition(i)
		// mkisofs' gaps only cover the blocks between other partitions.
		if f, _ := img.fate(p); p.size != 0 && f == fateDrop && !g.isGap(i) {
			img.Notes = append(img.Notes, fmt.Sprintf(
				"GPT partition %d (%d blocks at %d)%s", i+1, p.size, p.start, img.whyDropped(p, string(g.entry(i)[:16]) == gptEFI)))
		}
	}
}

// alignHybrid rounds a number of sectors up to whole cylinders if the source's partition table has a geometry: some
// BIOSes refuse a USB stick with an incomplete last cylinder.
func (img *Image) alignHybrid(total uint64) uint64 {
	heads, perHead := img.geometry()
	cylinder := heads * perHead
	if cylinder == 0 || cylinder%blocksPerSec != 0 {
		return total
	}
	cylinder /= blocksPerSec
	return (total + cylinder - 1) / cylinder * cylinder
}

// geometry returns the heads and sectors at the end of the volume's partition entry. It returns zeros if there is
// no such entry or its end is meaningless.
func (img *Image) geometry() (heads, perHead uint64) {
	if !img.hybrid() {
		return 0, 0
	}
	for i := range 4 {
		e := img.System[mbrTable+i*mbrEntry:][:mbrEntry]
		if f, _ := img.fate(mbrPart(e)); f == fateVolume && e[4] != mbrGPT && mbrPart(e).size != 0 {
			return uint64(e[5]) + 1, uint64(e[6] & 63)
		}
	}
	return 0, 0
}

// moveSystemArea returns the system area for a layout and the backup GPT for its end. The boot code stays; its
// addresses are updated to the new layout.
func moveSystemArea(l *layout) (head, backup []byte) {
	head = make([]byte, systemSectors*sectorSize)
	copy(head, l.img.System)
	if !l.img.hybrid() {
		return head, nil
	}
	m := &mover{l.img, l.boot, uint64(l.total) * blocksPerSec}
	m.bootPointer(head)
	for i := range 4 {
		m.partition(head[mbrTable+i*mbrEntry:][:mbrEntry])
	}
	for _, off := range applePartitions(head) {
		clear(head[off : off+blockSize])
	}
	return head, m.gpt(head)
}

// mover updates addresses to the new layout.
type mover struct {
	img   *Image
	boot  []*blob // parallel to img.Boot
	total uint64  // blocks of the new image
}

// bootPointer updates the address of isolinux in isohybrid's boot code. GRUB's code has it at the same place, plus
// 4 blocks.
func (m *mover) bootPointer(head []byte) {
	at := le64(head[mbrPointer:])
	for i := range m.img.Boot {
		old := uint64(m.img.Boot[i].lba) * blocksPerSec
		if old == 0 || at != old && at != old+blocksPerSec {
			continue
		}
		moved := uint64(m.boot[i].lba)*blocksPerSec + at - old
		binary.LittleEndian.PutUint64(head[mbrPointer:], moved)
		return
	}
}

// moved returns the new position of a partition.
func (m *mover) moved(p partition) (partition, fate) {
	f, i := m.img.fate(p)
	switch f {
	case fateBoot:
		return partition{uint64(m.boot[i].lba) * blocksPerSec, uint64(blocks(m.boot[i].file.Size))}, f
	case fateVolume:
		return partition{p.start, m.total - p.start}, f
	}
	return partition{}, f
}

// partition updates one entry of the MBR's table. A volume that started after the system area had a second set of
// structures for that; the new volume starts at 0 (or 1, for a protective entry, as in UEFI 5.2.3).
func (m *mover) partition(e []byte) {
	old := mbrPart(e)
	if old.size == 0 {
		return
	}
	if f, _ := m.img.fate(old); f == fateVolume && old.start > 1 {
		old.start, old.size = 0, old.size+old.start
		copy(e[1:4], []byte{0, 1, 0})
	}
	p, f := m.moved(old)
	if f == fateDrop {
		clear(e)
		return
	}
	binary.LittleEndian.PutUint32(e[8:], uint32(min(p.start, 1<<32-1)))
	binary.LittleEndian.PutUint32(e[12:], uint32(min(p.size, 1<<32-1)))
	heads, perHead := m.img.geometry()
	if f == fateBoot || heads == 0 || perHead == 0 || e[4] == mbrGPT {
		if f == fateBoot {
			copy(e[1:4], []byte{0xfe, 0xff, 0xff})
		}
		copy(e[5:8], []byte{0xfe, 0xff, 0xff}) // "see the block numbers"
		return
	}
	cylinder := min((p.start+p.size)/(heads*perHead), 1024)
	copy(e[5:8], chs(max(cylinder, 1)-1, heads-1, perHead))
}

// chs encodes a cylinder, head and sector.
func chs(cylinder, head, sector uint64) []byte {
	return []byte{byte(head), byte(sector) | byte(cylinder>>8<<6), byte(cylinder)}
}

// applePartitions returns the offsets of entries of an Apple partition map. They have block numbers of the old
// image, and x86 machines do not boot from them.
func applePartitions(head []byte) []int {
	var at []int
	for off := blockSize; off+blockSize <= len(head); off += blockSize {
		if string(head[off:off+4]) == "PM\x00\x00" {
			at = append(at, off)
		}
	}
	return at
}

// Layout of a GUID partition table (UEFI 2.10, 5.3).
const (
	gptMagic      = "EFI PART"
	gptHeaderAt   = blockSize
	gptHeaderSize = 92
	gptEntry      = 128
)

// gpt is the GUID partition table in a system area. Its slices share that area's memory.
type gpt struct {
	header  []byte // 92 bytes
	entries []byte // count × 128 bytes
	at      int    // byte offset of entries
}

// parseGPT finds a table. Without a table it returns nil and no error.
func parseGPT(head []byte) (*gpt, error) {
	h := head[gptHeaderAt:][:gptHeaderSize]
	if string(h[:8]) != gptMagic {
		return nil, nil
	}
	if le32(h[12:]) != gptHeaderSize || le32(h[84:]) != gptEntry {
		return nil, errors.New("unusual sizes")
	}
	start, count := le64(h[72:]), uint64(le32(h[80:]))
	limit := uint64(len(head))
	if start < 2 || start > limit/blockSize || count == 0 || count > (limit-start*blockSize)/gptEntry {
		return nil, errors.New("the entries are outside of the system area")
	}
	g := &gpt{header: h, at: int(start) * blockSize}
	g.entries = head[g.at:][:count*gptEntry]
	if headerSum(h) != le32(h[16:]) || crc32.ChecksumIEEE(g.entries) != le32(h[88:]) {
		return nil, errors.New("wrong checksum")
	}
	return g, nil
}

// headerSum is the header's CRC, computed with the field itself set to zero.
func headerSum(h []byte) uint32 {
	c := append([]byte(nil), h...)
	clear(c[16:20])
	return crc32.ChecksumIEEE(c)
}

func (g *gpt) count() int { return len(g.entries) / gptEntry }

func (g *gpt) entry(i int) []byte { return g.entries[i*gptEntry:][:gptEntry] }

// partition returns an entry; its size is 0 if the entry is unused or inverted.
func (g *gpt) partition(i int) partition {
	e := g.entry(i)
	first, last := le64(e[32:]), le64(e[40:])
	if [16]byte(e[:16]) == [16]byte{} || last < first || last > 1<<40 {
		return partition{}
	}
	return partition{first, last - first + 1}
}

// isGap reports whether an entry of xorriso only fills the space between others: they are named Gap0, Gap1 …
func (g *gpt) isGap(i int) bool {
	units := make([]uint16, 3)
	for k := range units {
		units[k] = le16(g.entry(i)[56+2*k:])
	}
	return string(utf16.Decode(units)) == "Gap"
}

// gpt rewrites a GUID partition table for the new layout, so that UEFI still finds the system partition of a USB
// stick, and returns the backup for the image's end. An invalid table is cleared: half a table is worse than none.
func (m *mover) gpt(head []byte) (backup []byte) {
	g, err := parseGPT(head)
	if err != nil {
		clear(head[gptHeaderAt:][:blockSize])
	}
	if g == nil {
		return nil
	}
	last := m.total - 1 // the backup header's block
	usable := last - uint64(blocks(int64(len(g.entries)))) - 1
	for i := range g.count() {
		m.gptEntry(g, i, usable)
	}
	le := binary.LittleEndian
	le.PutUint64(g.header[24:], 1)
	le.PutUint64(g.header[32:], last)
	le.PutUint64(g.header[48:], usable)
	le.PutUint32(g.header[88:], crc32.ChecksumIEEE(g.entries))
	le.PutUint32(g.header[16:], headerSum(g.header))
	return g.backup(last, usable+1)
}

func (m *mover) gptEntry(g *gpt, i int, usable uint64) {
	old := g.partition(i)
	p, f := m.moved(old)
	if old.size == 0 || f == fateDrop || g.isGap(i) && m.bootsFrom(g) { // its boot image may now lie in the gap
		clear(g.entry(i))
		return
	}
	end := min(p.start+p.size-1, usable)
	binary.LittleEndian.PutUint64(g.entry(i)[32:], p.start)
	binary.LittleEndian.PutUint64(g.entry(i)[40:], end)
}

// bootsFrom reports whether a table has a boot image as a partition.
func (m *mover) bootsFrom(g *gpt) bool {
	for i := range g.count() {
		if f, _ := m.img.fate(g.partition(i)); f == fateBoot && g.partition(i).size != 0 {
			return true
		}
	}
	return false
}

// backup returns the copy of the table: entries first, then a backup header.
func (g *gpt) backup(last, entriesAt uint64) []byte {
	b := make([]byte, int(last+1-entriesAt)*blockSize)
	copy(b, g.entries)
	h := b[len(b)-blockSize:][:gptHeaderSize]
	copy(h, g.header)
	binary.LittleEndian.PutUint64(h[24:], last)
	binary.LittleEndian.PutUint64(h[32:], 1)
	binary.LittleEndian.PutUint64(h[72:], entriesAt)
	binary.LittleEndian.PutUint32(h[16:], headerSum(h))
	return b
}
