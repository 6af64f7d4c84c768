package overlay

import (
	"bytes"
	"fmt"
	"io"
)

// sameFile reports whether a and b are alike in type, permissions, link target, device number and
// content. Owners and times are not compared: two builds of one file differ in those.
func sameFile(a, b *Entry) (bool, error) {
	if a.IsLink() && b.IsLink() {
		return a.Link == b.Link, nil // nothing looks at a symlink's permissions
	}
	if a.Mode != b.Mode || a.Major != b.Major || a.Minor != b.Minor || a.Size != b.Size {
		return false, nil
	}
	if !a.IsRegular() || a.Size == 0 {
		return true, nil
	}
	ra, err := openEntry(a)
	if err != nil {
		return false, err
	}
	defer ra.Close() //nolint:errcheck // only read
	rb, err := openEntry(b)
	if err != nil {
		return false, err
	}
	defer rb.Close() //nolint:errcheck // only read
	same, err := sameBytes(ra, rb, a.Size)
	if err != nil {
		return false, fmt.Errorf("compare %s of %s and %s: %w", b.Path, a.Origin, b.Origin, err)
	}
	return same, nil
}

func openEntry(e *Entry) (io.ReadCloser, error) {
	if e.Open == nil {
		return nil, fmt.Errorf("open %s of %s: %d bytes promised and nothing to read them from", e.Path, e.Origin, e.Size)
	}
	r, err := e.Open()
	if err != nil {
		return nil, fmt.Errorf("open %s of %s: %w", e.Path, e.Origin, err)
	}
	return r, nil
}

// sameBytes compares the next size bytes of two readers, 32 KiB at a time.
func sameBytes(a, b io.Reader, size int64) (bool, error) {
	bufA, bufB := make([]byte, 32<<10), make([]byte, 32<<10)
	for size > 0 {
		n := min(size, int64(len(bufA)))
		if _, err := io.ReadFull(a, bufA[:n]); err != nil {
			return false, truncated(err)
		}
		if _, err := io.ReadFull(b, bufB[:n]); err != nil {
			return false, truncated(err)
		}
		if !bytes.Equal(bufA[:n], bufB[:n]) {
			return false, nil
		}
		size -= n
	}
	return true, nil
}
