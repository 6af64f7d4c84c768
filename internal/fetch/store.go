package fetch

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Store is a cache to look into and to look after, beside the builds that use it. Only files that
// have the names of mkbuild's own are ever removed.
type Store struct {
	// Dir is the cache's directory.
	Dir string
	// Waiting, if set, is called when builds that use the cache have to end first.
	Waiting func()
}

// Kinds of content in a cache that have no kind from [Client.Derive].
const (
	KindDownload = "download" // came from an address
	KindOrphan   = "orphan"   // whole, and nothing leads there any more but its hash
)

// Item is one file of content in a cache.
type Item struct {
	// Kind is KindDownload, KindOrphan, or what it was derived as.
	Kind string `json:"kind"`
	// Names are the addresses that gave it last, or the keys it is known by; sorted.
	Names []string `json:"names"`
	// Size is in bytes.
	Size int64 `json:"size"`
	// SHA256 is the hex digest that the cache has it under.
	SHA256 string `json:"sha256"`
	// Used is when a build last had it, to the hour.
	Used time.Time `json:"last_use"`
}

// derived says that the content can be made again from other content.
func (i Item) derived() bool { return i.Kind != KindDownload && i.Kind != KindOrphan }

// Items lists the content, by kind, name and hash. A cache that is not there has none.
func (s Store) Items(ctx context.Context) ([]Item, error) {
	blobs, err := s.blobs()
	if err != nil {
		return nil, err
	}
	at := map[string]*Item{}
	for _, b := range blobs {
		at[b.sha] = &Item{Kind: KindOrphan, Size: b.info.Size(), SHA256: b.sha, Used: b.info.ModTime().UTC()}
	}
	err = s.pointers(ctx, func(p pointer) error {
		if i := at[p.sha]; i != nil && p.broken == "" && !p.missing {
			i.Names = append(i.Names, p.name)
			if i.Kind != KindDownload {
				i.Kind = p.kind
			}
		}
		return nil
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

// blobFile is a file that has a blob's name. Its content may be another.
type blobFile struct {
	path, sha string
	info      fs.FileInfo
}

// blobs finds the files that have a blob's name and place.
func (s Store) blobs() ([]blobFile, error) {
	var out []blobFile
	err := s.walk(blobDir, func(path string, d fs.DirEntry) error {
		sha := d.Name()
		if !isSHA256(sha) || filepath.Base(filepath.Dir(path)) != sha[:2] || !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		out = append(out, blobFile{path, sha, info})
		return err
	})
	return out, err
}

// walk calls visit for every file below a folder of the cache; one that is not there has none.
func (s Store) walk(dir string, visit func(path string, d fs.DirEntry) error) error {
	return filepath.WalkDir(filepath.Join(s.Dir, dir), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile, or never there
		}
		if err != nil || d.IsDir() {
			return err
		}
		return visit(path, d)
	})
}

// pointer is an entry of the cache that leads to content.
type pointer struct {
	path string
	kind string // KindDownload, or what was derived
	name string // address or key
	sha  string
	used time.Time // when it was written
	// missing says that the entry remembers the absence of a file.
	missing bool
	// broken says what is wrong with the entry itself.
	broken string
}

// pointers reads all entries.
func (s Store) pointers(ctx context.Context, visit func(pointer) error) error {
	for _, dir := range []string{indexDir, derivedDir} {
		err := s.walk(dir, func(path string, d fs.DirEntry) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			name, ok := strings.CutSuffix(d.Name(), ".json")
			if !ok || !isSHA256(name) || !d.Type().IsRegular() {
				return nil
			}
			p, err := readPointer(path, dir)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				p = pointer{path: path, broken: err.Error()}
			}
			if info, err := d.Info(); err == nil {
				p.used = info.ModTime()
			}
			return visit(p)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// readPointer reads an entry of either kind.
func readPointer(path, dir string) (pointer, error) {
	b, err := readEntry(path)
	if err != nil {
		return pointer{}, err
	}
	if dir == derivedDir {
		d, err := parseDerivation(b)
		if err != nil {
			return pointer{}, err
		}
		return pointer{path: path, kind: d.Kind, name: d.Key, sha: d.SHA256}, nil
	}
	e, err := parseEntry(b)
	if err != nil {
		return pointer{}, err
	}
	return pointer{path: path, kind: KindDownload, name: e.URL, sha: e.SHA256, missing: e.Missing}, nil
}

// exists reports whether the cache has a file under a hash.
func (s Store) exists(sha string) bool {
	st, err := os.Lstat(cache{dir: s.Dir}.blobPath(sha))
	return err == nil && st.Mode().IsRegular()
}

// alone runs f while no build uses the cache.
func (s Store) alone(ctx context.Context, f func() error) error {
	d, err := lockDir(ctx, s.Dir, true, s.Waiting)
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // only locked
	return f()
}
