//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package fetch

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock locks an open directory, shared or alone, until it is closed or the process ends. It is
// false if others stand against it. A file system without locks gives everyone what he asks for.
func tryLock(d *os.File, alone bool) bool {
	how := unix.LOCK_SH
	if alone {
		how = unix.LOCK_EX
	}
	return !errors.Is(unix.Flock(int(d.Fd()), how|unix.LOCK_NB), unix.EWOULDBLOCK)
}
