package cpio

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// blockSize is the unit to which GNU cpio pads an archive.
const blockSize = 512

// Writer writes one archive. The bytes depend only on the calls.
type Writer struct {
	w      *bufio.Writer
	offset int64
	ino    uint32 // highest inode number used
	cur    Header
	left   int64 // unwritten bytes of cur's content
	sum    uint32
	err    error
}

// NewWriter returns a Writer to w. [Writer.Close] must be called to complete the archive.
func NewWriter(w io.Writer) *Writer {
	return &Writer{w: bufio.NewWriterSize(w, 64<<10)}
}

// WriteHeader begins an entry. Write must then be called with h.Size bytes of content.
//
// An Ino of 0 becomes the next unused number, counted from 1. An NLink of 0 becomes the link count of a single file
// or directory. Both are set in h. To write a hard-linked file, set NLink of each name to the number of names, and
// Ino of each name after the first to the first one's Ino. The last name carries the content, as in GNU cpio.
func (e *Writer) WriteHeader(h *Header) error {
	if err := e.finish(); err != nil {
		return err
	}
	if err := h.check(); err != nil {
		return fmt.Errorf("write header %.200q: %w", h.Name, err)
	}
	if h.Ino == 0 {
		if e.ino == maxField {
			return fmt.Errorf("write header %.200q: no inode numbers left", h.Name)
		}
		h.Ino = e.ino + 1
	}
	e.ino = max(e.ino, h.Ino)
	if h.NLink == 0 {
		h.NLink = 1
		if h.Mode&typeMask == typeDir {
			h.NLink = 2
		}
	}
	return e.begin(*h)
}

// begin writes a checked header.
func (e *Writer) begin(h Header) error {
	e.cur, e.left, e.sum = h, h.Size, 0
	e.emit(appendHeader(nil, &h))
	return e.err
}

// Write writes content of the current entry. It fails if the content exceeds the entry's size.
func (e *Writer) Write(p []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	if int64(len(p)) > e.left {
		e.err = fmt.Errorf("write %.200q: more content than the %d bytes promised", e.cur.Name, e.cur.Size)
		return 0, e.err
	}
	e.left -= int64(len(p))
	if e.cur.hasSum() {
		for _, b := range p {
			e.sum += uint32(b)
		}
	}
	return e.emit(p), e.err
}

// emit writes bytes, counts them and keeps the first error.
func (e *Writer) emit(p []byte) int {
	if e.err != nil {
		return 0
	}
	n, err := e.w.Write(p)
	e.offset += int64(n)
	e.err = err
	return n
}

// finish checks that the current entry is complete and pads it.
func (e *Writer) finish() error {
	switch {
	case e.err != nil:
	case e.left > 0:
		e.err = fmt.Errorf("write %.200q: %d of %d bytes missing", e.cur.Name, e.left, e.cur.Size)
	case e.cur.hasSum() && e.sum != e.cur.Checksum:
		e.err = fmt.Errorf("write %.200q: %w: %08x, want %08x", e.cur.Name, ErrChecksum, e.sum, e.cur.Checksum)
	default:
		e.emit(make([]byte, pad4(e.offset)))
	}
	return e.err
}

// Close writes the trailer and pads the archive to a multiple of 512 bytes. It does not close the underlying
// writer. Later writes fail.
func (e *Writer) Close() error {
	if err := e.finish(); err != nil {
		return err
	}
	if err := e.begin(Header{Name: trailer, NLink: 1}); err != nil {
		return err
	}
	e.emit(make([]byte, -e.offset&(blockSize-1)))
	if e.err == nil {
		e.err = e.w.Flush()
	}
	if e.err != nil {
		return e.err
	}
	e.err = errors.New("write to a closed cpio archive")
	return nil
}
