package wholefile

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// place describes waiting files: their folder, the prefix of their names, and the requested permissions of a new
// file, which the umask reduces.
type place struct {
	dir, prefix string
	perm        fs.FileMode
}

// outputPerm are the requested permissions of an output, as in other programs: the umask decides.
const outputPerm = 0o666

// beside returns the place of the files that wait for name.
func beside(name string) place {
	return place{filepath.Dir(name), "." + filepath.Base(name) + ".tmp-", outputPerm}
}

// waiting returns the place of files without a final name. Only the user can read them.
func waiting(dir string) place { return place{dir, ".mkbuild-tmp-", 0o600} }

// name returns a name of the place that is probably free.
func (p place) name() string {
	return filepath.Join(p.dir, p.prefix+strconv.FormatUint(uint64(rand.Uint32()), 10)) //nolint:gosec // no secret
}

// IsWaiting reports whether name is the name of a waiting file, see [CreateIn].
func IsWaiting(name string) bool { return waiting("").owns(name) }

// owns reports whether named can have made a name.
func (p place) owns(name string) bool {
	number, ok := strings.CutPrefix(name, p.prefix)
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// named opens a file with a unique name, and locks it. It tries again if a sweep removes the file in between.
func (p place) named() (*os.File, error) {
	for {
		f, err := os.OpenFile(p.name(), os.O_RDWR|os.O_CREATE|os.O_EXCL, p.perm) //nolint:gosec // the place decides
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil || TryLock(f, true) && holds(f) {
			return f, err
		}
		f.Close()           //nolint:errcheck,gosec // another takes its place
		os.Remove(f.Name()) //nolint:errcheck,gosec // it is gone already
	}
}

// holds reports whether f still is the file of its name.
func holds(f *os.File) bool {
	there, err := os.Lstat(f.Name())
	if err != nil {
		return false
	}
	st, err := f.Stat()
	return err == nil && os.SameFile(there, st)
}

// abandoned is the time without writes after which a file counts as dead if locks do not work.
const abandoned = 24 * time.Hour

// sweep removes the dead files of a place. fresh was made just now.
func (p place) sweep(fresh *os.File) (removed []string) {
	for _, name := range p.all() {
		f, err := OpenRegular(name)
		if err != nil {
			continue
		}
		if dead(f, fresh) && holds(f) && os.Remove(name) == nil {
			removed = append(removed, name)
		}
		f.Close() //nolint:errcheck,gosec // only read
	}
	return removed
}

// all lists the files with a name of the place.
func (p place) all() (paths []string) {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if p.owns(e.Name()) {
			paths = append(paths, filepath.Join(p.dir, e.Name()))
		}
	}
	return paths
}

// dead reports whether nobody holds f. If locks do not work, its age decides, by the time of the file system, which
// all its processes share: the time of fresh.
func dead(f, fresh *os.File) bool {
	dead, sure := free(f)
	if !dead || sure {
		return dead
	}
	st, err := f.Stat()
	now, nerr := fresh.Stat()
	return err == nil && nerr == nil && st.ModTime().Before(now.ModTime().Add(-abandoned))
}

// ErrNotRegular is returned for a link, a pipe, a device or a folder in place of a file.
var ErrNotRegular = errors.New("it is not a regular file")

// OpenRegular opens a file for reading in a folder that others may write to: it neither follows a link nor waits
// for a pipe.
func OpenRegular(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|carefully, 0)
	if err != nil {
		if st, lerr := os.Lstat(name); lerr == nil && !st.Mode().IsRegular() {
			err = ErrNotRegular
		}
		return nil, err
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(ErrNotRegular, f.Close())
	}
	return f, nil
}
