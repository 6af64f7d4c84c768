package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"mkbuild/internal/wholefile"
)

// hold locks the folder until the Store is closed, together with all others that use it. Processes that
// are killed lose their locks. A folder that does not exist needs none.
func (s *Store) hold(ctx context.Context) error {
	if s.Dir == "" {
		return errNoDir
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used != nil {
		return nil
	}
	d, err := lockDir(ctx, s.Dir, false, nil)
	if err != nil && ctx.Err() == nil {
		return nil //nolint:nilerr // a folder that cannot be opened fails where it is read or written
	}
	s.used = d
	return err
}

// Close lets others remove what this process may have been about to read, and ends the use of all
// blobs. The end of the process does the same.
func (s *Store) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used != nil {
		s.used.Close() //nolint:errcheck,gosec // only locked
	}
	for _, c := range s.known {
		c.close()
	}
	for _, f := range s.private {
		f.Close() //nolint:errcheck,gosec // gone with that
	}
	s.used, s.known, s.private = nil, nil, nil
}

// alone calls f while nobody else uses the folder, this Store included.
func (s *Store) alone(ctx context.Context, f func() error) error {
	s.Close()
	d, err := lockDir(ctx, s.Dir, true, s.Waiting)
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // only locked
	return f()
}

// lockPause is how long to wait before asking again for a lock that others hold.
const lockPause = 20 * time.Millisecond

// lockDir waits for the lock of a directory, and calls waiting once if it has to. The caller closes it.
func lockDir(ctx context.Context, dir string, alone bool, waiting func()) (*os.File, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for !wholefile.TryLock(d, alone) {
		if waiting != nil {
			waiting()
			waiting = nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for the lock of %s: %w", dir, ctx.Err()), d.Close())
		case <-time.After(lockPause):
		}
	}
	return d, nil
}
