package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"mkbuild/internal/fail"
	"mkbuild/internal/wholefile"
)

// KindOrphan is the kind of content that nothing leads to any more but its digest.
const KindOrphan = "orphan"

// Item is one file of content.
type Item struct {
	// Kind is [KindDownload], [KindOrphan], or what it was derived as.
	Kind string `json:"kind"`
	// Names are the keys that lead there, sorted: addresses, or what derived content follows from.
	Names []string `json:"names"`
	// Size is in bytes.
	Size int64 `json:"size"`
	// SHA256 is the hex digest by which the store has it.
	SHA256 string `json:"sha256"`
	// Used is when it was last used, to the hour.
	Used time.Time `json:"last_use"`
}

// derived reports whether the content can be made again from other content.
func (i Item) derived() bool { return i.Kind != KindDownload && i.Kind != KindOrphan }

// Items lists the content, by kind, name and digest. A folder that does not exist has none.
func (s *Store) Items(ctx context.Context) ([]Item, error) {
	at := map[string]*Item{}
	err := s.walk(blobDir, func(path string, d fs.DirEntry) error {
		if !proper(path, d) {
			return nil
		}
		info, err := d.Info()
		if err == nil {
			at[d.Name()] = &Item{Kind: KindOrphan, Size: info.Size(), SHA256: d.Name(), Used: info.ModTime().UTC()}
		}
		return ignoreMissing(err)
	})
	if err != nil {
		return nil, err
	}
	err = s.entries(ctx, func(_, kind string, e Entry, err error) {
		i := at[e.SHA256]
		if err != nil || i == nil {
			return
		}
		i.Names = append(i.Names, e.Key)
		if i.Kind != KindDownload {
			i.Kind = kind
		}
	})
	items := make([]Item, 0, len(at))
	for _, i := range at {
		slices.Sort(i.Names)
		items = append(items, *i)
	}
	slices.SortFunc(items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), slices.Compare(a.Names, b.Names), cmp.Compare(a.SHA256, b.SHA256))
	})
	return items, err
}

// ignoreMissing drops the error of a file that was removed meanwhile.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// entries reads all entries. err is what is wrong with one.
func (s *Store) entries(ctx context.Context, visit func(path, kind string, e Entry, err error)) error {
	return s.walk(indexDir, func(path string, d fs.DirEntry) error {
		if filepath.Ext(path) != ".json" || !proper(path, d) {
			return ctx.Err()
		}
		e, err := readEntry(path)
		if !errors.Is(err, fs.ErrNotExist) {
			visit(path, filepath.Base(filepath.Dir(filepath.Dir(path))), e, err)
		}
		return ctx.Err()
	})
}

// PruneOptions say what [Store.Prune] removes. Zero removes everything.
type PruneOptions struct {
	// Downloads and Derived are how long what came from addresses, and what was made of it, may lie
	// unused. Uses are known to the hour.
	Downloads, Derived time.Duration
	// KeepDownloads leaves downloads alone, whatever their age.
	KeepDownloads bool
	// Keep are hex SHA-256 digests of content that stays.
	Keep map[string]bool
	// DryRun removes nothing.
	DryRun bool
}

// Prune removes content, and the entries that led there. It waits until nobody uses the folder. It
// returns what it removed, or would remove, in the order of [Store.Items].
func (s *Store) Prune(ctx context.Context, o PruneOptions) (gone []Item, err error) {
	if _, err := os.Stat(s.Dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if o.DryRun {
		return s.chosen(ctx, o)
	}
	err = s.alone(ctx, func() error {
		if gone, err = s.chosen(ctx, o); err != nil {
			return err
		}
		for _, i := range gone {
			if err := os.Remove(s.path(i.SHA256)); err != nil {
				return err
			}
		}
		wholefile.Sweep(filepath.Join(s.Dir, tmpDir))
		_, err := s.removeDangling(ctx)
		return err
	})
	return gone, err
}

// chosen are the items that o gives up.
func (s *Store) chosen(ctx context.Context, o PruneOptions) ([]Item, error) {
	items, err := s.Items(ctx)
	now := time.Now()
	return slices.DeleteFunc(items, func(i Item) bool {
		limit := o.Downloads
		if i.derived() {
			limit = o.Derived
		}
		return o.Keep[i.SHA256] || o.KeepDownloads && !i.derived() || now.Sub(i.Used) < limit
	}), err
}

// Health is what [Store.Verify] found.
type Health struct {
	// Blobs and Size count the content that was read, damaged or not, in files and bytes.
	Blobs int   `json:"files"`
	Size  int64 `json:"size"`
	// Damaged is content that was not what its digest promises. It has been removed.
	Damaged []Item `json:"damaged"`
	// Dangling are entries that led to nothing or could not be read. They have been removed.
	Dangling []Finding `json:"dangling"`
	// Stray are files that killed processes had left, by path. They have been removed.
	Stray []string `json:"stray"`
	// Foreign are files in the folder that are not mkbuild's. They are left alone.
	Foreign []string `json:"foreign"`
}

// Finding is a file with something wrong about it.
type Finding struct {
	Path string `json:"path"`
	What string `json:"what"`
}

// Clean reports whether nothing at all was wrong.
func (h *Health) Clean() bool {
	return len(h.Damaged)+len(h.Dangling)+len(h.Stray)+len(h.Foreign) == 0
}

// Err returns an error if content was damaged.
func (h *Health) Err(dir string) error {
	if len(h.Damaged) == 0 {
		return nil
	}
	return fail.New(fail.Verification,
		fmt.Sprintf("verify cache %s: %d of %d files were damaged and have been removed", dir, len(h.Damaged), h.Blobs),
		"the next build, or mkbuild fetch, gets them again; if it happens again, look at that disk")
}

// Verify hashes all content and follows all entries. What is wrong is removed; to remove entries it
// waits until nobody uses the folder.
func (s *Store) Verify(ctx context.Context) (*Health, error) {
	h := &Health{Damaged: []Item{}, Dangling: []Finding{}, Stray: []string{}, Foreign: []string{}}
	items, err := s.Items(ctx)
	if err != nil {
		return nil, err
	}
	for _, i := range items {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		h.Blobs++
		h.Size += i.Size
		c, err := s.read(i.SHA256, nil)
		if errors.Is(err, ErrDamaged) {
			h.Damaged = append(h.Damaged, i)
		}
		if err == nil {
			c.close()
		}
	}
	bad, err := s.dangling(ctx)
	if err == nil && len(bad) > 0 {
		err = s.alone(ctx, func() (err error) {
			h.Dangling, err = s.removeDangling(ctx)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	h.Stray = append(h.Stray, wholefile.Sweep(filepath.Join(s.Dir, tmpDir))...)
	h.Foreign, err = s.foreign(h.Foreign)
	return h, err
}

// dangling finds the entries that are of no use.
func (s *Store) dangling(ctx context.Context) ([]Finding, error) {
	bad := []Finding{}
	err := s.entries(ctx, func(path, _ string, e Entry, err error) {
		if err != nil {
			bad = append(bad, Finding{path, err.Error()})
			return
		}
		if e.SHA256 == "" {
			return
		}
		if _, err := os.Lstat(s.path(e.SHA256)); err != nil {
			bad = append(bad, Finding{path, "the content for " + e.Key + " is not there"})
		}
	})
	return bad, err
}

// removeDangling removes the entries that are of no use.
func (s *Store) removeDangling(ctx context.Context) ([]Finding, error) {
	bad, err := s.dangling(ctx)
	for _, f := range bad {
		if err == nil {
			err = os.Remove(f.Path)
		}
	}
	return bad, err
}

// foreign adds the files that are neither content nor entries nor under way.
func (s *Store) foreign(found []string) ([]string, error) {
	for _, dir := range []string{blobDir, indexDir, tmpDir} {
		err := s.walk(dir, func(path string, d fs.DirEntry) error {
			if !proper(path, d) && (dir != tmpDir || !wholefile.IsWaiting(d.Name())) {
				found = append(found, path)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}
