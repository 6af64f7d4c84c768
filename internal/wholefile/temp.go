package wholefile

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"mkbuild/internal/fail"
)

// NewTempIn opens a work file in dir, or in the system's own place if dir is empty. It is gone once it is
// closed, or its process is.
func NewTempIn(dir string) (*File, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	return temp(waiting(dir))
}

func temp(p place) (*File, error) {
	f, err := create(p)
	if err == nil && f.path != "" && runtime.GOOS != "windows" && os.Remove(f.path) == nil {
		f.path = "" // Unix keeps an open file that has no name any more
	}
	return f, err
}

// Check refuses a name that [Write] could not give a file, before hours of work.
func Check(name string) error {
	if name == "" {
		return fail.New(fail.Usage, "write the output: the file has no name", "name a file: -o FILE, or leave -o out")
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return fail.New(fail.Usage, "write "+name+": it is a folder", "name a file: -o "+filepath.Join(name, "image.iso"))
	}
	probe, err := temp(beside(name))
	if err != nil {
		return fail.Wrap(fail.Usage, fmt.Errorf("write %s: %w", name, err), "choose a place that you may write to with -o FILE")
	}
	return probe.Close()
}
