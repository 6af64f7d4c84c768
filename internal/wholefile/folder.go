package wholefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Folder calls fill with an empty folder next to name. When fill succeeds, the folder takes the name,
// in place of a folder that has it: on Linux in one step, elsewhere in two. Otherwise it goes away,
// and what was there stays. What killed processes have left of name is removed.
func Folder(name string, fill func(dir string) error) error {
	p := beside(name)
	dir, lock, err := p.folder()
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer lock.Close()      //nolint:errcheck // only held
	defer os.RemoveAll(dir) //nolint:errcheck // the next sweep tries again
	p.sweepFolders(lock)
	if err := fill(dir); err != nil {
		return err
	}
	syncDir(dir)
	if runtime.GOOS == "windows" { // cannot rename what is open
		lock.Close() //nolint:errcheck,gosec // only held
	}
	if err := p.swap(dir, name); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	syncDir(p.dir)
	return nil
}

// folder makes a folder under a name of its own, and locks it. Between the two a sweep may take it
// away; then there is another try.
func (p place) folder() (string, *os.File, error) {
	for {
		dir, err := os.MkdirTemp(p.dir, p.prefix+"*")
		if err != nil {
			return "", nil, err
		}
		f, err := os.Open(dir)
		if err == nil && TryLock(f, true) && holds(f) {
			return dir, f, os.Chmod(dir, 0o755)
		}
		if err == nil {
			f.Close() //nolint:errcheck,gosec // another takes its place
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", nil, errors.Join(err, os.Remove(dir))
		}
	}
}

// swap gives dir the name. What had the name before is dir then, or gone.
func (p place) swap(dir, name string) error {
	if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return os.Rename(dir, name)
	}
	if exchange(dir, name) == nil {
		return nil
	}
	return p.replace(dir, name)
}

// replace gives dir the name in two steps, between which nothing has it.
func (p place) replace(dir, name string) error {
	holder, err := os.MkdirTemp(p.dir, p.prefix+"*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(holder) //nolint:errcheck // the next sweep tries again
	old := filepath.Join(holder, "old")
	if err := os.Rename(name, old); err != nil {
		return err
	}
	if err := os.Rename(dir, name); err != nil {
		return errors.Join(err, os.Rename(old, name))
	}
	return nil
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
