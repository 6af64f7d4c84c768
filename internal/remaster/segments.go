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

// segmentFormat names everything that decides the bytes of a segment besides its entries and the
// options: this code and the compressor's. TestWriteSegmentGolden notices a change: then count it up.
const segmentFormat = "mkbuild.segment/v1"

// madeSegment is what is known of a segment that was written. The store keeps it with the segment.
type madeSegment struct {
	// SHA256 is the digest of the segment, Files that of each regular file in it.
	SHA256 string            `json:"sha256"`
	Files  map[string]string `json:"files"`
}

// segment is a segment of an initrd that is there.
type segment struct {
	bytes initrd.Segment
	files map[string]string // digests of the regular files in it, by path
	close io.Closer         // of a temporary file; nil if the store keeps it
}

// segment returns the size bytes of r as the segment that was made.
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

// holds makes sure that a segment has the contents that its key was made of. A file of the user's own
// that is written to meanwhile would stay in the cache as what it was before.
func (m *madeSegment) holds(t *overlay.Tree) error {
	for _, e := range t.Entries() {
		if want, known := strings.CutPrefix(e.ID, idPrefix); known && e.IsRegular() && m.Files[e.Path] != want {
			return fmt.Errorf("read %s: it changed meanwhile", cmp.Or(e.Origin, e.Path))
		}
	}
	return nil
}

// keptSegment takes a segment from the cache, or makes it and leaves it there.
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

// freshSegment makes a segment that is kept for this build alone.
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

// keyedEntry is what a segment's bytes take from an entry. Names are bytes: JSON strings would make all
// alike that are not UTF-8.
type keyedEntry struct {
	Path, Link     []byte
	Mode, UID, GID uint32
	Major, Minor   uint32
	MTime, Size    int64
	HardLink       int // number of the group, counted from 1
	Content        string
}

// segmentKey sums up everything that decides the bytes of a segment, and leaves every file with an ID.
// The image's time counts only where an entry has none of its own.
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

// identify gives a file an ID, if it has none: the digest of its content.
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

// segments says which layers make up which segment of an initrd.
type segments struct {
	names []string
	fresh map[string]bool // not to be kept in the cache
	of    map[int]string  // the segment of a layer
}

// claim makes a layer part of the segment of an input. Layers that nobody claims are mkbuild's own
// small files, server.cfg with its secrets among them: they come last, and are never kept.
func (s *segments) claim(layer int, name string, keep bool) {
	if s.of == nil {
		s.of, s.fresh = map[int]string{}, map[string]bool{}
	}
	if _, known := s.fresh[name]; !known {
		s.names = append(s.names, name)
	}
	s.of[layer], s.fresh[name] = name, s.fresh[name] || !keep
}

// ownSegment is the name of the one with mkbuild's own files.
const ownSegment = "mkbuild"

// all lists the names of the segments in order.
func (s *segments) all() []string { return append(append([]string{}, s.names...), ownSegment) }

// tree returns what belongs to a segment, or nil when later layers have left nothing of it.
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
