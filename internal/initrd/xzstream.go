package initrd

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// xzStream passes on one xz stream (xz-file-format 1.1.0 §2.1) and then returns io.EOF. The decoder
// reads ahead, and an xz stream says nowhere in front how long it is, so its parts are walked:
// blocks are LZMA2 chunks, and those have their sizes in front, whatever filters follow.
type xzStream struct {
	in    *bufio.Reader
	part  bounded
	state func() (int64, error) // returns the length of the next part
	check int64                 // size of the check behind each block
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

// header passes the stream header, 12 bytes, of which one tells the kind of check.
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

// blockOrIndex passes a block header, or the index indicator and the number of records.
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

// chunk passes one LZMA2 chunk: its control byte decides what follows.
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

// blockEnd passes padding and check. Block headers are multiples of four bytes long already.
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

// indexNumber passes one number of the index, two of which make a record.
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

// number decodes the variable-length number that is skip bytes ahead, and returns its length.
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
