// Package store keeps content by its SHA-256, in a folder that processes share. It knows no network and no
// meaning of addresses: fetch records the content of an address in it, and remaster keeps segments. Start reading
// at [Store].
//
// The layout of the folder:
//
//	sha256/<two digits>/<digest>            content
//	index/<kind>/<two digits>/<hash>.json   an [Entry]; the hash is that of its key
//	tmp/                                    files under way
//
// Files appear by rename and are never changed: processes need no lock among each other, and a killed one leaves
// no partial content. Only [Store.Prune] and [Store.Verify] wait for others before they remove entries.
//
// A [Shared] is a second place for content, such as a registry. It is asked by digest for missing content.
//
// # Trust
//
// The folder is not trusted. Content is hashed before its first use in each process, and a [Blob] hands out the
// bytes that were hashed or an error: small content is held in memory; of larger content the file stays open and
// an authentication code of each piece, under a key that exists in this process alone, is kept in memory and
// checked on every read. Anyone who replaces the file after it was hashed, or changes it in place or through a
// mapping, can only make reads fail. Only regular files are opened, without blocking on pipes and without
// following links.
//
// Entries are verified only in a [Store.Sealed] store. Without seals anyone who can write to the folder can make
// a key lead to other content. Callers that know a digest use [Store.Get]; others check [Entry.Trusted].
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

// Store is a folder of content. Set the fields before the first call; the methods are safe for concurrent use.
// The first write makes the folder.
//
// From its first use, a Store holds a shared lock on the folder, until it is closed or the process ends: others
// do not prune content that it may read.
type Store struct {
	// Dir is the folder.
	Dir string
	// Key is the user's own secret, from outside of the folder.
	Key []byte
	// Sealed is true if the folder is not trusted: entries are written with a seal under Key, and derived content
	// without such a seal is made again.
	Sealed bool
	// Waiting, if set, is called before waiting for others that use the folder.
	Waiting func()
	// Shared, if set, is asked for missing content, and is offered derived content.
	Shared Shared
	// Pinned, if set, returns the SHA-256 that derived content must have, or "".
	Pinned func(kind, key string) string
	// Warn, if set, is called for damaged content that can be made again, with its kind.
	Warn func(kind, text string)

	mu    sync.Mutex
	used  *os.File            // holds the lock
	known map[string]*content // content that this process has hashed
	sweep sync.Once           // removes files of killed processes
}

// Errors of the methods.
var (
	// ErrMissing is returned for content and entries that the store does not have.
	ErrMissing = errors.New("not in the cache")
	// ErrDamaged is returned for content with a wrong digest, which has been removed.
	ErrDamaged = errors.New("the cached copy is damaged")
	// ErrWrite is returned if the folder cannot be written: a full disk, or missing permission.
	ErrWrite = errors.New("write cache")

	errNoDir = errors.New("no cache directory given")
)

// Blob is verified content. Its bytes never change.
type Blob struct {
	// SHA256 is the hex digest of the stored content.
	SHA256 string
	// Size is the length in bytes, for derived content without its description.
	Size int64
	// Cached is true for content that was in the store before the request.
	Cached bool

	store   *Store
	content *content
}

// Reader reads the content from its beginning. It may be used until the store is closed.
func (b *Blob) Reader() *io.SectionReader { return io.NewSectionReader(b.content, 0, b.Size) }

// Stored reads the stored bytes: derived content is followed by its description.
func (b *Blob) Stored() *io.SectionReader { return io.NewSectionReader(b.content, 0, b.content.size) }

// ReadAll returns the content.
func (b *Blob) ReadAll() ([]byte, error) {
	text := make([]byte, b.Size)
	_, err := io.ReadFull(b.Reader(), text)
	return text, err
}

// Discard removes the content from the store. It is for unusable content that was fetched without a digest. If
// the removal fails, the content is refused again.
func (b *Blob) Discard() {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	delete(b.store.known, b.SHA256)
	os.Remove(b.store.path(b.SHA256)) //nolint:errcheck,gosec // see above
}

// Get returns the content of a hex SHA-256, after hashing it. also, if not nil, hashes it at the same time. The
// error is [ErrMissing], [ErrDamaged], or wraps that of ctx.
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

// remember keeps c for the next request, unless one is kept already.
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

// read hashes the content of a name, and removes it if it is damaged.
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

// usedEvery is the precision of the last use in the modification time of content.
const usedEvery = time.Hour

// touch records a use for [Store.Prune]. A folder of another user keeps its times.
func (s *Store) touch(sha256 string) {
	now, name := time.Now(), s.path(sha256)
	if st, err := os.Lstat(name); err == nil && now.Sub(st.ModTime()) >= usedEvery {
		os.Chtimes(name, now, now) //nolint:errcheck,gosec // see above
	}
}

func (s *Store) path(sha256 string) string {
	return filepath.Join(s.Dir, blobDir, sha256[:2], sha256)
}

// newFile opens a temporary file. The first call removes files of killed processes.
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

// readOnly reports whether the folder is read-only.
func readOnly(err error) bool {
	return errors.Is(err, ErrWrite) && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS))
}

// isSHA256 reports whether s is a digest in the form in which content is named.
func isSHA256(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}

// hold takes the shared lock of the folder until the Store is closed. Killed processes lose their locks. A
// missing folder needs none.
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

// Close lets others remove content, and ends the use of all blobs. The end of the process does the same.
func (s *Store) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used.Close() //nolint:errcheck,gosec // only locked, if at all
	for _, c := range s.known {
		c.owner.Close() //nolint:errcheck,gosec // only read
	}
	s.used, s.known = nil, nil
}

// alone calls f while nobody else uses the folder, including this Store.
func (s *Store) alone(ctx context.Context, f func() error) error {
	s.Close()
	d, err := s.lock(ctx, true)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	defer d.Close() //nolint:errcheck // only locked, if it exists
	return f()
}

// lockPause is the pause before another try for a held lock.
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
