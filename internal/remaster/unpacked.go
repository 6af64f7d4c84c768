package remaster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"mkbuild/internal/overlay"
	"mkbuild/internal/store"
)

// idPrefix is the prefix of an [overlay.Entry.ID] that is a digest.
const idPrefix = "sha256:"

// keptEntries describes a tree with its contents in one file.
type keptEntries struct {
	Entries []keptEntry `json:"entries"`
}

// keptEntry is an [overlay.Entry] whose content begins at Offset. Names are bytes: a JSON string holds only
// UTF-8.
type keptEntry struct {
	Path     []byte `json:"path"`
	Mode     uint32 `json:"mode"`
	UID      uint32 `json:"uid,omitempty"`
	GID      uint32 `json:"gid,omitempty"`
	Major    uint32 `json:"major,omitempty"`
	Minor    uint32 `json:"minor,omitempty"`
	Link     []byte `json:"link,omitempty"`
	MTime    int64  `json:"mtime,omitempty"`
	Size     int64  `json:"size,omitempty"`
	HardLink []byte `json:"hard_link,omitempty"`
	Offset   int64  `json:"offset,omitempty"`
	SHA256   string `json:"sha256,omitempty"`
}

// keepTree writes the contents of a tree one after the other, and returns their offsets. From then on they are
// read in place, without unpacking and without memory.
func keepTree(w io.Writer, t *overlay.Tree) (*keptEntries, error) {
	kept := &keptEntries{}
	out := &counter{w: w}
	contents := map[string]keptEntry{} // by hard-link group
	for _, e := range t.Entries() {
		k := keptEntry{Path: []byte(e.Path), Mode: e.Mode, UID: e.UID, GID: e.GID, Major: e.Major, Minor: e.Minor,
			Link: []byte(e.Link), MTime: e.MTime, Size: e.Size, HardLink: []byte(e.HardLink)}
		if first, seen := contents[e.HardLink]; seen && e.HardLink != "" {
			k.Offset, k.SHA256 = first.Offset, first.SHA256
		} else if e.IsRegular() {
			sum := sha256.New()
			k.Offset = out.n
			if err := e.CopyTo(io.MultiWriter(out, sum)); err != nil {
				return nil, err
			}
			k.SHA256 = hex.EncodeToString(sum.Sum(nil))
			contents[e.HardLink] = k
		}
		kept.Entries = append(kept.Entries, k)
	}
	return kept, nil
}

var errOutside = errors.New("it lies outside of the contents")

// openTree returns the tree that keepTree kept: its description, and size bytes in r. origin becomes the Origin
// of all entries.
func openTree(r io.ReaderAt, size int64, kept *keptEntries, origin string) (*overlay.Tree, error) {
	t := &overlay.Tree{}
	for _, k := range kept.Entries {
		if k.Size < 0 || k.Offset < 0 || k.Offset > size || k.Size > size-k.Offset {
			return nil, fmt.Errorf("%s: %w", k.Path, errOutside)
		}
		e := overlay.Entry{Path: string(k.Path), Mode: k.Mode, UID: k.UID, GID: k.GID, Major: k.Major, Minor: k.Minor,
			Link: string(k.Link), MTime: k.MTime, Size: k.Size, HardLink: string(k.HardLink), Origin: origin}
		if e.IsRegular() {
			e.ID = idPrefix + k.SHA256
			e.Open = sectionOf(r, k.Offset, k.Size)
		}
		if err := t.Put(e); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// unpackedTree returns an input's tree, which made makes once and the store keeps under key. The key must name
// the code that reads the input, too. All entries get the same Origin.
func unpackedTree(ctx context.Context, st *store.Store, key, origin string, made func() (*overlay.Tree, error)) (*overlay.Tree, error) {
	var kept keptEntries
	blob, err := st.Derive(ctx, "tree", key, &kept, func(w io.Writer) error {
		t, err := made()
		if err != nil {
			return err
		}
		k, err := keepTree(w, t)
		if err == nil {
			kept = *k
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	t, err := openTree(blob.Reader(), blob.Size, &kept, origin)
	if err != nil {
		blob.Discard()
		return nil, fmt.Errorf("read the kept files of %s: %w", origin, err)
	}
	return t, nil
}

func sectionOf(r io.ReaderAt, offset, size int64) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(r, offset, size)), nil }
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
