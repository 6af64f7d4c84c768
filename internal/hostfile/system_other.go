//go:build !unix

package hostfile

import "io/fs"

const noWait = 0

// links is unknown: a file may have several names.
func links(fs.FileInfo) uint64 { return 2 }

// mounted is unknown.
func mounted(_, _ fs.FileInfo) bool { return false }

// foreign is unknown: access lists decide.
func foreign(fs.FileInfo) string { return "" }
