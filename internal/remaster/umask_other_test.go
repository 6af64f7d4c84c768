//go:build !unix

package remaster

// umask does nothing where there is none.
func umask(int) int { return 0 }
