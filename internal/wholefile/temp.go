package wholefile

import (
	"os"
	"runtime"
)

// NewTempIn opens a work file in dir, or in the system's own place if dir is empty. It is gone once it is
// closed, or its process is.
func NewTempIn(dir string) (*File, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	p := waiting(dir)
	f, err := create(p)
	if err != nil {
		return nil, err
	}
	p.sweepFolders(f.File)
	if f.path != "" && runtime.GOOS != "windows" && os.Remove(f.path) == nil {
		f.path = "" // Unix keeps an open file that has no name any more
	}
	return f, nil
}

// NewNamedTemp opens a work file in the system's own place that other programs can open by its Name.
// Of a process that is killed it stays until the next one opens a work file there.
func NewNamedTemp() (*File, error) {
	p := waiting(os.TempDir())
	f, err := p.named()
	if err != nil {
		return nil, err
	}
	p.sweep(f)
	p.sweepFolders(f)
	return &File{File: f, place: p, path: f.Name()}, nil
}
