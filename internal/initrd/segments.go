package initrd

import (
	"bytes"
	"errors"
	"io"
)

// Segment is a part of an initrd that the kernel unpacks separately, with the source of its bytes.
type Segment struct {
	// Name is the name of an input or of a file on a boot medium.
	Name string
	// Size is in bytes.
	Size int64
	// SHA256 is the hex digest of its bytes, or "" before they have been read.
	SHA256 string
	// Open reads it from its beginning; it can be called more than once.
	Open func() (io.ReadCloser, error)
}

// Padded returns the segment padded with NULs to a multiple of four bytes. The kernel skips them and finds the next
// segment there (init/initramfs.c).
func (s Segment) Padded() Segment {
	pad, open := make([]byte, -s.Size&3), s.Open
	if len(pad) == 0 {
		return s
	}
	s.Size += int64(len(pad))
	s.SHA256 = ""
	s.Open = func() (io.ReadCloser, error) {
		r, err := open()
		if err != nil {
			return nil, err
		}
		return &joined{io.MultiReader(r, bytes.NewReader(pad)), []io.Closer{r}}, nil
	}
	return s
}

// Segments are the segments of an initrd, in order and without gaps.
type Segments []Segment

// Size returns the length of the initrd in bytes.
func (s Segments) Size() int64 {
	var n int64
	for i := range s {
		n += s[i].Size
	}
	return n
}

// Open reads the initrd from its beginning.
func (s Segments) Open() (io.ReadCloser, error) {
	all := &joined{}
	var parts []io.Reader
	for i := range s {
		r, err := s[i].Open()
		if err != nil {
			all.Close() //nolint:errcheck,gosec // only read
			return nil, err
		}
		parts, all.closers = append(parts, r), append(all.closers, r)
	}
	all.Reader = io.MultiReader(parts...)
	return all, nil
}

// joined reads several files as one.
type joined struct {
	io.Reader
	closers []io.Closer
}

// Close closes every part.
func (j *joined) Close() error {
	var errs []error
	for _, c := range j.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
