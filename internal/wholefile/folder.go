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

// Folder calls fill with an empty folder next to name. If fill succeeds, the folder gets the name and replaces an
// existing folder: on Linux in one step, elsewhere in two. Otherwise it is removed, and the existing folder stays.
// A link is followed: its target is replaced. The umask determines who may read it, as in [Write]. Remains of
// killed processes are removed. If several processes write one folder at once, each succeeds, and the last folder
// stays.
func Folder(name string, fill func(dir string) error) error {
	return folder(name, fill, place.over)
}

// Grow is [Folder] for a folder that keeps parts of its predecessor old. If old exists, carry copies these parts
// just before dir replaces it. If several processes grow one folder at once, each copies from the result of the
// process before.
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

// Locked calls do while no [Grow] can replace the folder name, which must exist and not be a link. It fails with
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
	if runtime.GOOS == "windows" { // cannot rename open folders
		f.Close() //nolint:errcheck,gosec // only held
	}
	return do()
}

// folder fills a folder and gives it the name, through over if a folder has the name.
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
	if runtime.GOOS == "windows" { // cannot rename open folders
		lock.Close() //nolint:errcheck,gosec // only held
	}
	if err := swap(dir, target, func(dir, name string) error { return over(p, dir, name) }); err != nil {
		return err
	}
	syncDir(p.dir)
	return nil
}

// ErrNotFolder is returned by [Folder] if the name is not a folder.
var ErrNotFolder = errors.New("it is not a folder")

// TempFolder makes a working folder in the system's temporary directory, for this user only. release removes it.
// Remains of killed processes are removed.
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

// folder makes a folder with a unique name, and locks it. It tries again if a sweep removes the folder in between.
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

// swap gives dir the name, through over if a folder has the name. The old folder then has the name dir, or is gone.
// It starts again if another process puts a folder there or removes one between two steps.
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

// over gives dir the name of another folder: in one step if the system can.
func (p place) over(dir, name string) error {
	err := exchange(dir, name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return p.replace(dir, name)
}

// replace gives dir the name in two steps; in between the name does not exist.
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
	if err != nil && !errors.Is(err, fs.ErrExist) { // if another process has put its folder there, ours comes after it
		return errors.Join(err, os.Rename(old, name))
	}
	return err
}

// sweepFolders removes the folders of killed processes. fresh was made just now.
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
