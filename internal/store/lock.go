package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"mkbuild/internal/wholefile"
)

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
