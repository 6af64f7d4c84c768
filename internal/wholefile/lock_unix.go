//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package wholefile

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// carefully are the open flags of [OpenRegular].
const carefully = unix.O_NOFOLLOW | unix.O_NONBLOCK

// TryLock locks a file or folder, exclusively or shared, until it is closed or the process ends. It is false if
// another lock conflicts. A file system without locks always grants it, and so does Windows, which keeps open
// files.
func TryLock(f *os.File, alone bool) bool {
	how := unix.LOCK_SH
	if alone {
		how = unix.LOCK_EX
	}
	return !errors.Is(unix.Flock(int(f.Fd()), how|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// free reports whether nobody holds a file, and whether that is certain: some file systems have no locks.
func free(f *os.File) (dead, sure bool) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	return !errors.Is(err, unix.EWOULDBLOCK), err == nil
}
