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
	"strings"
	"time"

	"mkbuild/internal/wholefile"
)

// KindOrphan is the kind of content without an entry.
const KindOrphan = "orphan"

// Item is one file of content.
type Item struct {
	// Kind is [KindDownload], [KindOrphan], or what it was derived as.
	Kind string `json:"kind"`
	// Names are the keys that lead to it, sorted: addresses, or keys of derived content.
	Names []string `json:"names"`
	// Size is in bytes.
	Size int64 `json:"size"`
	// SHA256 is the hex digest of the stored content.
	SHA256 string `json:"sha256"`
	// Used is the time of the last use, to the hour.
	Used time.Time `json:"last_use"`
}

// derived reports whether the content can be made again from other content.
func (i Item) derived() bool { return i.Kind != KindDownload && i.Kind != KindOrphan }

type survey struct {
	items    map[string]*Item // content by digest
	dangling []Finding        // entries that are of no use
	foreign  []string         // files that are not mkbuild's
}

// survey looks at every file. A folder that does not exist has none.
func (s *Store) survey(ctx context.Context) (*survey, error) {
	v := &survey{items: map[string]*Item{}, dangling: []Finding{}, foreign: []string{}}
	for _, dir := range []string{blobDir, indexDir, tmpDir} { // content before entries
		err := filepath.WalkDir(filepath.Join(s.Dir, dir), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // removed meanwhile, or never there
			}
			if err == nil && !d.IsDir() {
				v.see(dir, path, d)
			}
			return cmp.Or(err, ctx.Err())
		})
		if err != nil {
			return nil, fmt.Errorf("read cache %s: %w", s.Dir, err)
		}
	}
	return v, nil
}

func (v *survey) see(dir, path string, d fs.DirEntry) {
	name, isEntry := strings.CutSuffix(d.Name(), ".json")
	proper := d.Type().IsRegular() && isSHA256(name) && filepath.Base(filepath.Dir(path)) == name[:2]
	switch {
	case dir == blobDir && proper && !isEntry:
		if info, err := d.Info(); err == nil {
			v.items[name] = &Item{Kind: KindOrphan, Size: info.Size(), SHA256: name, Used: info.ModTime().UTC()}
		}
	case dir == indexDir && proper && isEntry:
		v.seeEntry(path)
	case dir != tmpDir || !wholefile.IsWaiting(name):
		v.foreign = append(v.foreign, path)
	}
}

func (v *survey) seeEntry(path string) {
	e, err := readEntry(path)
	i := v.items[e.SHA256]
	switch {
	case errors.Is(err, fs.ErrNotExist): // removed meanwhile
	case err != nil:
		v.dangling = append(v.dangling, Finding{path, err.Error()})
	case i != nil:
		i.Names = append(i.Names, e.Key)
		if i.Kind != KindDownload {
			i.Kind = filepath.Base(filepath.Dir(filepath.Dir(path)))
		}
	case e.SHA256 != "":
		v.dangling = append(v.dangling, Finding{path, "no content for " + e.Key})
	}
}

// sorted returns the items by kind, name and digest.
func (v *survey) sorted() []Item {
	items := make([]Item, 0, len(v.items))
	for _, i := range v.items {
		slices.Sort(i.Names)
		items = append(items, *i)
	}
	slices.SortFunc(items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), slices.Compare(a.Names, b.Names), cmp.Compare(a.SHA256, b.SHA256))
	})
	return items
}

// Items lists the content, by kind, name and digest.
func (s *Store) Items(ctx context.Context) ([]Item, error) {
	v, err := s.survey(ctx)
	if err != nil {
		return nil, err
	}
	return v.sorted(), nil
}

// PruneOptions select the content that [Store.Prune] removes. Zero removes everything.
type PruneOptions struct {
	// Downloads and Derived are how long downloads and derived content may lie unused. Uses are known to the
	// hour.
	Downloads, Derived time.Duration
	// KeepDownloads keeps downloads of any age.
	KeepDownloads bool
	// Keep are hex SHA-256 digests of content that stays.
	Keep map[string]bool
	// DryRun removes nothing.
	DryRun bool
}

// Prune removes content and its entries. It waits until nobody uses the folder. It returns the removed items, or
// those that it would remove, in the order of [Store.Items].
func (s *Store) Prune(ctx context.Context, o PruneOptions) (gone []Item, err error) {
	if o.DryRun {
		items, err := s.Items(ctx)
		return o.choose(items), err
	}
	err = s.alone(ctx, func() error {
		items, err := s.Items(ctx)
		if err != nil {
			return err
		}
		gone = o.choose(items)
		for _, i := range gone {
			if err := os.Remove(s.path(i.SHA256)); err != nil {
				return err
			}
		}
		wholefile.Sweep(filepath.Join(s.Dir, tmpDir))
		_, err = s.removeDangling(ctx)
		return err
	})
	return gone, err
}

func (s *Store) removeDangling(ctx context.Context) ([]Finding, error) {
	v, err := s.survey(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range v.dangling {
		if err := os.Remove(f.Path); err != nil {
			return nil, err
		}
	}
	return v.dangling, nil
}

// choose returns the items to remove.
func (o PruneOptions) choose(items []Item) []Item {
	now := time.Now()
	return slices.DeleteFunc(items, func(i Item) bool {
		limit := o.Downloads
		if i.derived() {
			limit = o.Derived
		}
		return o.Keep[i.SHA256] || o.KeepDownloads && !i.derived() || now.Sub(i.Used) < limit
	})
}

// Health is the result of [Store.Verify].
type Health struct {
	// Blobs and Size count the content that was read, damaged or not, in files and bytes.
	Blobs int   `json:"files"`
	Size  int64 `json:"size"`
	// Damaged is content with a wrong digest. It has been removed.
	Damaged []Item `json:"damaged"`
	// Dangling are unreadable entries, or entries without content. They have been removed.
	Dangling []Finding `json:"dangling"`
	// Stray are files of killed processes, by path. They have been removed.
	Stray []string `json:"stray"`
	// Foreign are files in the folder that are not mkbuild's. They stay.
	Foreign []string `json:"foreign"`
}

// Finding is a file with a fault.
type Finding struct {
	Path string `json:"path"`
	What string `json:"what"`
}

// Clean reports whether there was no fault.
func (h *Health) Clean() bool {
	return len(h.Damaged)+len(h.Dangling)+len(h.Stray)+len(h.Foreign) == 0
}

// Verify hashes all content, follows all entries and removes faulty ones. Before it removes entries, it waits
// until nobody uses the folder.
func (s *Store) Verify(ctx context.Context) (*Health, error) {
	h := &Health{Damaged: []Item{}}
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
			c.owner.Close() //nolint:errcheck,gosec // only read
		}
	}
	h.Stray = append([]string{}, wholefile.Sweep(filepath.Join(s.Dir, tmpDir))...)
	v, err := s.survey(ctx)
	if err != nil {
		return nil, err
	}
	h.Dangling, h.Foreign = v.dangling, v.foreign
	if len(v.dangling) > 0 {
		err = s.alone(ctx, func() error {
			h.Dangling, err = s.removeDangling(ctx)
			return err
		})
	}
	return h, err
}
