package iso9660

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"unicode/utf16"
)

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

// moveGPT rewrites a GUID partition table for the new layout, so that UEFI still finds the
// system partition of a USB stick, and returns the backup that belongs at the image's end. A
// table that is not right already is cleared: half a table is worse than none.
func (l *layout) moveGPT(head []byte) (backup []byte) {
	g, err := parseGPT(head)
	if err != nil {
		clear(head[gptHeaderAt:][:blockSize])
	}
	if g == nil {
		return nil
	}
	last := uint64(l.total)*blocksPerSec - 1 // the backup header's block
	usable := last - uint64(blocks(int64(len(g.entries)))) - 1
	for i := range g.count() {
		l.moveGPTEntry(g, i, usable)
	}
	le := binary.LittleEndian
	le.PutUint64(g.header[24:], 1)
	le.PutUint64(g.header[32:], last)
	le.PutUint64(g.header[48:], usable)
	le.PutUint32(g.header[88:], crc32.ChecksumIEEE(g.entries))
	le.PutUint32(g.header[16:], headerSum(g.header))
	return g.backup(last, usable+1)
}

func (l *layout) moveGPTEntry(g *gpt, i int, usable uint64) {
	old := g.partition(i)
	p, f := l.moved(old)
	if old.size == 0 || f == fateDrop {
		clear(g.entry(i))
		return
	}
	end := min(p.start+p.size-1, usable)
	binary.LittleEndian.PutUint64(g.entry(i)[32:], p.start)
	binary.LittleEndian.PutUint64(g.entry(i)[40:], end)
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
