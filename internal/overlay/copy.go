package overlay

import (
	"fmt"
	"io"
)

// CopyTo streams the content of e to w: nothing for anything but a regular file. It fails when the
// content is not exactly e.Size bytes long, which would spoil the archive that it goes into.
func (e *Entry) CopyTo(w io.Writer) error {
	if !e.IsRegular() || e.Open == nil {
		if e.Size != 0 {
			return fmt.Errorf("copy %s: %d bytes promised and nothing to read them from", e.Path, e.Size)
		}
		return nil
	}
	r, err := e.Open()
	if err != nil {
		return fmt.Errorf("copy %s: %w", e.Path, err)
	}
	defer r.Close() //nolint:errcheck // only read
	n, err := io.Copy(w, io.LimitReader(r, e.Size))
	if err != nil {
		return fmt.Errorf("copy %s: %w", e.Path, err)
	}
	if n < e.Size {
		return fmt.Errorf("copy %s: %d of %d bytes: %w", e.Path, n, e.Size, io.ErrUnexpectedEOF)
	}
	var one [1]byte
	if n, _ := io.ReadFull(r, one[:]); n > 0 {
		return fmt.Errorf("copy %s: more content than the %d bytes promised", e.Path, e.Size)
	}
	return nil
}
