package mkclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// generation is one unpacked extension in a directory of its own.
type generation struct {
	Dir    string `json:"dir"` // name below the extension root
	URL    string `json:"url"`
	SHA256 string `json:"sha256"`
	validators
	// Strikes counts Facter runs in a row that failed with it and worked without; Trouble is
	// what went wrong in the last one.
	Strikes int    `json:"strikes,omitempty"`
	Trouble string `json:"trouble,omitempty"`
	// Note is what its author should know although it is in use.
	Note string `json:"note,omitempty"`
	// Facts are the names that only this extension brings; nil until they are known.
	Facts []string `json:"facts"`
}

// maxStrikes is how often facts may fail with a generation before it is out of use. One
// failure is forgiven: a loaded machine is slow, and the kernel may kill what takes its memory.
const maxStrikes = 2

// bad reports whether the generation is out of use until the server's copy changes.
func (g *generation) bad() bool { return g.Strikes >= maxStrikes }

// refusal remembers an archive whose content broke a rule, so that it is not downloaded again
// in every cycle. It is looked at afresh from time to time all the same.
type refusal struct {
	URL string `json:"url"`
	validators
	Reason string `json:"reason"`
	Left   int    `json:"left"` // cycles until the next full look
}

// extState is the refresher's memory. Replacing its file is the switch to a new generation:
// until then a new directory does not exist for anybody.
type extState struct {
	Generations []generation `json:"generations,omitempty"` // newest first
	Refused     *refusal     `json:"refused,omitempty"`
	Gone        int          `json:"gone,omitempty"`  // consecutive 404s
	Error       string       `json:"error,omitempty"` // of the last attempt, in stable words
	Reported    string       `json:"reported,omitempty"`
}

const (
	stateFile = "state.json"
	lockFile  = "lock"
	runFile   = "run.lock"
)

// loadState reads the memory; one that is missing or damaged starts empty.
func loadState(root string) extState {
	var s extState
	b, err := os.ReadFile(filepath.Join(root, stateFile))
	if err != nil || json.Unmarshal(b, &s) != nil {
		return extState{}
	}
	kept := s.Generations[:0]
	for _, g := range s.Generations {
		if fi, err := os.Lstat(filepath.Join(root, g.Dir)); err == nil && fi.IsDir() && filepath.Base(g.Dir) == g.Dir {
			kept = append(kept, g)
		}
	}
	s.Generations = kept
	return s
}

// save replaces the memory atomically.
func (s *extState) save(root string) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return writeFileAtomic(filepath.Join(root, stateFile), b, 0o600)
}

// writeFileAtomic replaces a file by rename, so that a reader sees the old or the new one.
func writeFileAtomic(name string, b []byte, perm os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".mk-client-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // fails once the rename below has succeeded
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(perm), f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return os.Rename(f.Name(), name)
}

// ensureRoot makes the directory that generations live in, private to its owner. In a
// world-writable /tmp somebody else may have taken the name: what is not ours is removed.
func ensureRoot(root string) error {
	var last error
	for range 3 {
		last = os.Mkdir(root, 0o700)
		if last == nil {
			return nil
		}
		fi, err := os.Lstat(root)
		switch {
		case errors.Is(last, os.ErrNotExist):
			if err := os.MkdirAll(filepath.Dir(root), 0o755); err != nil {
				return err
			}
		case err != nil:
			return err
		case ours(fi):
			return os.Chmod(root, 0o700)
		default:
			if err := os.RemoveAll(root); err != nil {
				return err
			}
		}
	}
	return last
}

// ours reports whether fi is a directory that belongs to this process's user.
func ours(fi os.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && fi.IsDir() && int(st.Uid) == os.Geteuid()
}

// errBusy says that another process holds a lock.
const errBusy = syscall.EWOULDBLOCK

// lock takes an exclusive lock on a file below root; the returned function gives it back. It
// fails at once with errBusy while another process has it: waiting is for the caller, who has a
// context.
func lock(root, name string) (func(), error) {
	f, err := os.OpenFile(filepath.Join(root, name), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { _ = f.Close() }, nil
}
