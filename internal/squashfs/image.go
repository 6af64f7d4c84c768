package squashfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// rawMetaBlock in a metadata block's header marks an uncompressed block.
const rawMetaBlock = 0x8000

// metaBlock is one decoded metadata block.
type metaBlock struct {
	data []byte
	// next is the offset of the following block of the same table.
	next uint64
}

// image is the bytes of an image with a cache of decoded metadata blocks.
type image struct {
	r      io.ReaderAt
	used   uint64 // length of the image without padding
	codec  codec
	blocks cache[uint64, metaBlock]
}

// readAt fills b from offset off of the image, and never reads beyond the used part.
func (im *image) readAt(b []byte, off uint64) error {
	n := uint64(len(b))
	if off > im.used || n > im.used-off {
		return corrupt("%d bytes at %d are beyond the end at %d", n, off, im.used)
	}
	got, err := im.r.ReadAt(b, int64(off))
	if got == len(b) {
		return nil
	}
	// The file is shorter than the size given to Open. Never wrap io.EOF: callers would read it as a clean end.
	if err == nil || errors.Is(err, io.EOF) {
		return corrupt("truncated: %d of %d bytes at %d", got, n, off)
	}
	return fmt.Errorf("read %d bytes at %d: %w", n, off, err)
}

// metaAt returns the metadata block at off. Callers must not change its data.
func (im *image) metaAt(off uint64) (metaBlock, error) {
	if m, ok := im.blocks.get(off); ok {
		return m, nil
	}
	m, err := im.readMeta(off)
	if err == nil {
		im.blocks.put(off, m)
	}
	return m, err
}

func (im *image) readMeta(off uint64) (metaBlock, error) {
	var header [2]byte
	if err := im.readAt(header[:], off); err != nil {
		return metaBlock{}, err
	}
	word := binary.LittleEndian.Uint16(header[:])
	size := int(word &^ rawMetaBlock)
	if size == 0 || size > metaSize {
		return metaBlock{}, corrupt("metadata block of %d bytes at %d", size, off)
	}
	stored := make([]byte, size)
	if err := im.readAt(stored, off+2); err != nil {
		return metaBlock{}, err
	}
	m := metaBlock{data: stored, next: off + 2 + uint64(size)}
	if word&rawMetaBlock != 0 {
		return m, nil
	}
	m.data = make([]byte, metaSize)
	n, err := decompress(im.codec, m.data, stored)
	if err != nil {
		return metaBlock{}, corrupt("metadata block at %d: %v", off, err)
	}
	if n == 0 {
		return metaBlock{}, corrupt("empty metadata block at %d", off)
	}
	m.data = m.data[:n]
	return m, nil
}

// place is a position in a table: a byte of the metadata block at block.
type place struct {
	block uint64
	off   int
}

// cursor reads the byte stream of consecutive metadata blocks.
type cursor struct {
	from *image
	at   place // of the first unread byte
	data []byte
	next uint64
}

// cursorAt starts at byte off of the block that is block bytes into the table at base.
func (im *image) cursorAt(base, block uint64, off uint16) (cursor, error) {
	c, err := im.resume(place{base + block, int(off)})
	if err == nil && c.at.off == len(c.data) {
		return cursor{}, corrupt("offset %d in a metadata block of %d bytes", off, len(c.data))
	}
	return c, err
}

// resume returns a cursor at an earlier cursor's place.
func (im *image) resume(at place) (cursor, error) {
	m, err := im.metaAt(at.block)
	if err != nil {
		return cursor{}, err
	}
	if at.off > len(m.data) {
		return cursor{}, corrupt("offset %d in a metadata block of %d bytes", at.off, len(m.data))
	}
	return cursor{from: im, at: at, data: m.data, next: m.next}, nil
}

// take returns the next n bytes; its callers need at most 4 KiB. They must not change them.
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
		m, err := c.from.metaAt(c.next)
		if err != nil {
			return nil, err
		}
		c.at, c.data, c.next = place{block: c.next}, m.data, m.next
	}
}

// lookup returns the record with number i of a two-level table: an array at start has the positions of metadata
// blocks, which contain the records of size bytes each. Nothing is read ahead, so a table that claims millions of
// records costs nothing.
func (im *image) lookup(start uint64, i uint32, size int) ([]byte, error) {
	perBlock := uint32(metaSize / size)
	var pointer [8]byte
	if err := im.readAt(pointer[:], start+uint64(i/perBlock)*8); err != nil {
		return nil, err
	}
	m, err := im.metaAt(binary.LittleEndian.Uint64(pointer[:]))
	if err != nil {
		return nil, err
	}
	off := int(i%perBlock) * size
	if off+size > len(m.data) {
		return nil, corrupt("record %d lies beyond its table block", i)
	}
	return m.data[off : off+size], nil
}

// owners reads the owner table with count entries: inodes name users and groups by their index in it. The count has
// 16 bits, so the table has at most 256 KiB.
func (im *image) owners(table uint64, count uint16) ([]uint32, error) {
	if count == 0 {
		return nil, corrupt("no owners")
	}
	ids := make([]uint32, count)
	for i := range ids {
		b, err := im.lookup(table, uint32(i), 4)
		if err != nil {
			return nil, err
		}
		ids[i] = binary.LittleEndian.Uint32(b)
	}
	return ids, nil
}

// cache keeps the newest values, at most limit of them. It is safe for concurrent use; two concurrent misses both
// compute the value.
type cache[K comparable, V any] struct {
	mu    sync.Mutex
	limit int
	items map[K]V
	order []K // oldest first
}

func (c *cache[K, V]) get(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.items[key]
	return v, ok
}

func (c *cache[K, V]) put(key K, value V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.items == nil {
		c.items = make(map[K]V)
	}
	if _, known := c.items[key]; !known {
		c.order = append(c.order, key)
	}
	c.items[key] = value
	if len(c.order) > c.limit {
		delete(c.items, c.order[0])
		c.order = c.order[1:]
	}
}
