package iso9660

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"unicode/utf16"
)

// Layout of a master boot record as isohybrid images have it (syslinux doc/isolinux.txt,
// "HYBRID CD-ROM/HARD DISK MODE").
const (
	mbrPointer   = 432 // where the boot file lies, in 512-byte blocks
	mbrTable     = 446
	mbrEntry     = 16
	mbrSignature = 510
	mbrGPT       = 0xee // partition type of a protective entry

	// volumeStart is the highest start of a partition that holds the volume itself: xorriso
	// lets it start behind the system area.
	volumeStart = systemSectors * blocksPerSec
	// volumeSlack is how many blocks such a partition may be shorter than the volume: xorriso
	// leaves out the backup GPT.
	volumeSlack = 1024
)

// partition is one entry of a partition table in 512-byte blocks.
type partition struct{ start, size uint64 }

// fate is what becomes of a partition in the new image.
type fate int

const (
	fateDrop   fate = iota // it points to nothing that the new image has
	fateVolume             // it is the volume itself
	fateBoot               // it is a boot image, say an EFI system partition
)

// fate decides by where the source had things.
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

// isEnd reports whether a partition that ends at a block covers the volume: up to its end, or to a boot image that
// xorriso has appended as a partition of its own.
func (img *Image) isEnd(block uint64) bool {
	appended := func(e BootEntry) bool { return e.lba != 0 && uint64(e.lba)*blocksPerSec == block }
	return block+volumeSlack >= uint64(img.sectors)*blocksPerSec || slices.ContainsFunc(img.Boot, appended)
}

// whyDropped says of a partition what it is, and why the new image will not have it.
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

// mbrEFI is the type of an EFI system partition in an MBR, gptEFI the same in a GPT.
const mbrEFI, gptEFI = 0xef, "\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b"

// Hybrid reports whether the image, as it was read or is to be written, also boots from a USB stick
// that its bytes are written to: its first sector is a boot record with code and a partition.
func (img *Image) Hybrid() bool {
	if len(img.System) <= mbrSignature+1 || img.System[mbrSignature] != 0x55 || img.System[mbrSignature+1] != 0xaa {
		return false
	}
	code, table := img.System[:mbrTable], img.System[mbrTable:mbrSignature]
	return slices.ContainsFunc(code, nonzero) && slices.ContainsFunc(table, nonzero)
}

func nonzero(b byte) bool { return b != 0 }

// hybrid reports whether the source's system area holds a partition table to be kept right.
func (img *Image) hybrid() bool {
	return img.sectors != 0 && len(img.System) == systemSectors*sectorSize &&
		img.System[mbrSignature] == 0x55 && img.System[mbrSignature+1] == 0xaa
}

func mbrPart(e []byte) partition {
	return partition{uint64(le32(e[8:])), uint64(le32(e[12:]))}
}

// noteSystemArea tells what of the system area a new image will not have.
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
		// What mkisofs calls gaps only covers the blocks between the others.
		if f, _ := img.fate(p); p.size != 0 && f == fateDrop && !g.isGap(i) {
			img.Notes = append(img.Notes, fmt.Sprintf(
				"GPT partition %d (%d blocks at %d)%s", i+1, p.size, p.start, img.whyDropped(p, string(g.entry(i)[:16]) == gptEFI)))
		}
	}
}

// alignHybrid rounds a number of sectors up to whole cylinders when the source's partition
// table has a geometry: some BIOSes refuse a USB stick whose last cylinder is not complete.
func (img *Image) alignHybrid(total uint64) uint64 {
	heads, perHead := img.geometry()
	cylinder := heads * perHead
	if cylinder == 0 || cylinder%blocksPerSec != 0 {
		return total
	}
	cylinder /= blocksPerSec
	return (total + cylinder - 1) / cylinder * cylinder
}

// geometry returns the heads and sectors that the volume's partition entry ends with; zeros
// when there is no such entry, or it is one whose end means nothing.
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

// moveSystemArea returns the system area for a layout and the backup GPT for its end. The
// boot code stays as it is; the addresses in it are moved to where things are now.
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

// mover changes addresses to where the new layout has things.
type mover struct {
	img   *Image
	boot  []*blob // parallel to img.Boot
	total uint64  // blocks of the new image
}

// bootPointer changes the address that isohybrid's boot code loads isolinux from. GRUB's
// code has it at the same place and 4 blocks further.
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

// moved returns where a partition is now.
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

// partition changes one entry of the MBR's table. A volume that began behind the system area
// had a second set of structures for that; the new one begins at 0 (or 1, for a protective
// entry, as UEFI 5.2.3 wants it).
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

// applePartitions returns where entries of an Apple partition map are. They describe block
// numbers of the old image, and no boot of an x86 machine reads them.
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

// gpt is the GUID partition table in a system area. Its slices are parts of that area.
type gpt struct {
	header  []byte // 92 bytes
	entries []byte // count × 128 bytes
	at      int    // byte offset of entries
}

// parseGPT finds a table. It returns nil without an error when there is none.
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

// headerSum is the header's CRC, computed with the field itself at zero.
func headerSum(h []byte) uint32 {
	c := append([]byte(nil), h...)
	clear(c[16:20])
	return crc32.ChecksumIEEE(c)
}

func (g *gpt) count() int { return len(g.entries) / gptEntry }

func (g *gpt) entry(i int) []byte { return g.entries[i*gptEntry:][:gptEntry] }

// partition returns an entry; its size is 0 when the entry is unused or inverted.
func (g *gpt) partition(i int) partition {
	e := g.entry(i)
	first, last := le64(e[32:]), le64(e[40:])
	if [16]byte(e[:16]) == [16]byte{} || last < first || last > 1<<40 {
		return partition{}
	}
	return partition{first, last - first + 1}
}

// isGap reports whether xorriso made an entry only to fill the space between others: it names
// these Gap0, Gap1 …
func (g *gpt) isGap(i int) bool {
	units := make([]uint16, 3)
	for k := range units {
		units[k] = le16(g.entry(i)[56+2*k:])
	}
	return string(utf16.Decode(units)) == "Gap"
}

// gpt rewrites a GUID partition table for the new layout, so that UEFI still finds the
// system partition of a USB stick, and returns the backup that belongs at the image's end. A
// table that is not right already is cleared: half a table is worse than none.
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
	if old.size == 0 || f == fateDrop || g.isGap(i) && m.bootsFrom(g) { // its boot image may lie where the gap was
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

// backup returns the copy of the table: entries first, then a header that says so.
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
