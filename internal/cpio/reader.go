package cpio

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// readBuffer is the read-ahead of a Reader.
const readBuffer = 64 << 10

// Reader iterates over the entries of concatenated archives with any number of NUL bytes between them, like the
// kernel. Every header starts at a multiple of four bytes from the beginning of the input.
type Reader struct {
	r        *bufio.Reader
	cur      *Header
	left     int64 // unread bytes of cur's content
	pad      int64 // padding after it
	sum      uint32
	offset   int64
	archives int
	open     bool // inside an archive, before its trailer
	single   bool
	err      error
}

// NewReader reads from r. If r is a *[bufio.Reader] of at least 64 KiB, it is used directly. At [io.EOF] of a
// single archive (see [Reader.Multistream]) r is then positioned right after that archive.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, readBuffer), open: true}
}

// Multistream sets whether reading continues after a trailer; the default is true. If false, Next returns [io.EOF]
// at the first trailer.
func (d *Reader) Multistream(ok bool) { d.single = !ok }

// Archives returns the number of trailers read so far.
func (d *Reader) Archives() int { return d.archives }

// Offset returns the number of bytes read so far.
func (d *Reader) Offset() int64 { return d.offset }

// Next skips the rest of the current entry and returns the next entry. It does not return trailers. At the end of
// the input it returns [io.EOF] if the last archive is complete, and [io.ErrUnexpectedEOF] if not or if the input
// has no archive. Errors persist.
func (d *Reader) Next() (*Header, error) {
	if d.err != nil {
		return nil, d.err
	}
	d.cur, d.err = d.next()
	return d.cur, d.err
}

func (d *Reader) next() (*Header, error) {
	for {
		if err := d.skip(); err != nil {
			return nil, err
		}
		if d.single && d.archives > 0 {
			return nil, io.EOF
		}
		if err := d.skipNULs(); err != nil {
			return nil, err
		}
		at := d.offset
		h, err := d.readHeader()
		if err != nil {
			return nil, fmt.Errorf("header at byte %d: %w", at, err)
		}
		d.cur, d.left, d.pad, d.sum = h, h.Size, pad4(h.Size), 0
		d.open = h.Name != trailer
		if d.open {
			return h, nil
		}
		d.archives++
	}
}

// skip reads the rest of the current entry's content and checks it.
func (d *Reader) skip() error {
	if _, err := io.Copy(io.Discard, contentOnly{d}); err != nil {
		return err
	}
	n, err := d.r.Discard(int(d.pad))
	d.offset += int64(n)
	d.pad = 0
	return noEOF(err)
}

// contentOnly hides all methods but Read, because io.Discard uses others if it finds them.
type contentOnly struct{ d *Reader }

func (c contentOnly) Read(p []byte) (int, error) { return c.d.Read(p) }

// skipNULs moves to the next header. It returns io.EOF if the input ends where it may.
func (d *Reader) skipNULs() error {
	for {
		b, err := d.r.ReadByte()
		if err == io.EOF && !d.open {
			return io.EOF
		}
		if err != nil {
			return noEOF(err)
		}
		if b != 0 {
			break
		}
		d.offset++
	}
	if d.offset%4 != 0 {
		return fmt.Errorf("%w: byte %d is not a place for a header", ErrFormat, d.offset)
	}
	return d.r.UnreadByte()
}

// readHeader reads a header and its name. The padding after the last trailer's name is optional: some packers omit
// it.
func (d *Reader) readHeader() (*Header, error) {
	var fixed [headerSize]byte
	if err := d.readFull(fixed[:]); err != nil {
		return nil, err
	}
	h, nameSize, err := parseHeader(&fixed)
	if err != nil {
		return nil, err
	}
	if nameSize == 0 || nameSize > maxName {
		return nil, fmt.Errorf("%w: name of %d bytes", ErrFormat, nameSize)
	}
	name := make([]byte, nameSize)
	if err := d.readFull(name); err != nil {
		return nil, err
	}
	// The kernel ends the name at its first NUL: some packers pad names to align contents.
	end := bytes.IndexByte(name, 0)
	if end <= 0 || name[nameSize-1] != 0 {
		return nil, fmt.Errorf("%w: name %.64q is empty or not terminated", ErrFormat, name)
	}
	h.Name = string(name[:end])
	err = d.readFull(make([]byte, pad4(headerSize+int64(nameSize))))
	if err == io.ErrUnexpectedEOF && h.Name == trailer && h.Size == 0 { //nolint:errorlint // readFull's own
		err = nil
	}
	return h, err
}

func (d *Reader) readFull(p []byte) error {
	n, err := io.ReadFull(d.r, p)
	d.offset += int64(n)
	return noEOF(err)
}

// noEOF turns io.EOF into io.ErrUnexpectedEOF where more input is expected.
func noEOF(err error) error {
	if err == io.EOF { //nolint:errorlint // from bufio and io.ReadFull, which do not wrap it
		return io.ErrUnexpectedEOF
	}
	return err
}

// Read reads the content of the current entry and returns [io.EOF] at its end. It returns [io.ErrUnexpectedEOF] for
// truncated content and [ErrChecksum] for a wrong checksum.
func (d *Reader) Read(p []byte) (int, error) {
	if d.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), d.left)]
	n, err := d.r.Read(p)
	d.left -= int64(n)
	d.offset += int64(n)
	if d.cur.hasSum() {
		for _, b := range p[:n] {
			d.sum += uint32(b)
		}
		if d.left == 0 && d.sum != d.cur.Checksum {
			d.err = fmt.Errorf("%.200q: %w: %08x, want %08x", d.cur.Name, ErrChecksum, d.sum, d.cur.Checksum)
			return n, d.err
		}
	}
	if err != nil && d.left > 0 {
		d.err = fmt.Errorf("%.200q: %w", d.cur.Name, noEOF(err))
		return n, d.err
	}
	return n, nil
}
