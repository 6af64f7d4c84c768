package remaster

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"mkbuild/internal/initrd"
	"mkbuild/internal/overlay"
	"mkbuild/internal/store"
	"mkbuild/internal/wholefile"
)

// segmentFormat is the version of the code that makes segments, the compressor included. Increase it when
// TestWriteSegmentGolden finds other bytes.
const segmentFormat = "mkbuild.segment/v1"

// madeSegment describes a written segment. The store keeps it with the segment.
type madeSegment struct {
	// SHA256 is the digest of the segment; Files has the digest of each regular file in it.
	SHA256 string            `json:"sha256"`
	Files  map[string]string `json:"files"`
}

// segment is a finished segment of an initrd.
type segment struct {
	bytes initrd.Segment
	files map[string]string // digests of the regular files in it, by path
	close io.Closer         // of a temporary file; nil if the store keeps it
}

// segment returns the first size bytes of r as the made segment.
func (m *madeSegment) segment(name string, size int64, r io.ReaderAt) *segment {
	return &segment{bytes: initrd.Segment{Name: name, Size: size, SHA256: m.SHA256, Open: sectionOf(r, 0, size)}, files: m.Files}
}

// makeSegment writes a tree as a segment.
func makeSegment(w io.Writer, t *overlay.Tree, o initrd.SegmentOptions) (*madeSegment, error) {
	made := &madeSegment{Files: map[string]string{}}
	o.Sum = func(path string, sum [sha256.Size]byte) { made.Files[path] = hex.EncodeToString(sum[:]) }
	all := sha256.New()
	if err := initrd.WriteSegment(io.MultiWriter(w, all), t, o); err != nil {
		return nil, err
	}
	made.SHA256 = hex.EncodeToString(all.Sum(nil))
	return made, nil
}

// holds checks that a segment has the contents of its key. Otherwise a user's file that changed meanwhile would
// be cached under the digest of its old content.
func (m *madeSegment) holds(t *overlay.Tree) error {
	for _, e := range t.Entries() {
		if want, known := strings.CutPrefix(e.ID, idPrefix); known && e.IsRegular() && m.Files[e.Path] != want {
			return fmt.Errorf("read %s: it changed meanwhile", cmp.Or(e.Origin, e.Path))
		}
	}
	return nil
}

// keptSegment takes a segment from the cache, or makes and caches it.
func keptSegment(ctx context.Context, st *store.Store, name string, t *overlay.Tree, o initrd.SegmentOptions) (*segment, error) {
	key, err := segmentKey(t, o)
	if err != nil {
		return nil, err
	}
	var made madeSegment
	blob, err := st.Derive(ctx, "segment", key, &made, func(w io.Writer) error {
		m, err := makeSegment(w, t, o)
		if err != nil {
			return err
		}
		made = *m
		return made.holds(t)
	})
	if err != nil {
		return nil, err
	}
	return made.segment(name, blob.Size, blob.Reader()), nil
}

// freshSegment makes a segment for this build alone.
func freshSegment(ctx context.Context, name string, t *overlay.Tree, o initrd.SegmentOptions) (_ *segment, err error) {
	f, err := wholefile.NewTempIn("")
	if err != nil {
		return nil, err
	}
	w := &counter{w: wholefile.Interruptible(ctx, f)}
	made, err := makeSegment(w, t, o)
	if err != nil {
		f.Close() //nolint:errcheck,gosec // nothing of it is needed
		return nil, err
	}
	seg := made.segment(name, w.n, f)
	seg.close = f
	return seg, nil
}

// keyedEntry has the parts of an entry that decide a segment's bytes. Names are bytes: as JSON strings, different
// names that are not UTF-8 would become equal.
type keyedEntry struct {
	Path, Link     []byte
	Mode, UID, GID uint32
	Major, Minor   uint32
	MTime, Size    int64
	HardLink       int // number of the group, counted from 1
	Content        string
}

// segmentKey hashes everything that decides the bytes of a segment, and gives every file an ID. The image's time
// counts only for entries without a time.
func segmentKey(t *overlay.Tree, o initrd.SegmentOptions) (string, error) {
	sum := sha256.New()
	out := json.NewEncoder(sum)
	groups := map[string]int{"": 0}
	for _, e := range t.Entries() {
		k := keyedEntry{Path: []byte(e.Path), Link: []byte(e.Link), Mode: e.Mode, UID: e.UID, GID: e.GID, Major: e.Major, Minor: e.Minor, MTime: e.MTime, Size: e.Size}
		if k.MTime == 0 {
			k.MTime = o.ModTime
		}
		if _, known := groups[e.HardLink]; !known {
			groups[e.HardLink] = len(groups)
		}
		k.HardLink = groups[e.HardLink]
		if err := identify(e); err != nil {
			return "", err
		}
		k.Content = e.ID
		if err := out.Encode(k); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%s level %d entries %s", segmentFormat, o.Level, hex.EncodeToString(sum.Sum(nil))), nil
}

// identify gives a file without an ID one: the digest of its content.
func identify(e *overlay.Entry) error {
	if !e.IsRegular() || e.ID != "" {
		return nil
	}
	sum := sha256.New()
	if err := e.CopyTo(sum); err != nil {
		return err
	}
	e.ID = idPrefix + hex.EncodeToString(sum.Sum(nil))
	return nil
}

// segments maps layers to the segments of an initrd.
type segments struct {
	names []string
	fresh map[string]bool // not to be kept in the cache
	of    map[int]string  // the segment of a layer
}

// claim assigns a layer to the segment of an input. Unclaimed layers are mkbuild's own small files, including
// server.cfg with its secrets: they come last, and are never kept.
func (s *segments) claim(layer int, name string, keep bool) {
	if s.of == nil {
		s.of, s.fresh = map[int]string{}, map[string]bool{}
	}
	if _, known := s.fresh[name]; !known {
		s.names = append(s.names, name)
	}
	s.of[layer], s.fresh[name] = name, s.fresh[name] || !keep
}

// ownSegment is the name of the segment of mkbuild's own files.
const ownSegment = "mkbuild"

func (s *segments) all() []string { return append(append([]string{}, s.names...), ownSegment) }

// tree returns the files of a segment; nil if later layers replaced all of them.
func (s *Staged) tree(segment string) *overlay.Tree {
	t := s.layers.AddedBy(func(layer int) bool {
		name, claimed := s.segments.of[layer]
		return name == segment || !claimed && segment == ownSegment
	})
	if t.Len() == 0 || t.Len() == 1 && t.Get(".") != nil {
		return nil
	}
	return t
}
