// Package store keeps content by its SHA-256, in a folder that any number of processes share. It
// knows no network and no meaning of addresses: fetch records in it what an address gave, and remaster
// keeps what it has made of downloads. Start reading at [Store].
//
// The layout of the folder:
//
//	sha256/<two digits>/<digest>            content
//	index/<kind>/<two digits>/<hash>.json   an [Entry]: where a key leads; the hash is that of the key
//	tmp/                                    files under way
//
// Files appear by rename and are never changed, so that processes need no lock among each other, and a
// killed one leaves nothing behind. Only [Store.Prune] and [Store.Verify] wait for others before they
// remove entries.
//
// # Trust
//
// The folder is not trusted. Content is hashed before its first use in each process, and a [Blob] hands
// out the bytes that were hashed or an error: small content is held in memory; of larger content the
// file stays open and an authentication code of each piece, under a key that exists in this process
// alone, is kept in memory and checked on every read. So it does not help to replace the file after it
// was hashed, nor to write to it in place, nor to change it through a mapping that leaves all times as
// they were: whoever can do that can make reads fail, no more. Only regular files are opened, without
// blocking on pipes and without following links.
//
// What entries say is not verified: someone who can write to the folder can let a key lead to other
// content. Callers that know a digest must ask for it by [Store.Get].
package store

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"mkbuild/internal/fail"
	"mkbuild/internal/wholefile"
)

// The folders of a store.
const (
	blobDir  = "sha256"
	indexDir = "index"
	tmpDir   = "tmp"
)

// What [Store.Get] and [Store.Entry] return.
var (
	// ErrMissing is returned for content and entries that the store does not have.
	ErrMissing = errors.New("not in the cache")
	// ErrDamaged is returned for content that is not what its name promises. It has been removed.
	ErrDamaged = errors.New("the cached copy is damaged")
)

// Store is a folder of content. Set the fields before the first call; the methods are safe for
// concurrent use. The folder is made when something is first put into it.
//
// From the first use on, a Store holds a shared lock on the folder, until it is closed or the process
// ends: others do not prune what it may be about to read.
type Store struct {
	// Dir is the folder.
	Dir string
	// Waiting, if set, is called when others that use the folder have to end first.
	Waiting func()
	// Warn, if set, is told about damaged content that can be made anew, by its kind.
	Warn func(kind, text string)

	mu      sync.Mutex
	used    *os.File            // holds the lock
	known   map[string]*content // what this process has hashed
	private []*wholefile.Temp   // content that could not be put into the folder
	sweep   sync.Once           // removes what killed processes have left
}

// errNoDir is a mistake of the program, not of the user.
var errNoDir = errors.New("no cache directory given")

// Get returns the content of a hex SHA-256, after it has been hashed. also, if not nil, is written the
// content, too: another digest is computed at the same time. The error is [ErrMissing], [ErrDamaged], or
// wraps that of ctx.
func (s *Store) Get(ctx context.Context, sha256 string, also hash.Hash) (*Blob, error) {
	if err := s.hold(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	c := s.known[sha256]
	s.mu.Unlock()
	if c != nil {
		return s.blob(sha256, c, true), copyTo(also, c)
	}
	c, err := s.read(sha256, also)
	if err != nil {
		return nil, err
	}
	s.touch(sha256)
	return s.blob(sha256, s.remember(sha256, c), true), nil
}

func copyTo(h hash.Hash, c *content) error {
	if h == nil {
		return nil
	}
	_, err := io.Copy(h, io.NewSectionReader(c, 0, c.size))
	return err
}

// remember returns what this process has hashed before, or else c.
func (s *Store) remember(sha256 string, c *content) *content {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.known[sha256]; old != nil {
		c.close()
		return old
	}
	if s.known == nil {
		s.known = map[string]*content{}
	}
	s.known[sha256] = c
	return c
}

// read hashes the content of a name. What is damaged is removed.
func (s *Store) read(sha256 string, also hash.Hash) (*content, error) {
	if !isSHA256(sha256) {
		return nil, ErrMissing
	}
	name := s.path(sha256)
	f, err := wholefile.OpenRegular(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing
	}
	if errors.Is(err, wholefile.ErrNotRegular) {
		os.Remove(name) //nolint:errcheck,gosec // one that stays is refused again
		return nil, ErrDamaged
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	h := newHasher()
	if err := h.readFrom(f, also); err == nil && h.digest() == sha256 {
		return h.content(f)
	}
	s.drop(f)
	return nil, ErrDamaged
}

// drop closes a damaged file and removes it, unless another process has put a new one in its place.
func (s *Store) drop(f *os.File) {
	damaged, err := f.Stat()
	f.Close() //nolint:errcheck,gosec // only read
	if now, lerr := os.Lstat(f.Name()); err == nil && lerr == nil && os.SameFile(now, damaged) {
		os.Remove(f.Name()) //nolint:errcheck,gosec // one that stays is refused again
	}
}

// usedEvery is how precisely the modification time of content tells its last use.
const usedEvery = time.Hour

// touch notes a use for [Store.Prune]. A folder that belongs to somebody else keeps its times.
func (s *Store) touch(sha256 string) {
	now, name := time.Now(), s.path(sha256)
	if st, err := os.Lstat(name); err == nil && now.Sub(st.ModTime()) >= usedEvery {
		os.Chtimes(name, now, now) //nolint:errcheck,gosec // see above
	}
}

// path is where content lies.
func (s *Store) path(sha256 string) string {
	return filepath.Join(s.Dir, blobDir, sha256[:2], sha256)
}

// newFile opens a file under way. The first one sweeps up after killed processes.
func (s *Store) newFile(ctx context.Context) (*wholefile.File, error) {
	if s.Dir == "" {
		return nil, errNoDir
	}
	dir := filepath.Join(s.Dir, tmpDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, &WriteError{s.Dir, err}
	}
	if err := s.hold(ctx); err != nil { // the folder may be new
		return nil, err
	}
	s.sweep.Do(func() { wholefile.Sweep(dir) })
	f, err := wholefile.CreateIn(dir)
	if err != nil {
		return nil, &WriteError{s.Dir, err}
	}
	return f, nil
}

// WriteError is returned when the folder cannot be written: the disk is full, or permission is missing.
type WriteError struct {
	Dir string
	Err error
}

func (e *WriteError) Error() string { return fmt.Sprintf("write cache %s: %v", e.Dir, e.Err) }

// Unwrap returns the error of the file system.
func (e *WriteError) Unwrap() error { return e.Err }

// Class returns that of a full disk.
func (e *WriteError) Class() fail.Class { return fail.Unexpected }

// Hint says what to try next.
func (e *WriteError) Hint() string {
	switch {
	case errors.Is(e.Err, syscall.ENOSPC):
		return "free space on that disk, or put the cache elsewhere with --cache-dir DIR"
	case errors.Is(e.Err, fs.ErrPermission):
		return "make the directory writable, or put the cache elsewhere with --cache-dir DIR"
	}
	return "put the cache elsewhere with --cache-dir DIR"
}

// readOnly reports whether the folder cannot be written because nobody may.
func readOnly(err error) bool {
	var e *WriteError
	return errors.As(err, &e) && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS))
}
