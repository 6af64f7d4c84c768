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

// place is where a file waits: a folder, how the names of waiting files begin, and the permissions that
// a new file asks for. The system takes those of the umask away.
type place struct {
	dir, prefix string
	perm        fs.FileMode
}

// outputPerm is what an output asks for, as those of other programs do: the umask decides.
const outputPerm = 0o666

// beside is the place of the files that wait for name.
func beside(name string) place {
	return place{filepath.Dir(name), "." + filepath.Base(name) + ".tmp-", outputPerm}
}

// waiting is the place of files that have no final name yet. Nobody else reads them until then.
func waiting(dir string) place { return place{dir, ".mkbuild-tmp-", 0o600} }

// name returns a name of the place that is hardly taken.
func (p place) name() string {
	return filepath.Join(p.dir, p.prefix+strconv.FormatUint(uint64(rand.Uint32()), 10)) //nolint:gosec // no secret
}

// IsWaiting reports whether a file of that name is one that waits, see [CreateIn].
func IsWaiting(name string) bool { return waiting("").owns(name) }

// owns reports whether a name is one that named gives.
func (p place) owns(name string) bool {
	number, ok := strings.CutPrefix(name, p.prefix)
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// named opens a file under a name of its own, and locks it. Between the two a sweep may take it
// away; then there is another try.
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

// abandoned is how long nobody has written to what counts as dead where locks do not work.
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

// all lists what has a name of the place.
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

// dead reports whether nobody holds f. Where locks do not work its age decides, by the time of the file
// system, which all processes there share: that of fresh.
func dead(f, fresh *os.File) bool {
	dead, sure := free(f)
	if !dead || sure {
		return dead
	}
	st, err := f.Stat()
	now, nerr := fresh.Stat()
	return err == nil && nerr == nil && st.ModTime().Before(now.ModTime().Add(-abandoned))
}

// ErrNotRegular is returned for a link, a pipe, a device or a folder in the place of a file.
var ErrNotRegular = errors.New("it is not a regular file")

// OpenRegular opens a file for reading in a folder that others may write to: it neither follows a link
// nor waits for a pipe.
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
