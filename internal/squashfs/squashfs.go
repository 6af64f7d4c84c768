// Package squashfs reads squashfs 4.0 images, the format of Tiny Core extensions and of many live systems. It
// decodes gzip, xz (with BCJ filters), zstd, lzo and lz4 images with blocks of 4 KiB to 1 MiB. It supports every
// file type with its exact mode, owner, device number and links.
//
// An image is untrusted input. Every offset, count and length is checked against the size of the image. A claimed
// number never determines an allocation. A directory loop is an error, and a panic in a decompressor becomes an
// error of that image.
//
// The package does not write images, skips extended attributes and refuses squashfs 1 to 3 and lzma compression.
//
// The on-disk format is described in Documentation/filesystems/squashfs.rst and fs/squashfs/squashfs_fs.h of the
// Linux kernel. Start reading at [Open] and [FS.Walk].
package squashfs

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// FS is an open image. Its methods are safe for concurrent use.
type FS struct {
	// ModTime is the image's creation time, in seconds since 1970-01-01 UTC.
	ModTime int64
	// BlockSize is the length of a full data block in bytes.
	BlockSize int
	// Compression is the image's compressor: "gzip", "xz", "zstd", "lzo" or "lz4".
	Compression string

	super superblock
	image *image
	ids   []uint32
	frags *cache[uint32, []byte]
	// bufs holds *[]byte of BlockSize bytes.
	bufs sync.Pool
}

// Cache bounds. Decoded metadata blocks have 8 KiB each, at most 1 MiB together. Fragments have at most 1 MiB, but
// there are at least two, because neighbouring files alternate between two at a border.
const (
	metaCacheBlocks    = 128
	fragmentCacheBytes = 1 << 20
	fragmentCacheMin   = 2
)

// Open reads the superblock and the owner table of an image of size bytes. It fails with [ErrNotSquashfs],
// [ErrUnsupported] or [ErrCorrupt]. Bytes after the superblock's end of the image are padding and are ignored.
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
		super:     super,
		image:     &image{r: r, used: super.used, blocks: cache[uint64, metaBlock]{limit: metaCacheBlocks}},
		frags:     &cache[uint32, []byte]{limit: max(fragmentCacheMin, fragmentCacheBytes/int(super.blockSize))},
	}
	if f.Compression, f.image.codec, err = newCodec(super.compressor, super.blockSize); err != nil {
		return nil, fmt.Errorf("open squashfs image: %w", err)
	}
	if f.ids, err = f.image.owners(super.idTable, super.idCount); err != nil {
		return nil, fmt.Errorf("open squashfs image: read owner table: %w", err)
	}
	return f, nil
}

// readHead returns the start of the data, long enough for the format checks.
func readHead(r io.ReaderAt, size int64) ([]byte, error) {
	head := make([]byte, min(max(size, 0), 512))
	n, err := r.ReadAt(head, 0)
	if n < len(head) && err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return head[:n], nil
}

// buffer returns a block-sized buffer; return it with f.bufs.Put.
func (f *FS) buffer() *[]byte {
	if b, ok := f.bufs.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, f.BlockSize)
	return &b
}
