// Package wholefile writes files that appear completely or not at all, even if the process is killed. Start reading
// at [Write].
//
// If the system supports it (Linux, most file systems), an unfinished file has no name, so a killed process leaves
// nothing. Elsewhere, and for the moment in which a file replaces another, it is called .NAME.tmp-NUMBER and
// locked: the next process that writes NAME removes those that nobody holds.
package wholefile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"mkbuild/internal/fail"
)

// Write calls fill with a file. If fill succeeds, the file is synced to disk and gets the name. A link is followed:
// its target is written. The umask determines who may read the file; users who could not read the old file cannot
// read the new file. Remains of killed processes are removed.
func Write(name string, fill func(io.Writer) error) error {
	target, before, err := follow(name)
	if err == nil && before != nil && !before.Mode().IsRegular() {
		err = fail.Wrap(fail.Usage, ErrNotRegular, otherPlace)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	f, err := create(beside(target))
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer f.Close() //nolint:errcheck // after a failure
	if err := fill(f); err != nil {
		return err
	}
	if err = narrow(f.File, before); err == nil {
		err = f.commit(target, true)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// otherPlace is the hint if something else has the name of an output.
const otherPlace = "choose another place for the output"

// Output is a file that is written as [Write] does, or a stream in its place.
type Output struct {
	// Name is the file's name, or the stream's name in messages.
	Name string
	// Stream, if set, receives the content directly.
	Stream io.Writer
}

// Write calls fill with the output.
func (o Output) Write(fill func(io.Writer) error) error {
	if o.Stream != nil {
		return fill(o.Stream)
	}
	return Write(o.Name, fill)
}

// Update writes text to a file unless the file already has it. It reports whether it wrote.
func Update(name string, text []byte) (changed bool, err error) {
	if hasText(name, text) {
		return false, nil
	}
	return true, Write(name, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// hasText reports whether a regular file, or the target of a link, has this text.
func hasText(name string, text []byte) bool {
	target, err := Target(name)
	if err != nil {
		return false
	}
	f, err := OpenRegular(target)
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // only read
	old, err := io.ReadAll(io.LimitReader(f, int64(len(text))+1))
	return err == nil && bytes.Equal(old, text)
}

// File is an output without a name before [File.CommitAs], or with a name that disappears when it is closed.
type File struct {
	*os.File
	place place
	path  string // name of a file to remove when it is closed
}

// CreateIn opens a file that waits in dir until [File.CommitAs] gives it a name on the same file system. The caller
// closes it. [Sweep] removes the remains of killed processes.
func CreateIn(dir string) (*File, error) { return open(waiting(dir)) }

// create opens a file and sweeps its place.
func create(p place) (*File, error) {
	f, err := open(p)
	if err == nil {
		p.sweep(f.File)
	}
	return f, err
}

func open(p place) (*File, error) {
	if f, err := anonymous(p); err == nil {
		return &File{File: f, place: p}, nil
	}
	f, err := p.named()
	if err != nil {
		return nil, err
	}
	return &File{File: f, place: p, path: f.Name()}, nil
}

// Sweep removes the waiting files of killed processes in dir, see [CreateIn], and returns their paths. Files of
// living processes stay.
func Sweep(dir string) []string {
	f, err := open(waiting(dir))
	if err != nil {
		return nil
	}
	defer f.Close() //nolint:errcheck // nothing is in it
	return f.place.sweep(f.File)
}

// CommitAs gives the file the name and makes it readable by everybody. If durable is set, the file is synced to
// disk; otherwise a power cut may leave an empty file. It stays open, except on Windows, which cannot rename open
// files.
func (f *File) CommitAs(name string, durable bool) error {
	if err := chmod(f.File, 0o644); err != nil {
		return err
	}
	return f.commit(name, durable)
}

func (f *File) commit(name string, durable bool) (err error) {
	if durable {
		err = f.Sync()
	}
	if err == nil {
		err = f.appear(name)
	}
	if err == nil && durable {
		syncDir(filepath.Dir(name))
	}
	if err == nil {
		f.path = ""
	}
	return err
}

// appear gives the file its name.
func (f *File) appear(name string) error {
	if f.path == "" {
		err := link(f.File, name)
		if err == nil {
			return nil
		}
		if f.path, err = linked(f.place, f.File); err != nil {
			err = f.copied()
		}
		if err != nil {
			return err
		}
	}
	if runtime.GOOS == "windows" {
		if err := f.File.Close(); err != nil {
			return err
		}
	}
	return os.Rename(f.path, name)
}

// copied continues with a named copy. It is for sandboxes that allow a nameless file but do not let it get a name.
func (f *File) copied() error {
	c, err := f.place.named()
	if err != nil {
		return err
	}
	_, err = io.Copy(c, io.NewSectionReader(f, 0, 1<<62))
	if st, serr := f.Stat(); serr == nil {
		err = errors.Join(err, chmod(c, st.Mode().Perm()))
	}
	err = errors.Join(err, c.Sync(), f.File.Close())
	f.File, f.path = c, c.Name()
	return err
}

// Close closes the file, and removes it unless it was committed. It can be called twice.
func (f *File) Close() error {
	if f.path != "" && runtime.GOOS != "windows" {
		os.Remove(f.path) //nolint:errcheck,gosec // the next sweep tries again
	}
	err := f.File.Close()
	if f.path != "" {
		os.Remove(f.path) //nolint:errcheck,gosec // see above
		f.path = ""
	}
	if errors.Is(err, fs.ErrClosed) {
		return nil
	}
	return err
}

// syncDir makes a new name durable. Windows cannot sync a directory: there the file may be missing after a power
// cut.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		d.Sync()  //nolint:errcheck,gosec // see above
		d.Close() //nolint:errcheck,gosec // only read
	}
}

// Interruptible returns a writer to w that fails once ctx is done.
func Interruptible(ctx context.Context, w io.Writer) io.Writer { return interruptible{ctx, w} }

type interruptible struct {
	ctx context.Context
	w   io.Writer
}

func (i interruptible) Write(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.w.Write(p)
}

// chmod changes the permissions of f if the file system has any.
func chmod(f *os.File, perm fs.FileMode) error {
	err := f.Chmod(perm)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// narrow removes the permissions from f that its predecessor did not have.
func narrow(f *os.File, before fs.FileInfo) error {
	if before == nil {
		return nil
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if perm := st.Mode().Perm() & before.Mode().Perm(); perm != st.Mode().Perm() {
		return chmod(f, perm)
	}
	return nil
}
