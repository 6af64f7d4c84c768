package fetch

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"mkbuild/internal/wholefile"
)

// Health is what [Store.Verify] found.
type Health struct {
	// Blobs and Size count the content that was read through, damaged or not, in files and bytes.
	Blobs int   `json:"files"`
	Size  int64 `json:"size"`
	// Damaged is content whose bytes are not those of its hash any more. It has been removed.
	Damaged []Item `json:"damaged"`
	// Dangling are entries that led to nothing or could not be read. They have been removed.
	Dangling []Finding `json:"dangling"`
	// Stray are files that killed processes had left, by path. They have been removed.
	Stray []string `json:"stray"`
	// Foreign are files in the cache's folders that are none of mkbuild's. They are left alone.
	Foreign []string `json:"foreign"`
}

// Finding is a file of the cache with something wrong about it.
type Finding struct {
	Path string `json:"path"`
	What string `json:"what"`
}

// Clean reports whether nothing at all was wrong.
func (h *Health) Clean() bool {
	return len(h.Damaged)+len(h.Dangling)+len(h.Stray)+len(h.Foreign) == 0
}

// Err returns a [*DamagedError] if content was damaged.
func (h *Health) Err(dir string) error {
	if len(h.Damaged) == 0 {
		return nil
	}
	return &DamagedError{dir, len(h.Damaged), h.Blobs}
}

// Verify reads all content of a cache and holds it against its hashes, and all entries. What is
// wrong is removed, once no build uses the cache.
func (s Store) Verify(ctx context.Context) (*Health, error) {
	h := &Health{Damaged: []Item{}, Dangling: []Finding{}, Stray: []string{}, Foreign: []string{}}
	if _, err := os.Stat(s.Dir); errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	items, err := s.Items(ctx)
	if err != nil {
		return nil, err
	}
	damaged, err := s.damaged(ctx, items, h)
	if err != nil {
		return nil, err
	}
	if len(damaged) > 0 {
		if err := s.removeDamaged(ctx, damaged, h); err != nil {
			return nil, err
		}
	}
	if err := s.mend(ctx, h); err != nil {
		return nil, err
	}
	return h, s.clear(h)
}

// damaged reads all content and returns what is not what it was.
func (s Store) damaged(ctx context.Context, items []Item, h *Health) (bad []Item, err error) {
	for _, i := range items {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		h.Blobs++
		h.Size += i.Size
		ok, err := s.sound(i.SHA256)
		if err != nil {
			return nil, err
		}
		if !ok {
			bad = append(bad, i)
		}
	}
	return bad, nil
}

// sound reports whether a blob has the bytes of its hash. One that is gone has none that are wrong.
// Its modification time, which tells its last use, stays.
func (s Store) sound(sha string) (bool, error) {
	f, err := os.Open(cache{dir: s.Dir}.blobPath(sha))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close() //nolint:errcheck // only read
	h := newHasher(false)
	if _, err := f.WriteTo(h); err != nil {
		return false, nil //nolint:nilerr // a disk that cannot read it back has lost it
	}
	return h.sum().sha256 == sha, nil
}

// removeDamaged removes what is damaged still, now that nobody else is there.
func (s Store) removeDamaged(ctx context.Context, bad []Item, h *Health) error {
	return s.alone(ctx, func() error {
		for _, i := range bad {
			ok, err := s.sound(i.SHA256)
			if err == nil && !ok {
				err = os.Remove(cache{dir: s.Dir}.blobPath(i.SHA256))
				h.Damaged = append(h.Damaged, i)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// mend removes the entries that lead nowhere, if there are any.
func (s Store) mend(ctx context.Context, h *Health) error {
	bad, err := s.dangling(ctx)
	if err != nil || len(bad) == 0 {
		return err
	}
	return s.alone(ctx, func() error {
		bad, err := s.dangling(ctx)
		if err != nil {
			return err
		}
		h.Dangling = append(h.Dangling, bad...)
		return removeAll(bad)
	})
}

func removeAll(fs []Finding) error {
	for _, f := range fs {
		if err := os.Remove(f.Path); err != nil {
			return err
		}
	}
	return nil
}

// dangling finds the entries that are of no use.
func (s Store) dangling(ctx context.Context) (bad []Finding, err error) {
	err = s.pointers(ctx, func(p pointer) error {
		switch {
		case p.broken != "":
			bad = append(bad, Finding{p.path, p.broken})
		case !p.missing && !s.exists(p.sha):
			bad = append(bad, Finding{p.path, "the content for " + p.name + " is not there"})
		}
		return nil
	})
	return bad, err
}

// clear removes the files of killed processes, and finds those that are not mkbuild's.
func (s Store) clear(h *Health) error {
	for _, dir := range []string{blobDir, indexDir, derivedDir, tmpDir} {
		err := s.walk(dir, func(path string, d fs.DirEntry) error {
			switch {
			case proper(path, d):
			case d.Type().IsRegular() && leftover.MatchString(d.Name()):
				h.Stray = append(h.Stray, path)
				return os.Remove(path)
			case dir == tmpDir && wholefile.IsWaiting(d.Name()):
				h.Stray = append(h.Stray, path) // unless it is alive, see below
			default:
				h.Foreign = append(h.Foreign, path)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return s.sweep(h)
}

// sweep removes the files under way whose processes have died; those of the living are no strays.
func (s Store) sweep(h *Health) error {
	wholefile.Sweep(filepath.Join(s.Dir, tmpDir))
	stray := []string{}
	for _, path := range h.Stray {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			stray = append(stray, path)
		}
	}
	h.Stray = stray
	return nil
}

// leftover are the names that files under way had in earlier versions.
var leftover = regexp.MustCompile(`^[0-9]+\.(part|tmp)$`)

// proper reports whether a file has the name of content or of an entry.
func proper(path string, d fs.DirEntry) bool {
	name := d.Name()
	if ext := filepath.Ext(name); ext == ".json" {
		name = name[:len(name)-len(ext)]
	}
	return isSHA256(name) && d.Type().IsRegular() && filepath.Base(filepath.Dir(path)) == name[:2]
}
