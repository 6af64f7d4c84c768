package iso9660

import (
	"encoding/binary"
	"fmt"
	"slices"
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
	if p.start <= volumeStart && p.start+p.size+volumeSlack >= uint64(img.sectors)*blocksPerSec {
		return fateVolume, 0
	}
	return fateDrop, 0
}

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
				"MBR partition %d (type %#02x, %d blocks at %d) is no file of the image: dropped", i+1, e[4], p.size, p.start))
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
				"GPT partition %d (%d blocks at %d) is no file of the image: dropped", i+1, p.size, p.start))
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

// systemArea returns the system area for the new layout and the backup GPT for its end. The
// boot code stays as it is; the addresses in it are moved to where things are now.
func (l *layout) systemArea() (head, backup []byte) {
	head = make([]byte, systemSectors*sectorSize)
	copy(head, l.img.System)
	if !l.img.hybrid() {
		return head, nil
	}
	l.moveBootPointer(head)
	for i := range 4 {
		l.movePartition(head[mbrTable+i*mbrEntry:][:mbrEntry])
	}
	for _, off := range applePartitions(head) {
		clear(head[off : off+blockSize])
	}
	return head, l.moveGPT(head)
}

// moveBootPointer mends the address that isohybrid's boot code loads isolinux from. GRUB's
// code has it at the same place and 4 blocks further.
func (l *layout) moveBootPointer(head []byte) {
	at := le64(head[mbrPointer:])
	for i := range l.img.Boot {
		old := uint64(l.img.Boot[i].lba) * blocksPerSec
		if old == 0 || at != old && at != old+blocksPerSec {
			continue
		}
		moved := uint64(l.boot[i].lba)*blocksPerSec + at - old
		binary.LittleEndian.PutUint64(head[mbrPointer:], moved)
		return
	}
}

// moved returns where a partition is now.
func (l *layout) moved(p partition) (partition, fate) {
	f, i := l.img.fate(p)
	switch f {
	case fateBoot:
		return partition{uint64(l.boot[i].lba) * blocksPerSec, uint64(blocks(l.boot[i].file.Size))}, f
	case fateVolume:
		return partition{p.start, uint64(l.total)*blocksPerSec - p.start}, f
	}
	return partition{}, f
}

// movePartition mends one entry of the MBR's table. A volume that began behind the system area
// had a second set of structures for that; the new one begins at 0 (or 1, for a protective
// entry, as UEFI 5.2.3 wants it).
func (l *layout) movePartition(e []byte) {
	old := mbrPart(e)
	if old.size == 0 {
		return
	}
	if f, _ := l.img.fate(old); f == fateVolume && old.start > 1 {
		old.start = 0
		copy(e[1:4], []byte{0, 1, 0})
	}
	p, f := l.moved(old)
	if f == fateDrop {
		clear(e)
		return
	}
	binary.LittleEndian.PutUint32(e[8:], uint32(min(p.start, 1<<32-1)))
	binary.LittleEndian.PutUint32(e[12:], uint32(min(p.size, 1<<32-1)))
	heads, perHead := l.img.geometry()
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
