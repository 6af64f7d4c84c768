package wholefile

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"mkbuild/internal/fail"
)

// Temp is a file to work with that is gone once it is closed, or its process is.
type Temp struct {
	*os.File
	path string // empty if it has no name
}

// NewTemp opens a work file on the file system of the output name.
func NewTemp(name string) (*Temp, error) {
	t, err := newTemp(beside(name))
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	return t, nil
}

// NewTempIn opens a work file in dir, or in the system's own place if dir is empty.
func NewTempIn(dir string) (*Temp, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	return newTemp(waiting(dir))
}

func newTemp(p place) (*Temp, error) {
	f, err := create(p)
	if err != nil {
		return nil, err
	}
	if f.path != "" && runtime.GOOS != "windows" && os.Remove(f.path) == nil {
		f.path = "" // Unix keeps an open file that has no name any more
	}
	return &Temp{f.File, f.path}, nil
}

// Close closes the file and removes it.
func (t *Temp) Close() error {
	err := t.File.Close()
	if t.path != "" {
		os.Remove(t.path) //nolint:errcheck,gosec // the next sweep tries again
	}
	return err
}

// Check refuses a name that [Write] could not give a file, before hours of work.
func Check(name string) error {
	if name == "" {
		return fail.New(fail.Usage, "write the output: the file has no name", "name a file: -o FILE, or leave -o out")
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return fail.New(fail.Usage, "write "+name+": it is a folder", "name a file: -o "+filepath.Join(name, "image.iso"))
	}
	probe, err := NewTemp(name)
	if err != nil {
		return fail.Wrap(fail.Usage, err, "choose a place that you may write to with -o FILE")
	}
	return probe.Close()
}
