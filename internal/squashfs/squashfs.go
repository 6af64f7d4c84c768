// Package squashfs reads squashfs 4.0 images, the format of Tiny Core extensions and of many
// live systems. It decodes gzip, xz (with BCJ filters), zstd, lzo and lz4 images with blocks of
// 4 KiB to 1 MiB, and gives every file type with its exact mode, owner, device number and links.
//
// An image is untrusted input: every offset, count and length is checked against what the image
// can hold, no allocation follows a number that was only claimed, a directory loop is an error,
// and a panic in a decompressor becomes an error of that image.
//
// The package does not write images, does not decode extended attributes (they are skipped) and
// refuses squashfs 1 to 3 and lzma compression.
//
// The on-disk format is described in Documentation/filesystems/squashfs.rst and
// fs/squashfs/squashfs_fs.h of the Linux kernel.
package squashfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// ErrNotSquashfs says that the data does not start with the squashfs magic.
var ErrNotSquashfs = errors.New("not a squashfs image")

// ErrCorrupt says that an image contradicts itself, is truncated or does not decompress.
var ErrCorrupt = errors.New("corrupt squashfs image")

// ErrUnsupported says that an image is squashfs, but of a version or compression that this
// package does not read.
var ErrUnsupported = errors.New("unsupported squashfs image")

// FS is one open image. Its methods can be called from several goroutines at once.
type FS struct {
	// ModTime is when the image was made, in seconds since 1970-01-01 UTC.
	ModTime int64
	// BlockSize is the length of a full data block in bytes.
	BlockSize int
	// Compression is the image's compressor: "gzip", "xz", "zstd", "lzo" or "lz4".
	Compression string

	r     io.ReaderAt
	super superblock
	ids   []uint32
	codec codec
	meta  *cache[uint64, metaBlock]
	frags *cache[uint32, []byte]
	// bufs holds *[]byte of BlockSize bytes.
	bufs sync.Pool
}

// Cache bounds. Metadata blocks are 8 KiB decoded, so at most 1 MiB of them; fragments at most
// 1 MiB, but never fewer than two, since neighbouring files alternate between two at a border.
const (
	metaCacheBlocks    = 128
	fragmentCacheBytes = 1 << 20
	fragmentCacheMin   = 2
)

// Open reads the superblock and the owner table of an image of size bytes. It fails with
// [ErrNotSquashfs], [ErrUnsupported] or [ErrCorrupt]. Bytes after the end that the superblock
// names are padding and are ignored.
func Open(r io.ReaderAt, size int64) (*FS, error) {
	head, err := readHead(r, size)
	if err != nil {
		return nil, fmt.Errorf("open squashfs image: %w", err)
	}
	super, err := parseSuperblock(head, size)
	if err != nil {
		return nil, fmt.Errorf("open squashfs image: %w", err)
	}
	f := &FS{
		ModTime:   int64(super.modTime),
		BlockSize: int(super.blockSize),
		r:         r,
		super:     super,
		meta:      newCache[uint64, metaBlock](metaCacheBlocks),
		frags:     newCache[uint32, []byte](max(fragmentCacheMin, fragmentCacheBytes/int(super.blockSize))),
	}
	if f.Compression, f.codec, err = newCodec(super.compressor, super.blockSize); err != nil {
		return nil, fmt.Errorf("open squashfs image: %w", err)
	}
	if f.ids, err = f.readIDs(); err != nil {
		return nil, fmt.Errorf("open squashfs image: read owner table: %w", err)
	}
	return f, nil
}

// readHead returns the start of the data, as much as the format checks need.
func readHead(r io.ReaderAt, size int64) ([]byte, error) {
	head := make([]byte, min(max(size, 0), 512))
	n, err := r.ReadAt(head, 0)
	if n < len(head) && err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return head[:n], nil
}

// superblock is the fixed header of an image (struct squashfs_super_block).
type superblock struct {
	modTime    uint32
	blockSize  uint32
	fragments  uint32
	compressor uint16
	idCount    uint16
	root       uint64
	used       uint64
	idTable    uint64
	inodeTable uint64
	dirTable   uint64
	fragTable  uint64
}

const (
	superblockSize = 96
	minBlockLog    = 12
	maxBlockLog    = 20
	// noTable in a table position means that the image has no such table.
	noTable = ^uint64(0)
)

func parseSuperblock(b []byte, size int64) (superblock, error) {
	var s superblock
	if err := checkMagic(b); err != nil {
		return s, err
	}
	if len(b) < superblockSize {
		return s, corrupt("truncated: %d bytes, the superblock alone takes %d", size, superblockSize)
	}
	le := binary.LittleEndian
	if major, minor := le.Uint16(b[28:]), le.Uint16(b[30:]); major != 4 || minor != 0 {
		return s, fmt.Errorf("%w: version %d.%d, only 4.0 is read", ErrUnsupported, major, minor)
	}
	s = superblock{
		modTime:    le.Uint32(b[8:]),
		blockSize:  le.Uint32(b[12:]),
		fragments:  le.Uint32(b[16:]),
		compressor: le.Uint16(b[20:]),
		idCount:    le.Uint16(b[26:]),
		root:       le.Uint64(b[32:]),
		used:       le.Uint64(b[40:]),
		idTable:    le.Uint64(b[48:]),
		inodeTable: le.Uint64(b[64:]),
		dirTable:   le.Uint64(b[72:]),
		fragTable:  le.Uint64(b[80:]),
	}
	if log := le.Uint16(b[22:]); log < minBlockLog || log > maxBlockLog || s.blockSize != 1<<log {
		return s, corrupt("block size %d with logarithm %d", s.blockSize, log)
	}
	if s.used < superblockSize {
		return s, corrupt("claims %d bytes in all", s.used)
	}
	if s.used > uint64(size) {
		return s, corrupt("truncated: %d bytes of %d", size, s.used)
	}
	return s, nil
}

// checkMagic tells a squashfs image from other data, and names the other data where a person
// would have wanted to know: a mirror that answers with a web page, a big-endian image.
func checkMagic(b []byte) error {
	switch {
	case bytes.HasPrefix(b, []byte("hsqs")):
		return nil
	case len(b) == 0:
		return fmt.Errorf("%w: the file is empty", ErrNotSquashfs)
	case bytes.HasPrefix(b, []byte("sqsh")):
		return fmt.Errorf("%w: big-endian", ErrUnsupported)
	case looksLikeHTML(b):
		return fmt.Errorf("%w: it is an HTML page", ErrNotSquashfs)
	}
	return fmt.Errorf("%w: it starts with %q", ErrNotSquashfs, b[:min(len(b), 8)])
}

func looksLikeHTML(b []byte) bool {
	b = bytes.ToLower(b)
	return bytes.Contains(b, []byte("<!doctype")) || bytes.Contains(b, []byte("<html"))
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// readAt fills b from offset off of the image, and never reads beyond the used part.
func (f *FS) readAt(b []byte, off uint64) error {
	n := uint64(len(b))
	if off > f.super.used || n > f.super.used-off {
		return corrupt("%d bytes at %d are beyond the end at %d", n, off, f.super.used)
	}
	got, err := f.r.ReadAt(b, int64(off))
	if got == len(b) {
		return nil
	}
	// The file is shorter than Open was told. Never wrap io.EOF: callers take it for a clean end.
	if err == nil || errors.Is(err, io.EOF) {
		return corrupt("truncated: %d of %d bytes at %d", got, n, off)
	}
	return fmt.Errorf("read %d bytes at %d: %w", n, off, err)
}

// buffer lends a block-sized buffer; give it back with f.bufs.Put.
func (f *FS) buffer() *[]byte {
	if b, ok := f.bufs.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, f.BlockSize)
	return &b
}
