package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"mkbuild/internal/wholefile"
)

// session is what one Client knows of its cache, and its hold on it.
type session struct {
	mu sync.Mutex
	// seen are the blobs that this process has hashed, so that each is read through once only.
	seen map[string]seenBlob
	// used keeps others from removing files of the cache, see [session.use].
	used *os.File
	// sweep is for the remains of killed processes, once.
	sweep sync.Once
	// aside are files that could not be put into the cache.
	aside []*wholefile.Temp
}

// seenBlob is a verified blob; a changed modification time calls for another look.
type seenBlob struct {
	digests
	mtime time.Time
}

func (s *session) get(sha string, st fs.FileInfo) (digests, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.seen[sha]
	if !ok || b.size != st.Size() || !b.mtime.Equal(st.ModTime()) {
		return digests{}, false
	}
	return b.digests, true
}

func (s *session) put(d digests, st fs.FileInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string]seenBlob{}
	}
	s.seen[d.sha256] = seenBlob{digests: d, mtime: st.ModTime()}
}

// use locks the cache for as long as the Client lives, together with all others who build from it,
// so that a [Store] removes nothing that somebody has verified and not read yet. Processes that are
// killed lose their locks. A cache that is not there needs none.
func (s *session) use(ctx context.Context, dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used != nil {
		return nil
	}
	d, err := lockDir(ctx, dir, false, nil)
	if err != nil && ctx.Err() == nil {
		return nil //nolint:nilerr // a cache that cannot be opened fails where it is read or written
	}
	s.used = d
	return err
}

// keep holds a file until the end.
func (s *session) keep(f *wholefile.Temp) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aside = append(s.aside, f)
}

// release gives up the lock, and what was kept aside.
func (s *session) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used != nil {
		s.used.Close() //nolint:errcheck,gosec // only locked
		s.used = nil
	}
	for _, f := range s.aside {
		f.Close() //nolint:errcheck,gosec // gone with that
	}
	s.aside = nil
}

// lockPause is how long to wait before asking again for a lock that others hold.
const lockPause = 20 * time.Millisecond

// lockDir waits for the lock of a directory, and says so once. The caller closes it.
func lockDir(ctx context.Context, dir string, alone bool, waiting func()) (*os.File, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for !tryLock(d, alone) {
		if waiting != nil {
			waiting()
			waiting = nil
		}
		if err := sleep(ctx, lockPause); err != nil {
			return nil, errors.Join(fmt.Errorf("wait for the lock of %s: %w", dir, err), d.Close())
		}
	}
	return d, nil
}

// tidy sweeps up after killed processes, once.
func (s *session) tidy(dir string) { s.sweep.Do(func() { wholefile.Sweep(dir) }) }

// Close lets others remove files of the cache again. It is for processes that go on after their last
// use of the Client and of its blobs; the end of a process does the same.
func (c *Client) Close() { c.session.release() }
