package wholefile

import (
	"os"
	"runtime"
)

// NewTempIn opens a work file in dir, or in the system's temporary directory if dir is empty. It is removed when it
// is closed or its process ends.
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
		f.path = "" // Unix keeps an open file without a name
	}
	return f, nil
}

// NewNamedTemp opens a work file in the system's temporary directory that other programs can open by its Name. The
// file of a killed process stays until another process opens a work file there.
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
