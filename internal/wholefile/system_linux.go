package wholefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// anonymous opens a nameless file in a place (O_TMPFILE of open(2)). It fails if the file system does not support
// that, or if /proc is missing, which is needed to name the file.
func anonymous(p place) (*os.File, error) {
	fd, err := unix.Open(p.dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, uint32(p.perm))
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: p.dir, Err: err}
	}
	f := os.NewFile(uintptr(fd), filepath.Join(p.dir, p.prefix+"*"))
	if _, err := os.Stat(procPath(f)); err != nil || !TryLock(f, true) {
		f.Close() //nolint:errcheck,gosec // nothing is in it
		return nil, errors.ErrUnsupported
	}
	return f, nil
}

func procPath(f *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) }

// link gives an anonymous file a free name.
func link(f *os.File, name string) error {
	err := unix.Linkat(unix.AT_FDCWD, procPath(f), unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW)
	if err != nil {
		return &os.LinkError{Op: "link", Old: f.Name(), New: name, Err: err}
	}
	return nil
}

// linked gives an anonymous file a name of its place. The file is locked since its opening.
func linked(p place, f *os.File) (string, error) {
	for {
		name := p.name()
		if err := link(f, name); !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
}

// exchange swaps two names in one step.
func exchange(a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}
