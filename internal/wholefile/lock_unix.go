//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package wholefile

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// carefully is how [OpenRegular] opens files.
const carefully = unix.O_NOFOLLOW | unix.O_NONBLOCK

// TryLock locks a file or folder, alone or together with others, until it is closed or the process
// ends. It is false if others stand against it. A file system without locks gives everyone what he
// asks for, and so does Windows, which keeps files that are open.
func TryLock(f *os.File, alone bool) bool {
	how := unix.LOCK_SH
	if alone {
		how = unix.LOCK_EX
	}
	return !errors.Is(unix.Flock(int(f.Fd()), how|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// free reports whether nobody holds a file, and whether that is sure: some file systems have no
// locks.
func free(f *os.File) (dead, sure bool) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	return !errors.Is(err, unix.EWOULDBLOCK), err == nil
}
