package generations

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"mkbuild/internal/extension"
	"mkbuild/internal/mkclient/clientlog"
	"mkbuild/internal/mkclient/facts"
	"mkbuild/internal/mkclient/settings"
	"mkbuild/internal/mkclient/web"
)

// DefaultDir is the directory of generations: a microkernel's / is RAM.
const DefaultDir = "/tmp/mk-extension"

// Baked is the path, below the root, of an image's own extension (`mkbuild customize --extension`). It is active
// until the server offers one.
const Baked = "usr/lib/mk-client/mk-extension.zip"

// bakedURL means the image's own extension in the state.
const bakedURL = "file:///" + Baked

// Store holds the generations of the extension. Its methods are called with the cycle's lock held.
type Store struct {
	Dir      string     // directory of generations, on a RAM file system
	Root     facts.Root // has /proc, for the garbage collection, and the image's own extension
	Limits   extension.Limits
	Settings *settings.Settings
	Web      *web.Client
	Log      *clientlog.Logger

	state state
	saved []byte // the state in its file
}

// generation is one unpacked extension in its own directory.
type generation struct {
	Dir    string `json:"dir"` // name below the root
	URL    string `json:"url"`
	SHA256 string `json:"sha256"`
	validators
	// Strikes counts Facter runs in a row that failed with it and worked without it; Trouble is the last failure.
	Strikes int    `json:"strikes,omitempty"`
	Trouble string `json:"trouble,omitempty"`
	// Note is a note for its author, although it is in use.
	Note string `json:"note,omitempty"`
	// Facts are the names that only this extension adds; nil if unknown.
	Facts []string `json:"facts"`
	// Sequence is the signed number; 0 for an image without keys.
	Sequence int64 `json:"sequence,omitempty"`
	bare     int64 // size of the archive without its signature; 0 without a valid one
}

// maxStrikes is the number of failures that disables a generation. One failure is forgiven: a loaded machine is
// slow, and the kernel may kill processes that need memory.
const maxStrikes = 2

// bad reports whether the generation is disabled until the server's copy changes.
func (g *generation) bad() bool { return g.Strikes >= maxStrikes }

// origin names the extension in messages.
func (g *generation) origin() string {
	if g.URL == bakedURL {
		return "the image"
	}
	return g.LastModified
}

// refusal records a refused archive, so that it is not downloaded again in every cycle. It is checked again from
// time to time.
type refusal struct {
	URL string `json:"url"`
	validators
	Reason string `json:"reason"`
	Left   int    `json:"left"` // cycles until the next check
}

// state is the store's memory. Replacing its file switches to a new generation: until then nobody uses the new
// directory.
type state struct {
	Generations []generation `json:"generations,omitempty"` // newest first
	Refused     *refusal     `json:"refused,omitempty"`
	Gone        int          `json:"gone,omitempty"`  // consecutive 404s
	Error       string       `json:"error,omitempty"` // error of the last attempt, in stable words
	Reported    string       `json:"reported,omitempty"`
	Sequence    int64        `json:"sequence,omitempty"` // the highest active one since the boot
}

// Files below the root. The locks are held by one cycle, and by the one loop.
const (
	stateFile = "state.json"
	CycleLock = "lock"
	LoopLock  = "run.lock"
)

// Load reads the state again, which another process may have changed. A missing or damaged state starts empty. If
// extensions are off, there are none.
func (s *Store) Load() {
	b, err := os.ReadFile(filepath.Join(s.Dir, stateFile))
	s.state, s.saved = state{}, b
	if err != nil || json.Unmarshal(b, &s.state) != nil {
		s.state = state{}
	}
	kept := s.state.Generations[:0]
	for _, g := range s.state.Generations {
		if fi, err := os.Lstat(filepath.Join(s.Dir, g.Dir)); err == nil && fi.IsDir() && filepath.Base(g.Dir) == g.Dir {
			kept = append(kept, g)
		}
	}
	s.state.Generations = kept
	if s.Settings.ExtendOff {
		s.withdraw()
	}
}

// save replaces the state's file if the state has changed.
func (s *Store) save() error {
	b, err := json.Marshal(s.state)
	if err != nil || bytes.Equal(b, s.saved) {
		return err
	}
	if err := WriteFile(filepath.Join(s.Dir, stateFile), b, 0o600); err != nil {
		return err
	}
	s.saved = b
	return nil
}

// withdraw removes the extension. An older one does not return.
func (s *Store) withdraw() { s.state = state{Reported: s.state.Reported, Sequence: s.state.Sequence} }

// remember saves the state; a full disk only loses the last change.
func (s *Store) remember() {
	if err := s.save(); err != nil {
		s.Log.Changed("state", clientlog.Warn, "save %s: %v", stateFile, err)
	}
}

// pinned reports whether razor.extend_sha256 allows an archive.
func (s *Store) pinned(sha256 string) bool {
	return s.Settings.ExtendSHA256 == "" || s.Settings.ExtendSHA256 == sha256
}

// WriteFile replaces a file by rename, so that a reader sees the old or the new one.
func WriteFile(name string, b []byte, perm os.FileMode) error {
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

// makeDir makes the directory of generations, private to its owner. In a world-writable /tmp somebody else may
// have taken the name: makeDir removes files of other users.
func (s *Store) makeDir() error {
	var last error
	for range 3 {
		last = os.Mkdir(s.Dir, 0o700)
		if last == nil {
			return nil
		}
		fi, err := os.Lstat(s.Dir)
		switch {
		case errors.Is(last, os.ErrNotExist):
			err = os.MkdirAll(filepath.Dir(s.Dir), 0o755)
		case err == nil && ours(fi):
			return os.Chmod(s.Dir, 0o700)
		case err == nil:
			err = os.RemoveAll(s.Dir)
		}
		if err != nil {
			return err
		}
	}
	return last
}

// ours reports whether fi is a directory that belongs to this process's user.
func ours(fi os.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && fi.IsDir() && int(st.Uid) == os.Geteuid()
}

// ErrBusy is returned if another process holds a lock.
const ErrBusy = syscall.EWOULDBLOCK

// Lock takes [CycleLock] or [LoopLock]; unlock releases it, and is never nil. It fails at once with ErrBusy while
// another process has the lock: the caller, who has a context, waits.
func (s *Store) Lock(name string) (unlock func(), err error) {
	if err := s.makeDir(); err != nil {
		return func() {}, err
	}
	f, err := os.OpenFile(filepath.Join(s.Dir, name), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return func() {}, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return func() {}, fmt.Errorf("lock %s: %w", name, err)
	}
	return func() { _ = f.Close() }, nil
}

// maxKept bounds the old generations kept for running processes: they take RAM, and a fact that never ends must
// not fill it.
const maxKept = 6

// collect removes directories without a generation in the state: leftovers of a killed client, and older
// generations that nothing uses, or of which too many are in use.
func (s *Store) collect() error {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return nil // no directory yet
	}
	listed := []string{stateFile, CycleLock, LoopLock}
	for _, g := range s.state.Generations {
		listed = append(listed, g.Dir)
	}
	stale := slices.DeleteFunc(entries, func(e os.DirEntry) bool { return slices.Contains(listed, e.Name()) })
	slices.SortFunc(stale, func(a, b os.DirEntry) int { return modTime(b).Compare(modTime(a)) })
	var inUse []byte
	var errs []error
	kept := 0
	for _, e := range stale {
		p := filepath.Join(s.Dir, e.Name())
		if e.IsDir() && inUse == nil {
			inUse = mentions(s.Root.Path("proc"), s.Dir)
		}
		if e.IsDir() && kept < maxKept && bytes.Contains(inUse, []byte(p+"/")) {
			kept++
			continue
		}
		errs = append(errs, os.RemoveAll(p))
	}
	return errors.Join(errs...)
}

func modTime(e os.DirEntry) (t time.Time) {
	if fi, err := e.Info(); err == nil {
		t = fi.ModTime()
	}
	return t
}

// mentions looks through all processes for directories below root: in the environment (PATH names the
// generation of every fact), working directory, program and maps. It returns all that mentions root.
func mentions(proc, root string) []byte {
	seen := []byte{0}
	procs, _ := filepath.Glob(filepath.Join(proc, "[0-9]*"))
	for _, p := range procs {
		for _, link := range []string{"cwd", "exe"} {
			if target, err := os.Readlink(filepath.Join(p, link)); err == nil {
				seen = append(seen, target+"/\x00"...)
			}
		}
		for _, file := range []string{"environ", "maps"} {
			if b, err := os.ReadFile(filepath.Join(p, file)); err == nil && bytes.Contains(b, []byte(root)) {
				seen = append(seen, b...)
			}
		}
	}
	return seen
}
