package initrd

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/pierrec/lz4/v4"
)

const (
	lz4Magic = 0x184c2102
	lz4Block = 8 << 20 // unpacked size of all blocks but the last
)

// lz4Legacy unpacks the legacy lz4 format (lz4 -l), the only one that kernels take: a magic number
// and blocks that have their packed size in front. The format has no end. The member ends with the
// file, with padding, or where no block size can be, as lib/decompress_unlz4.c has it.
type lz4Legacy struct {
	in      *bufio.Reader
	started bool
	packed  []byte
	buf     []byte // all of an unpacked block
	rest    []byte // what has not been read of it
}

func (z *lz4Legacy) Read(p []byte) (int, error) {
	for len(z.rest) == 0 {
		if err := z.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, z.rest)
	z.rest = z.rest[n:]
	return n, nil
}

// next unpacks the next block, or returns io.EOF at the end of the member.
func (z *lz4Legacy) next() error {
	size, err := z.blockSize()
	if err != nil {
		return err
	}
	if z.buf == nil {
		z.packed = make([]byte, lz4.CompressBlockBound(lz4Block))
		z.buf = make([]byte, lz4Block)
	}
	if _, err := io.ReadFull(z.in, z.packed[:size]); err != nil {
		return noEOF(err)
	}
	n, err := lz4.UncompressBlock(z.packed[:size], z.buf)
	if err != nil {
		return fmt.Errorf("lz4: %w", err)
	}
	z.rest = z.buf[:n]
	return nil
}

// blockSize reads the size of the next block and any magic number before it.
func (z *lz4Legacy) blockSize() (int, error) {
	for {
		b, err := z.in.Peek(4)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if len(b) < 4 {
			return 0, io.EOF // at most padding
		}
		size := binary.LittleEndian.Uint32(b)
		switch {
		case size == lz4Magic:
			z.started = true
		case !z.started || size == 0 || size > uint32(lz4.CompressBlockBound(lz4Block)):
			return 0, io.EOF
		}
		if _, err := z.in.Discard(4); err != nil {
			return 0, err
		}
		if size != lz4Magic {
			return int(size), nil
		}
	}
}
