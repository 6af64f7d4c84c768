package extension

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
)

// Verify reads every member to its end and compares size and CRC, writing nothing.
func (a *Archive) Verify(ctx context.Context) error {
	for i := range a.Members {
		m := &a.Members[i]
		if m.IsDir() {
			continue
		}
		if err := m.copyTo(ctx, io.Discard); err != nil {
			return err
		}
	}
	return nil
}

// Extract writes all members below dir through [os.Root], so that even a race in dir cannot
// lead outside. Files come first and links last: nothing is ever written through a link. The
// CRC of every member is checked as it is written, before the caller puts dir to use.
func (a *Archive) Extract(ctx context.Context, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer root.Close() //nolint:errcheck // a directory
	for i := range a.Members {
		m := &a.Members[i]
		if err := m.write(ctx, root); err != nil {
			return err
		}
	}
	for i := range a.Members {
		m := &a.Members[i]
		if !m.IsLink() {
			continue
		}
		if err := root.Symlink(m.Link, m.Path); err != nil {
			return fmt.Errorf("unpack %q: %w", m.Path, err)
		}
	}
	return nil
}

// write puts one directory or file on disk, and the directory that a link will lie in.
func (m *Member) write(ctx context.Context, root *os.Root) error {
	dir := m.Path
	if !m.IsDir() {
		dir = path.Dir(m.Path)
	}
	if err := root.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("unpack %q: %w", m.Path, err)
	}
	if m.IsDir() || m.IsLink() {
		return nil
	}
	return m.writeFile(ctx, root)
}

// writeFile creates one file; its mode is set on the open file, past the umask.
func (m *Member) writeFile(ctx context.Context, root *os.Root) error {
	f, err := root.OpenFile(m.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("unpack %q: %w", m.Path, err)
	}
	if err := m.copyTo(ctx, f); err != nil {
		f.Close() //nolint:errcheck,gosec // the first error counts
		return err
	}
	if err := f.Chmod(m.Mode.Perm()); err != nil {
		f.Close() //nolint:errcheck,gosec // the first error counts
		return fmt.Errorf("unpack %q: %w", m.Path, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("unpack %q: %w", m.Path, err)
	}
	return nil
}

// copyTo copies the content, never more than the directory entry promised.
func (m *Member) copyTo(ctx context.Context, w io.Writer) error {
	r, err := m.Open()
	if err != nil {
		return memberError(m, err)
	}
	defer r.Close() //nolint:errcheck // only read
	n, err := io.Copy(w, io.LimitReader(&ctxReader{ctx, r}, m.Size+1))
	if err != nil {
		return memberError(m, err)
	}
	if n != m.Size {
		return &ChecksumError{Member: m.Path}
	}
	return nil
}

// memberError sorts the errors of archive/zip and compress/flate from those of the disk.
func memberError(m *Member, err error) error {
	var pathErr *os.PathError
	switch {
	case errors.Is(err, zip.ErrChecksum):
		return &ChecksumError{Member: m.Path}
	case errors.As(err, &pathErr), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("unpack %q: %w", m.Path, err)
	}
	return fmt.Errorf("%w: member %q: %w", ErrNotZip, m.Path, err)
}

// ctxReader ends a long copy when its context ends.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements [io.Reader].
func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
