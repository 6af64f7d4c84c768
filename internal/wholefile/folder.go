package wholefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"mkbuild/internal/fail"
)

// Folder calls fill with an empty folder next to name. When fill succeeds, the folder takes the name,
// in place of a folder that has it: on Linux in one step, elsewhere in two. Otherwise it goes away,
// and what was there stays. A link is followed: its target is replaced. The umask decides who may read
// it, as in [Write]. What killed processes have left of name is removed. Of several processes that write
// one folder at once each succeeds, and the last one's stays.
func Folder(name string, fill func(dir string) error) error {
	return folder(name, fill, place.over)
}

// Grow is [Folder] for one that keeps something of the folder before it. When that is there, carry takes
// over what is to stay of old, just before dir takes its place. Of several processes that grow one folder at
// once each carries what the one before it has left.
func Grow(name string, fill func(dir string) error, carry func(old, dir string) error) error {
	return folder(name, fill, func(p place, dir, target string) error {
		return Locked(target, func() error {
			if err := carry(target, dir); err != nil {
				return err
			}
			return p.over(dir, target)
		})
	})
}

// Locked calls do while no [Grow] replaces the folder name, which must be there and no link. It fails with
// [fs.ErrNotExist] if the folder was replaced while it waited. Windows has no such locks.
func Locked(name string, do func() error) error {
	f, err := os.Open(name) //nolint:gosec // the caller's own
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only held
	for !TryLock(f, true) {
		time.Sleep(20 * time.Millisecond)
	}
	if !holds(f) {
		return fmt.Errorf("%s was replaced meanwhile: %w", name, fs.ErrNotExist)
	}
	if runtime.GOOS == "windows" { // cannot rename what is open
		f.Close() //nolint:errcheck,gosec // only held
	}
	return do()
}

// folder fills a folder and gives it the name, by over if a folder has it.
func folder(name string, fill func(dir string) error, over func(p place, dir, target string) error) error {
	if err := replaceBy(filepath.Clean(name), fill, over); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func replaceBy(name string, fill func(dir string) error, over func(p place, dir, target string) error) error {
	target, before, err := follow(name)
	if err != nil {
		return err
	}
	if before != nil && !before.IsDir() {
		return fail.Wrap(fail.Usage, ErrNotFolder, otherPlace)
	}
	p := beside(target)
	p.perm = 0o777
	dir, lock, err := p.folder()
	if err != nil {
		return err
	}
	defer lock.Close()      //nolint:errcheck // only held
	defer os.RemoveAll(dir) //nolint:errcheck // the next sweep tries again
	p.sweepFolders(lock)
	if err := fill(dir); err != nil {
		return err
	}
	if err := narrow(lock, before); err != nil {
		return err
	}
	syncDir(dir)
	if runtime.GOOS == "windows" { // cannot rename what is open
		lock.Close() //nolint:errcheck,gosec // only held
	}
	if err := swap(dir, target, func(dir, name string) error { return over(p, dir, name) }); err != nil {
		return err
	}
	syncDir(p.dir)
	return nil
}

// ErrNotFolder is returned by [Folder] for a name that something else has.
var ErrNotFolder = errors.New("it is not a folder")

// TempFolder makes a folder to work in, in the system's own place, for this user alone. release removes
// it. What killed processes have left there is removed.
func TempFolder() (dir string, release func(), err error) {
	p := waiting(os.TempDir())
	p.perm = 0o700
	dir, lock, err := p.folder()
	if err != nil {
		return "", nil, err
	}
	p.sweep(lock)
	p.sweepFolders(lock)
	return dir, func() {
		os.RemoveAll(dir) //nolint:errcheck,gosec // the next sweep tries again
		lock.Close()      //nolint:errcheck,gosec // only held
	}, nil
}

// folder makes a folder under a name of its own, and locks it. Between the two a sweep may take it
// away; then there is another try.
func (p place) folder() (string, *os.File, error) {
	for {
		dir := p.name()
		if err := os.Mkdir(dir, p.perm); errors.Is(err, fs.ErrExist) {
			continue
		} else if err != nil {
			return "", nil, err
		}
		f, err := os.Open(dir) //nolint:gosec // made just now
		if err == nil && TryLock(f, true) && holds(f) {
			return dir, f, nil
		}
		if err == nil {
			f.Close() //nolint:errcheck,gosec // another takes its place
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", nil, errors.Join(err, os.Remove(dir))
		}
	}
}

// maxSwaps bounds how often [swap] yields to other processes that write the same folder.
const maxSwaps = 1000

// swap gives dir the name, by over if a folder has it. What had the name before is dir then, or gone. Between
// two steps other processes may put a folder there or take one away; then it begins again.
func swap(dir, name string, over func(dir, name string) error) (err error) {
	for range maxSwaps {
		if _, lerr := os.Lstat(name); errors.Is(lerr, fs.ErrNotExist) {
			err = os.Rename(dir, name)
		} else {
			err = over(dir, name)
		}
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return err
}

// over gives dir the name of another folder: in one step where the system can.
func (p place) over(dir, name string) error {
	err := exchange(dir, name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return p.replace(dir, name)
}

// replace gives dir the name in two steps, between which nothing has it.
func (p place) replace(dir, name string) error {
	holder, lock, err := p.folder()
	if err != nil {
		return err
	}
	defer lock.Close()         //nolint:errcheck // only held
	defer os.RemoveAll(holder) //nolint:errcheck // the next sweep tries again
	old := filepath.Join(holder, "old")
	if err := os.Rename(name, old); err != nil {
		return err
	}
	err = os.Rename(dir, name)
	if err != nil && !errors.Is(err, fs.ErrExist) { // where another process has put its folder, ours comes after it
		return errors.Join(err, os.Rename(old, name))
	}
	return err
}

// sweepFolders removes the folders that killed processes have left. fresh was made just now.
func (p place) sweepFolders(fresh *os.File) {
	for _, dir := range p.all() {
		if st, err := os.Lstat(dir); err != nil || !st.IsDir() {
			continue
		}
		f, err := os.Open(dir)
		if err != nil {
			continue
		}
		if dead(f, fresh) {
			os.RemoveAll(dir) //nolint:errcheck,gosec // best effort
		}
		f.Close() //nolint:errcheck,gosec // only read
	}
}
