//go:build !unix

package remaster

// umask does nothing on systems without it.
func umask(int) int { return 0 }
