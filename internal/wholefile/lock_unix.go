//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package wholefile

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// hold locks a file for as long as it is open. It is false if another holds it. Where the file
// system has no locks it is true.
func hold(f *os.File) bool {
	return !errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// free reports whether nobody holds a file, and whether that is sure: some file systems have no
// locks.
func free(f *os.File) (dead, sure bool) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	return !errors.Is(err, unix.EWOULDBLOCK), err == nil
}

// look opens a file in a folder that others may write to: what was a file a moment ago may be a link
// or a pipe that nobody writes to by now.
func look(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
}
