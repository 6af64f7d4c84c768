package initrd

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// errFrame says that a compressed stream's outer structure is broken.
var errFrame = errors.New("broken structure of the compressed stream")

// bounded passes on the next n bytes of in, whose absence is an error.
type bounded struct {
	in *bufio.Reader
	n  int64
}

func (b *bounded) read(p []byte) (int, error) {
	if int64(len(p)) > b.n {
		p = p[:b.n]
	}
	n, err := b.in.Read(p)
	b.n -= int64(n)
	return n, noEOF(err)
}

// peek returns the next n bytes, whose absence is an error.
func (b *bounded) peek(n int) ([]byte, error) {
	p, err := b.in.Peek(n)
	return p, noEOF(err)
}

// zstdFrame passes on one zstd frame (RFC 8878 §3.1.1) and then returns io.EOF: the decoder would
// take the bytes behind a frame for the next one.
type zstdFrame struct {
	in       *bufio.Reader
	part     bounded
	started  bool
	last     bool // the last block is being passed on
	checksum bool
}

func (z *zstdFrame) Read(p []byte) (int, error) {
	if z.part.n == 0 {
		z.part.in = z.in
		n, err := z.nextPart()
		if err != nil {
			return 0, err
		}
		z.part.n = n
	}
	return z.part.read(p)
}

// nextPart returns the length of the next header, block or checksum.
func (z *zstdFrame) nextPart() (int64, error) {
	switch {
	case !z.started:
		z.started = true
		return z.header()
	case !z.last:
		return z.block()
	case z.checksum:
		z.checksum = false
		return 4, nil
	}
	return 0, io.EOF
}

// header returns the length of the magic number and the frame header.
func (z *zstdFrame) header() (int64, error) {
	b, err := z.part.peek(5)
	if err != nil {
		return 0, err
	}
	descriptor := b[4]
	z.checksum = descriptor&4 != 0
	single := descriptor&0x20 != 0
	n := int64(5) + [...]int64{0, 1, 2, 4}[descriptor&3] + [...]int64{0, 2, 4, 8}[descriptor>>6]
	if !single {
		n++ // window descriptor
	} else if descriptor>>6 == 0 {
		n++ // one-byte content size
	}
	return n, nil
}

// block returns the length of the next block with its header.
func (z *zstdFrame) block() (int64, error) {
	b, err := z.part.peek(3)
	if err != nil {
		return 0, err
	}
	h := binary.LittleEndian.Uint32([]byte{b[0], b[1], b[2], 0})
	z.last = h&1 != 0
	switch h >> 1 & 3 {
	case 1: // one byte, repeated
		return 3 + 1, nil
	case 3:
		return 0, errFrame
	}
	return 3 + int64(h>>3), nil
}
