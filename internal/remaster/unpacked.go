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

// idPrefix begins an [overlay.Entry.ID] that is a digest.
const idPrefix = "sha256:"

// keptEntries describes a tree whose contents are kept in a file.
type keptEntries struct {
	Entries []keptEntry `json:"entries"`
}

// keptEntry is an [overlay.Entry] whose content begins at Offset. Names are bytes: a JSON string would
// hold none that is not UTF-8.
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

// keepTree writes the contents of a tree one after the other, and returns where each is. What
// has cost an unpacking once is read in place from then on, and takes no memory.
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

// errOutside is returned for a description that does not fit the contents.
var errOutside = errors.New("it lies outside of the contents")

// openTree makes a tree of what keepTree has returned and of the size bytes that it has written to r.
// origin becomes the Origin of all entries.
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

// unpackedTree returns the tree that made once made of an input, which the store keeps under key. The
// key has to name the code that reads the input, too. All entries get the same Origin.
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

// sectionOf opens a part of a file.
func sectionOf(r io.ReaderAt, offset, size int64) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(r, offset, size)), nil }
}

// counter counts what goes through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
