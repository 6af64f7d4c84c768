package wholefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLinks is Linux' limit on links to one file (path_resolution(7)).
const maxLinks = 40

// Target returns the path to which an output called name is written: name itself or, if name is a link, its target,
// which need not exist.
func Target(name string) (string, error) {
	target, _, err := follow(name)
	return target, err
}

// follow returns the target of name and its current file info, or nil if it does not exist.
func follow(name string) (target string, there fs.FileInfo, err error) {
	if there, err = os.Stat(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", nil, err
	}
	if err != nil {
		there = nil
	}
	for range maxLinks {
		text, err := os.Readlink(name)
		if err != nil { // it is not a link
			return name, there, nil
		}
		dir, err := filepath.EvalSymlinks(filepath.Dir(name))
		if err != nil {
			return "", nil, err
		}
		if opens(dir) {
			return "", nil, &fs.PathError{Op: "follow", Path: name, Err: ErrOpenFile}
		}
		if !filepath.IsAbs(text) {
			text = filepath.Join(dir, text)
		}
		name = text
	}
	return "", nil, &fs.PathError{Op: "follow", Path: name, Err: syscall.ELOOP}
}

// ErrOpenFile is returned for a name such as /dev/stdout, which is an open file of this process: writing would
// replace the file that it was opened as.
var ErrOpenFile = errors.New("it stands for an open file; stdout is called -")

// opens reports whether the names in a folder are open files (proc(5), fd(4)).
func opens(dir string) bool {
	return dir == "/dev/fd" || strings.HasPrefix(dir, "/proc/")
}
