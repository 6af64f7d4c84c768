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
// A [Shared] is a second place for content, such as a registry. It is asked by digest for what the folder lacks.
//
// # Trust
//
// The folder is not trusted. Content is hashed before its first use in each process, and a [Blob] hands
// out the bytes that were hashed or an error: small content is held in memory; of larger content the
// file stays open and an authentication code of each piece, under a key that exists in this process
// alone, is kept in memory and checked on every read. Anyone who replaces the file after it was hashed,
// writes to it in place, or changes it through a mapping can make reads fail, and no more. Only regular
// files are opened, without blocking on pipes and without following links.
//
// What entries say is verified in a [Store.Sealed] store alone. Without seals someone who can write to the
// folder can let a key lead to other content. Callers that know a digest ask for it by [Store.Get]; others
// look at [Entry.Trusted].
package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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

// Store is a folder of content. Set the fields before the first call; the methods are safe for
// concurrent use. The folder is made when something is first put into it.
//
// From the first use on, a Store holds a shared lock on the folder, until it is closed or the process
// ends: others do not prune what it may be about to read.
type Store struct {
	// Dir is the folder.
	Dir string
	// Key is the user's own secret, from outside of the folder.
	Key []byte
	// Sealed says that the folder is not trusted: entries are written with a seal under Key, and what is
	// derived is taken by an entry with such a seal alone, or made anew.
	Sealed bool
	// Waiting, if set, is called when others that use the folder have to end first.
	Waiting func()
	// Shared, if set, is asked for what the folder lacks, and is told of what was derived.
	Shared Shared
	// Pinned, if set, returns the SHA-256 that derived content must have, or "".
	Pinned func(kind, key string) string
	// Warn, if set, is told about damaged content that can be made anew, by its kind.
	Warn func(kind, text string)

	mu    sync.Mutex
	used  *os.File            // holds the lock
	known map[string]*content // what this process has hashed
	sweep sync.Once           // removes what killed processes have left
}

// What the methods return.
var (
	// ErrMissing is returned for content and entries that the store does not have.
	ErrMissing = errors.New("not in the cache")
	// ErrDamaged is returned for content that is not what its name promises. It has been removed.
	ErrDamaged = errors.New("the cached copy is damaged")
	// ErrWrite is returned if the folder cannot be written: a full disk, or missing permission.
	ErrWrite = errors.New("write cache")

	errNoDir = errors.New("no cache directory given")
)

// Blob is verified content. Its bytes never change.
type Blob struct {
	// SHA256 is the hex digest by which the store has it.
	SHA256 string
	// Size is the length in bytes; that of derived content is without its description.
	Size int64
	// Cached is true for content that was there before it was asked for.
	Cached bool

	store   *Store
	content *content
}

// Reader reads the content from its beginning. It may be used until the store is closed.
func (b *Blob) Reader() *io.SectionReader { return io.NewSectionReader(b.content, 0, b.Size) }

// Stored reads what the digest is of: derived content has its description behind it.
func (b *Blob) Stored() *io.SectionReader { return io.NewSectionReader(b.content, 0, b.content.size) }

// ReadAll returns the content.
func (b *Blob) ReadAll() ([]byte, error) {
	text := make([]byte, b.Size)
	_, err := io.ReadFull(b.Reader(), text)
	return text, err
}

// Discard removes the content from the store. It is for content that no digest vouched for and that
// turned out to be unusable. What cannot be removed stays, and is refused again.
func (b *Blob) Discard() {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	delete(b.store.known, b.SHA256)
	os.Remove(b.store.path(b.SHA256)) //nolint:errcheck,gosec // see above
}

// Get returns the content of a hex SHA-256, after it has been hashed. also, if not nil, hashes it at the
// same time. The error is [ErrMissing], [ErrDamaged], or wraps that of ctx.
func (s *Store) Get(ctx context.Context, sha256 string, also hash.Hash) (*Blob, error) {
	return s.get(ctx, KindDownload, sha256, also)
}

// get is Get for content of a kind.
func (s *Store) get(ctx context.Context, kind, sha256 string, also hash.Hash) (*Blob, error) {
	if err := s.hold(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	c := s.known[sha256]
	s.mu.Unlock()
	if c == nil || also != nil {
		var err error
		c, err = s.read(sha256, also)
		if errors.Is(err, ErrMissing) && isSHA256(sha256) && s.Shared != nil {
			if b := s.share(ctx, kind, sha256); b != nil && also == nil {
				return b, nil
			}
			c, err = s.read(sha256, also)
		}
		if err != nil {
			return nil, err
		}
		s.touch(sha256)
		c = s.remember(c)
	}
	return s.blob(c, true), nil
}

func (s *Store) blob(c *content, cached bool) *Blob {
	return &Blob{SHA256: c.sha256, Size: c.size, Cached: cached, store: s, content: c}
}

// remember keeps c for the next time that it is asked for, unless there is one already.
func (s *Store) remember(c *content) *content {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.known[c.sha256]
	if old != nil || c.text != nil {
		c.owner.Close() //nolint:errcheck,gosec // only read
	}
	if old != nil {
		return old
	}
	if s.known == nil {
		s.known = map[string]*content{}
	}
	s.known[c.sha256] = c
	return c
}

// read hashes the content of a name. What is damaged is removed.
func (s *Store) read(sha256 string, also hash.Hash) (*content, error) {
	if !isSHA256(sha256) {
		return nil, ErrMissing
	}
	f, err := wholefile.OpenRegular(s.path(sha256))
	if err == nil {
		c, herr := hashFile(f, f, also)
		if herr == nil && c.sha256 == sha256 {
			return c, nil
		}
		f.Close() //nolint:errcheck,gosec // only read
	} else if !errors.Is(err, wholefile.ErrNotRegular) {
		return nil, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	os.Remove(s.path(sha256)) //nolint:errcheck,gosec // one that stays is refused again
	return nil, ErrDamaged
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
		return nil, s.writeError(err)
	}
	if err := s.hold(ctx); err != nil { // the folder may be new
		return nil, err
	}
	s.sweep.Do(func() { wholefile.Sweep(dir) })
	f, err := wholefile.CreateIn(dir)
	return f, s.writeError(err)
}

// commit gives a file its name.
func (s *Store) commit(f *wholefile.File, name string, durable bool) error {
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = f.CommitAs(name, durable)
	}
	return s.writeError(err)
}

// writeError makes an [ErrWrite] of an error of the file system.
func (s *Store) writeError(err error) error {
	if err == nil {
		return nil
	}
	hint := "put the cache elsewhere with --cache-dir DIR"
	switch {
	case errors.Is(err, syscall.ENOSPC):
		hint = "free space on that disk, or " + hint
	case errors.Is(err, fs.ErrPermission):
		hint = "make the directory writable, or " + hint
	}
	return &fail.Error{Hint: hint, Err: fmt.Errorf("%w %s: %w", ErrWrite, s.Dir, err)}
}

// readOnly reports whether the folder cannot be written because nobody may.
func readOnly(err error) bool {
	return errors.Is(err, ErrWrite) && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS))
}

// isSHA256 reports whether s is a digest in the form in which content is named.
func isSHA256(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}

// hold locks the folder until the Store is closed, together with all others that use it. Processes that
// are killed lose their locks. A folder that does not exist needs none.
func (s *Store) hold(ctx context.Context) (err error) {
	if s.Dir == "" {
		return errNoDir
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used != nil {
		return nil
	}
	s.used, err = s.lock(ctx, false)
	if ctx.Err() == nil {
		return nil // a folder that cannot be opened fails where it is read or written
	}
	return err
}

// Close lets others remove what this process may have been about to read, and ends the use of all
// blobs. The end of the process does the same.
func (s *Store) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used.Close() //nolint:errcheck,gosec // only locked, if at all
	for _, c := range s.known {
		c.owner.Close() //nolint:errcheck,gosec // only read
	}
	s.used, s.known = nil, nil
}

// alone calls f while nobody else uses the folder, this Store included.
func (s *Store) alone(ctx context.Context, f func() error) error {
	s.Close()
	d, err := s.lock(ctx, true)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	defer d.Close() //nolint:errcheck // only locked, if it exists
	return f()
}

// lockPause is how long to wait before asking again for a lock that others hold.
const lockPause = 20 * time.Millisecond

// lock waits for the lock of the folder. The caller closes it.
func (s *Store) lock(ctx context.Context, alone bool) (*os.File, error) {
	d, err := os.Open(s.Dir)
	if err != nil {
		return nil, err
	}
	for waited := false; !wholefile.TryLock(d, alone); waited = true {
		if alone && !waited && s.Waiting != nil {
			s.Waiting()
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for the lock of %s: %w", s.Dir, ctx.Err()), d.Close())
		case <-time.After(lockPause):
		}
	}
	return d, nil
}
