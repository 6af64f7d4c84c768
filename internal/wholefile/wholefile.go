// Package wholefile writes files that appear whole or not at all, whenever the process ends. Start
// reading at [Write].
//
// Where the system allows (Linux, most file systems) a file under way has no name, so that nothing is
// left of a killed process. Elsewhere, and for the moment in which a file takes the place of another, it
// is called .NAME.tmp-NUMBER and locked: the next process that writes NAME removes those that nobody
// holds any more.
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
)

// Write calls fill with a file that takes the name once fill succeeds, readable by everybody as a plain
// output is, and on the disk. What killed processes have left of it is removed.
func Write(name string, fill func(io.Writer) error) error {
	f, err := create(beside(name))
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer f.Close() //nolint:errcheck // after a failure
	if err := fill(f); err != nil {
		return err
	}
	if err := errors.Join(f.CommitAs(name, true), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// Update writes a file with a text, unless the file has that text already. It reports whether it wrote.
func Update(name string, text []byte) (changed bool, err error) {
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, text) { //nolint:gosec // the caller's choice
		return false, nil
	}
	return true, Write(name, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// File is an output that has no name before [File.CommitAs], or is gone once it is closed.
type File struct {
	*os.File
	place place
	path  string // of a file that is to be removed when it is closed
}

// CreateIn opens a file that waits in dir until [File.CommitAs] gives it a name on the same file
// system. The caller closes it. See [Sweep] for what killed processes leave there.
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

// Sweep removes the files that killed processes have left waiting in dir, see [CreateIn], and
// returns their paths. What a living process holds stays.
func Sweep(dir string) []string {
	f, err := open(waiting(dir))
	if err != nil {
		return nil
	}
	defer f.Close() //nolint:errcheck // nothing is in it
	return f.place.sweep(f.File)
}

// CommitAs makes the file appear under name, readable by everybody. With durable it is on the disk
// then; without, a power cut may leave an empty file. It stays open, except on Windows, which renames
// no open files.
func (f *File) CommitAs(name string, durable bool) error {
	err := f.Chmod(0o644)
	if errors.Is(err, errors.ErrUnsupported) {
		err = nil // a file system without modes
	}
	if err == nil && durable {
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

// copied goes on with a copy that has a name. It is for sandboxes that let a file be made without a
// name and then allow it none.
func (f *File) copied() error {
	c, err := f.place.named()
	if err != nil {
		return err
	}
	_, err = io.Copy(c, io.NewSectionReader(f, 0, 1<<62))
	err = errors.Join(err, c.Chmod(0o644), c.Sync(), f.File.Close())
	f.File, f.path = c, c.Name()
	return err
}

// Close closes the file, and removes it unless it was committed. Closing twice does no harm.
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

// syncDir makes a new name durable. Not every system can sync a directory (Windows); there the worst
// case after a power cut is that the file is missing.
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
