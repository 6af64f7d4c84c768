// Package wholefile writes files that appear whole or not at all: into a temporary file of the
// same folder, then synced, then renamed.
package wholefile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// File is an output that does not exist under its name before [File.Commit].
type File struct {
	*os.File
	name string
	done bool
}

// Create opens a temporary file beside name. The caller defers [File.Abort].
func Create(name string) (*File, error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".tmp-*")
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	return &File{File: f, name: name}, nil
}

// Commit makes the file appear under its name, readable by everybody as a plain output is.
func (f *File) Commit() error {
	err := errors.Join(f.Chmod(0o644), f.Sync())
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.File.Name(), f.name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", f.name, err)
	}
	f.done = true
	return nil
}

// Abort removes the temporary file. After Commit it does nothing.
func (f *File) Abort() {
	if f.done {
		return
	}
	f.Close()                //nolint:errcheck,gosec // the file goes away
	os.Remove(f.File.Name()) //nolint:errcheck,gosec // best effort: nothing else can be done
	f.done = true
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
