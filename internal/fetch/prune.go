package fetch

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"mkbuild/internal/wholefile"
)

// PruneOptions say what [Store.Prune] removes. Zero removes everything.
type PruneOptions struct {
	// Downloads and Derived say how old what came from mirrors, and what was made of it, may become:
	// what no build has had for longer is removed. Uses are known to the hour.
	Downloads, Derived time.Duration
	// KeepDownloads leaves them alone, whatever their age.
	KeepDownloads bool
	// Keep are hex SHA-256 digests of content that stays.
	Keep map[string]bool
	// DryRun removes nothing.
	DryRun bool
}

// Prune removes content that is not worth its space any more, and the entries that led there. It
// waits until no build uses the cache. It returns what it removed, or would remove, in the order of
// [Store.Items].
func (s Store) Prune(ctx context.Context, o PruneOptions) ([]Item, error) {
	if _, err := os.Stat(s.Dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if o.DryRun {
		return s.chosen(ctx, o)
	}
	var gone []Item
	err := s.alone(ctx, func() (err error) {
		if gone, err = s.chosen(ctx, o); err != nil {
			return err
		}
		for _, i := range gone {
			if err := os.Remove(cache{dir: s.Dir}.blobPath(i.SHA256)); err != nil {
				return err
			}
		}
		bad, err := s.dangling(ctx)
		if err == nil {
			err = removeAll(bad)
		}
		wholefile.Sweep(filepath.Join(s.Dir, tmpDir))
		return err
	})
	return gone, err
}

// chosen are the items that o gives up.
func (s Store) chosen(ctx context.Context, o PruneOptions) ([]Item, error) {
	items, err := s.Items(ctx)
	now, gone := time.Now(), []Item{}
	for _, i := range items {
		limit := o.Downloads
		if i.derived() {
			limit = o.Derived
		} else if o.KeepDownloads {
			continue
		}
		if !o.Keep[i.SHA256] && now.Sub(i.Used) >= limit {
			gone = append(gone, i)
		}
	}
	return gone, err
}
