//go:build unix

package hostfile

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// noWait opens a pipe without waiting for its other end.
const noWait = syscall.O_NONBLOCK

// links returns the number of a file's names.
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

// foreign names the others, besides the user and root, who can change a file or a folder; "" for nobody.
func foreign(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case ok && st.Uid != 0 && int64(st.Uid) != int64(os.Geteuid()):
		return fmt.Sprintf("it belongs to user %d", st.Uid)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Sprintf("other users can write to it (mode %04o)", info.Mode().Perm())
	}
	return ""
}
