package wholefile

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// abandoned is how long nobody has written to a file that counts as dead where locks do not work.
const abandoned = 24 * time.Hour

// Sweep removes the files that killed processes have left waiting in dir, see [CreateIn], and
// returns how many. What a living process holds stays.
func Sweep(dir string) int {
	f, err := open(waiting(dir))
	if err != nil {
		return 0
	}
	defer f.Abort()
	return f.place.sweep(f.File)
}

// IsWaiting reports whether a file of that name is one that waits, see [CreateIn].
func IsWaiting(name string) bool { return waiting("").owns(name) }

// owns reports whether a name is one that named gives.
func (p place) owns(name string) bool {
	number, ok := strings.CutPrefix(name, p.prefix)
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// sweep removes the dead files of a place. A file made just now tells the time of the file system,
// which all processes there share.
func (p place) sweep(fresh *os.File) (removed int) {
	d, err := os.Open(p.dir)
	if err != nil {
		return 0
	}
	defer d.Close() //nolint:errcheck // only read
	names, err := d.Readdirnames(-1)
	if err != nil {
		return 0
	}
	before := time.Time{}
	if st, err := fresh.Stat(); err == nil {
		before = st.ModTime().Add(-abandoned)
	}
	for _, n := range names {
		if p.owns(n) && bury(filepath.Join(p.dir, n), before) {
			removed++
		}
	}
	return removed
}

// bury removes a waiting file if its process has died.
func bury(name string, before time.Time) bool {
	st, err := os.Lstat(name)
	if err != nil || !st.Mode().IsRegular() {
		return false
	}
	f, err := look(name)
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // only read
	if dead, sure := free(f); !dead || !sure && !st.ModTime().Before(before) {
		return false
	}
	return holds(f) && os.Remove(name) == nil
}
