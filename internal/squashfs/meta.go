package squashfs

import (
	"encoding/binary"
)

// metaSize is the decoded length of every metadata block but the last of its table.
const metaSize = 8192

// rawMetaBlock in a metadata block's header marks a block that is stored uncompressed.
const rawMetaBlock = 0x8000

// metaBlock is one decoded metadata block.
type metaBlock struct {
	data []byte
	// next is where the following block of the same table starts in the image.
	next uint64
}

// metaAt returns the metadata block that is stored at off. Its data must not be changed.
func (f *FS) metaAt(off uint64) (metaBlock, error) {
	if m, ok := f.meta.get(off); ok {
		return m, nil
	}
	m, err := f.readMeta(off)
	if err == nil {
		f.meta.put(off, m)
	}
	return m, err
}

func (f *FS) readMeta(off uint64) (metaBlock, error) {
	var header [2]byte
	if err := f.readAt(header[:], off); err != nil {
		return metaBlock{}, err
	}
	word := binary.LittleEndian.Uint16(header[:])
	size := int(word &^ rawMetaBlock)
	if size == 0 || size > metaSize {
		return metaBlock{}, corrupt("metadata block of %d bytes at %d", size, off)
	}
	stored := make([]byte, size)
	if err := f.readAt(stored, off+2); err != nil {
		return metaBlock{}, err
	}
	m := metaBlock{data: stored, next: off + 2 + uint64(size)}
	if word&rawMetaBlock != 0 {
		return m, nil
	}
	m.data = make([]byte, metaSize)
	n, err := decompress(f.codec, m.data, stored)
	if err != nil {
		return metaBlock{}, corrupt("metadata block at %d: %v", off, err)
	}
	if n == 0 {
		return metaBlock{}, corrupt("empty metadata block at %d", off)
	}
	m.data = m.data[:n]
	return m, nil
}

// place is a position in a table: a byte of the metadata block that is stored at block.
type place struct {
	block uint64
	off   int
}

// cursor reads the byte stream that a run of metadata blocks holds.
type cursor struct {
	fs   *FS
	at   place // of the first byte that was not read
	data []byte
	next uint64
}

// cursorAt starts at byte off of the block that lies block bytes into the table at base.
func (f *FS) cursorAt(base, block uint64, off uint16) (cursor, error) {
	c, err := f.resume(place{base + block, int(off)})
	if err == nil && c.at.off == len(c.data) {
		return cursor{}, corrupt("offset %d in a metadata block of %d bytes", off, len(c.data))
	}
	return c, err
}

// resume returns a cursor at a place where another one was.
func (f *FS) resume(at place) (cursor, error) {
	m, err := f.metaAt(at.block)
	if err != nil {
		return cursor{}, err
	}
	if at.off > len(m.data) {
		return cursor{}, corrupt("offset %d in a metadata block of %d bytes", at.off, len(m.data))
	}
	return cursor{fs: f, at: at, data: m.data, next: m.next}, nil
}

// take returns the next n bytes, at most 4 KiB by its callers' limits. They must not be changed.
func (c *cursor) take(n int) ([]byte, error) {
	if n <= len(c.data)-c.at.off {
		b := c.data[c.at.off : c.at.off+n : c.at.off+n]
		c.at.off += n
		return b, nil
	}
	b := make([]byte, 0, n)
	for {
		part := min(n-len(b), len(c.data)-c.at.off)
		b = append(b, c.data[c.at.off:c.at.off+part]...)
		c.at.off += part
		if len(b) == n {
			return b, nil
		}
		m, err := c.fs.metaAt(c.next)
		if err != nil {
			return nil, err
		}
		c.at, c.data, c.next = place{block: c.next}, m.data, m.next
	}
}

// lookup returns the record with number i of a two-level table: at start lies an array of the
// positions of metadata blocks, and those hold the records, each size bytes long. Nothing is
// read ahead, so a table that claims millions of records costs nothing.
func (f *FS) lookup(start uint64, i uint32, size int) ([]byte, error) {
	perBlock := uint32(metaSize / size)
	var pointer [8]byte
	if err := f.readAt(pointer[:], start+uint64(i/perBlock)*8); err != nil {
		return nil, err
	}
	m, err := f.metaAt(binary.LittleEndian.Uint64(pointer[:]))
	if err != nil {
		return nil, err
	}
	off := int(i%perBlock) * size
	if off+size > len(m.data) {
		return nil, corrupt("record %d lies beyond its table block", i)
	}
	return m.data[off : off+size], nil
}

// readIDs reads the owner table: inodes name users and groups by their index in it. Its count
// is 16 bits wide, so it takes 256 KiB at most.
func (f *FS) readIDs() ([]uint32, error) {
	if f.super.idCount == 0 {
		return nil, corrupt("no owners")
	}
	ids := make([]uint32, f.super.idCount)
	for i := range ids {
		b, err := f.lookup(f.super.idTable, uint32(i), 4)
		if err != nil {
			return nil, err
		}
		ids[i] = binary.LittleEndian.Uint32(b)
	}
	return ids, nil
}
