package initrd

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/pierrec/lz4/v4"
)

// errFrame is returned for a broken outer structure of a compressed stream.
var errFrame = errors.New("broken structure of the compressed stream")

// bounded passes on the next n bytes of in. A premature end is an error.
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

// peek returns the next n bytes. A premature end is an error.
func (b *bounded) peek(n int) ([]byte, error) {
	p, err := b.in.Peek(n)
	return p, noEOF(err)
}

// noEOF turns io.EOF into io.ErrUnexpectedEOF where more input is expected.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// xzStream passes on one xz stream (xz-file-format 1.1.0 §2.1) and then returns io.EOF. The decoder reads ahead,
// and an xz stream does not begin with its length. So xzStream walks its parts: blocks are LZMA2 chunks, which
// begin with their sizes, whatever filters follow.
type xzStream struct {
	in    *bufio.Reader
	part  bounded
	state func() (int64, error) // returns the length of the next part
	check int64                 // size of the check after each block
	block int64                 // bytes of the current block so far, for its padding
	index int64                 // bytes of the index so far
	count uint64                // numbers left in the index
}

func (z *xzStream) Read(p []byte) (int, error) {
	if z.state == nil {
		z.part.in, z.state = z.in, z.header
	}
	for z.part.n == 0 {
		n, err := z.state()
		if err != nil {
			return 0, err
		}
		z.part.n = n
	}
	return z.part.read(p)
}

// header passes on the stream header: 12 bytes, including the type of check.
func (z *xzStream) header() (int64, error) {
	b, err := z.part.peek(12)
	if err != nil {
		return 0, err
	}
	sizes := [...]int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}
	z.check = sizes[b[7]&0x0f]
	z.state = z.blockOrIndex
	return 12, nil
}

// blockOrIndex passes on a block header, or the index indicator and the number of records.
func (z *xzStream) blockOrIndex() (int64, error) {
	b, err := z.part.peek(1)
	if err != nil {
		return 0, err
	}
	if b[0] == 0 {
		return z.indexStart()
	}
	z.block = 0
	z.state = z.chunk
	return (int64(b[0]) + 1) * 4, nil
}

// chunk passes on an LZMA2 chunk; its control byte selects the type.
func (z *xzStream) chunk() (int64, error) {
	b, err := z.part.peek(1)
	if err != nil {
		return 0, err
	}
	control := b[0]
	n := int64(1)
	switch {
	case control == 0: // the end
		z.state = z.blockEnd
	case control >= 0x80:
		if b, err = z.part.peek(5); err != nil {
			return 0, err
		}
		n = 5 + int64(binary.BigEndian.Uint16(b[3:])) + 1
		if control >= 0xc0 {
			n++ // properties
		}
	case control <= 2: // stored
		if b, err = z.part.peek(3); err != nil {
			return 0, err
		}
		n = 3 + int64(binary.BigEndian.Uint16(b[1:])) + 1
	default:
		return 0, fmt.Errorf("xz: %w", errFrame)
	}
	z.block += n
	return n, nil
}

// blockEnd passes on padding and check. Block headers are already multiples of four bytes long.
func (z *xzStream) blockEnd() (int64, error) {
	z.state = z.blockOrIndex
	return -z.block&3 + z.check, nil
}

func (z *xzStream) indexStart() (int64, error) {
	n, records, err := z.number(1)
	if err != nil {
		return 0, err
	}
	z.index, z.count = 1+n, 2*records
	z.state = z.indexNumber
	return 1 + n, nil
}

// indexNumber passes on a number of the index; a record has two.
func (z *xzStream) indexNumber() (int64, error) {
	if z.count == 0 {
		z.state = func() (int64, error) { return 0, io.EOF }
		const crc, footer = 4, 12
		return -z.index&3 + crc + footer, nil
	}
	n, _, err := z.number(0)
	if err != nil {
		return 0, err
	}
	z.index += n
	z.count--
	return n, nil
}

// number decodes the variable-length number after skip bytes, and returns its length.
func (z *xzStream) number(skip int) (length int64, v uint64, err error) {
	for i := range 9 {
		b, err := z.part.peek(skip + i + 1)
		if err != nil {
			return 0, 0, err
		}
		v |= uint64(b[skip+i]&0x7f) << (7 * i)
		if b[skip+i] < 0x80 {
			return int64(i) + 1, v, nil
		}
	}
	return 0, 0, fmt.Errorf("xz: %w", errFrame)
}

// zstdFrame passes on one zstd frame (RFC 8878 §3.1.1) and then returns io.EOF: the decoder would read the bytes
// after it as another frame.
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

const (
	lz4Magic = 0x184c2102
	lz4Block = 8 << 20 // unpacked size of all blocks but the last
)

// lz4Legacy unpacks the legacy lz4 format (lz4 -l), the only lz4 format that kernels support: a magic number and
// blocks that begin with their packed size. The format has no end marker. As in lib/decompress_unlz4.c, the member
// ends with the file, at padding, or at an impossible block size.
type lz4Legacy struct {
	in      *bufio.Reader
	started bool
	packed  []byte
	buf     []byte // all of an unpacked block
	rest    []byte // its unread rest
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
