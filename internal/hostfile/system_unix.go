//go:build unix

package hostfile

import (
	"io/fs"
	"syscall"
)

// noWait opens a pipe without waiting for its other end.
const noWait = syscall.O_NONBLOCK

// links returns how many names a file has.
func links(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink) //nolint:unconvert // other systems have other types
	}
	return 2
}

// mounted reports whether a folder lies on another file system than the folder around it.
func mounted(folder, around fs.FileInfo) bool {
	a, ok1 := folder.Sys().(*syscall.Stat_t)
	b, ok2 := around.Sys().(*syscall.Stat_t)
	return ok1 && ok2 && a.Dev != b.Dev
}
