package extension

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"syscall"
)

// Open checks the directory of the archive r of size bytes against lim and every safety rule. [Source.Extract]
// reads the members' bytes. A violation is an [*Error].
func Open(r io.ReaderAt, size int64, lim Limits) (*Source, error) {
	s, err := ReadZip("", r, size, lim)
	if err != nil {
		return nil, err
	}
	return s, s.Check()
}

// Unpack opens the archive and extracts it into the existing, empty directory dir. On an error
// dir may hold a part of it: the caller removes it.
func Unpack(ctx context.Context, r io.ReaderAt, size int64, dir string, lim Limits) error {
	s, err := Open(r, size, lim)
	if err != nil {
		return err
	}
	return s.Extract(ctx, dir)
}

// Extract writes all files below dir through [os.Root], so that even a race in dir cannot lead outside. It writes
// files first and links last, so never through a link. It checks the CRC of every member as it writes it.
func (s *Source) Extract(ctx context.Context, dir string) error {
	if err := s.Check(); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer root.Close() //nolint:errcheck // a directory
	for i := range s.Files {
		f := &s.Files[i]
		if err := f.extract(ctx, root); err != nil {
			return fmt.Errorf("unpack %q: %w", f.Path, err)
		}
	}
	for i := range s.Files {
		f := &s.Files[i]
		if !f.IsLink() {
			continue
		}
		if err := root.Symlink(f.Link, f.Path); err != nil {
			return fmt.Errorf("unpack %q: %w", f.Path, err)
		}
	}
	return nil
}

// extract writes one directory or file, or the directory of a link.
func (f *File) extract(ctx context.Context, root *os.Root) error {
	dir := f.Path
	if !f.IsDir() {
		dir = path.Dir(f.Path)
	}
	if err := root.MkdirAll(dir, 0o755); err != nil || !f.IsRegular() {
		return err
	}
	// A process that starts meanwhile would hold the file open for writing for a moment, and the system runs no
	// such file ("text file busy", https://go.dev/issue/22315).
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	to, err := root.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err = f.CopyTo(ctx, to); err == nil {
		err = to.Chmod(f.Mode.Perm()) // on the open file, past the umask
	}
	if closing := to.Close(); err == nil {
		err = closing
	}
	return err
}
