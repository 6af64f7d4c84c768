// Package wholefile writes files that appear whole or not at all, whenever the process ends.
//
// Where the system allows (Linux, most file systems) a file under way has no name, so that nothing is
// left of a killed process. Elsewhere, and for the moment in which a file takes the place of another, it
// is called .NAME.tmp-NUMBER and locked: the next process that writes NAME removes those that nobody
// holds any more.
package wholefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// File is an output that does not exist under its name before [File.Commit].
type File struct {
	*os.File
	place place
	name  string // the final one
	path  string // the present one; empty while it has none
	done  bool
}

// place is where a file waits: a folder, and how names of waiting files begin.
type place struct{ dir, prefix string }

// beside is the place of the files that wait for name.
func beside(name string) place {
	return place{filepath.Dir(name), "." + filepath.Base(name) + ".tmp-"}
}

// Create opens a file that will be called name, and removes what killed processes have left of it.
// The caller defers [File.Abort].
func Create(name string) (*File, error) {
	f, err := create(beside(name))
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	f.name = name
	return f, nil
}

// CreateIn opens a file that waits in dir until [File.CommitAs] gives it a name on the same file
// system. See [Sweep] for what killed processes leave there.
func CreateIn(dir string) (*File, error) {
	return open(waiting(dir))
}

// waiting is the place of files that have no name yet.
func waiting(dir string) place { return place{dir, ".mkbuild-tmp-"} }

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

// named opens a file under a name of its own, and locks it. Between the two a sweep may take it
// away; then there is another try.
func (p place) named() (*os.File, error) {
	for {
		f, err := os.CreateTemp(p.dir, p.prefix+"*")
		if err != nil || hold(f) && holds(f) {
			return f, err
		}
		f.Close()           //nolint:errcheck,gosec // another takes its place
		os.Remove(f.Name()) //nolint:errcheck,gosec // it is gone already
	}
}

// holds reports whether f still is the file of its name.
func holds(f *os.File) bool {
	there, err := os.Lstat(f.Name())
	if err != nil {
		return false
	}
	st, err := f.Stat()
	return err == nil && os.SameFile(there, st)
}

// Commit makes the file appear under its name, readable by everybody as a plain output is, and on
// the disk.
func (f *File) Commit() error {
	if err := f.commit(f.name, true); err != nil {
		return fmt.Errorf("write %s: %w", f.name, err)
	}
	return nil
}

// CommitAs makes the file appear under name, readable by everybody. With durable it is on the disk
// then; without, a power cut may leave an empty file.
func (f *File) CommitAs(name string, durable bool) error { return f.commit(name, durable) }

func (f *File) commit(name string, durable bool) error {
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
	return err
}

// appear gives the file its name and closes it.
func (f *File) appear(name string) error {
	if f.path == "" {
		err := link(f.File, name)
		if err == nil {
			f.done = true
			return f.Close()
		}
		if f.path, err = f.place.linked(f.File); err != nil {
			err = f.copied()
		}
		if err != nil {
			return err
		}
	}
	if runtime.GOOS == "windows" { // cannot rename what is open
		if err := f.Close(); err != nil {
			return err
		}
	}
	if err := os.Rename(f.path, name); err != nil {
		return err
	}
	f.done = true
	if err := f.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}

// copied goes on with a copy that has a name. It is for sandboxes that let a file be made without a
// name and then allow it none.
func (f *File) copied() error {
	c, err := f.place.named()
	if err != nil {
		return err
	}
	_, err = io.Copy(c, io.NewSectionReader(f, 0, 1<<62))
	err = errors.Join(err, c.Chmod(0o644), c.Sync(), f.Close())
	f.File, f.path = c, c.Name()
	return err
}

// syncDir makes a new name durable. Not every system can sync a directory (Windows); there the
// worst case after a power cut is that the file is not there.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		d.Sync()  //nolint:errcheck,gosec // see above
		d.Close() //nolint:errcheck,gosec // only read
	}
}

// Abort removes the file. After a commit it does nothing.
func (f *File) Abort() {
	if f.done {
		return
	}
	f.done = true
	if f.path != "" && runtime.GOOS != "windows" {
		os.Remove(f.path) //nolint:errcheck,gosec // the next sweep tries again
	}
	f.Close() //nolint:errcheck,gosec // the file goes away
	if f.path != "" {
		os.Remove(f.path) //nolint:errcheck,gosec // see above
	}
}

// Write calls fill with a temporary file and commits it when fill succeeds.
func Write(name string, fill func(io.Writer) error) error {
	f, err := Create(name)
	if err != nil {
		return err
	}
	defer f.Abort()
	if err := fill(f); err != nil {
		return err
	}
	return f.Commit()
}
