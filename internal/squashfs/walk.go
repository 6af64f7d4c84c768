package squashfs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Limits of one walk. The kernel's own source tree has under 100,000 files. An image beyond these limits is
// refused, so that a few kilobytes cannot claim gigabytes of names.
const (
	maxEntries   = 1 << 18
	maxDepth     = 512
	maxPath      = 4095
	maxTextBytes = 64 << 20
	maxName      = 256
	maxRun       = 256
)

// Walk calls fn for every entry of the image: the root first, as ".", then each directory before its content, with
// the names of a directory in byte order. Paths are relative, clean and slash-separated. Walk stops at its first
// error or fn's.
func (f *FS) Walk(fn func(path string, in *Inode) error) error {
	root, err := f.inode(f.super.root)
	if err != nil {
		return fmt.Errorf("read root inode: %w", err)
	}
	if !root.IsDir() {
		return corrupt("the root is not a directory")
	}
	if err := fn(".", root); err != nil {
		return err
	}
	w := walker{fs: f, fn: fn, seen: map[uint64]bool{root.ID: true}}
	return w.walk("", root, 1)
}

type walker struct {
	fs      *FS
	fn      func(path string, in *Inode) error
	seen    map[uint64]bool // directories by inode: each has one place in the tree
	entries int
	text    int // bytes of paths and symlink targets so far
}

func (w *walker) walk(dir string, in *Inode, depth int) error {
	if depth > maxDepth {
		return corrupt("directories nest deeper than %d", maxDepth)
	}
	entries, err := w.fs.readDir(in.dir, maxEntries-w.entries)
	if err != nil {
		return fmt.Errorf("list /%s: %w", dir, err)
	}
	w.entries += len(entries)
	for _, e := range entries {
		p := path.Join(dir, e.name)
		child, err := w.enter(p, e.ref)
		if err != nil {
			return fmt.Errorf("read /%s: %w", p, err)
		}
		if err := w.fn(p, child); err != nil {
			return err
		}
		if !child.IsDir() {
			continue
		}
		if err := w.walk(p, child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// enter decodes the inode at path p and enforces the limits of the walk.
func (w *walker) enter(p string, ref uint64) (*Inode, error) {
	in, err := w.fs.inode(ref)
	if err != nil {
		return nil, err
	}
	if len(p) > maxPath {
		return nil, corrupt("path of %d bytes", len(p))
	}
	if w.text += len(p) + len(in.Target); w.text > maxTextBytes {
		return nil, corrupt("more than %d bytes of names", maxTextBytes)
	}
	if !in.IsDir() {
		return in, nil
	}
	if w.seen[ref] {
		return nil, corrupt("a directory lies in two places or inside itself")
	}
	w.seen[ref] = true
	return in, nil
}

// dirEntry is one name of a directory.
type dirEntry struct {
	name string
	ref  uint64
}

// emptyListing is the excess in a listing's size: room for "." and "..", which are not stored (squashfs.rst,
// "Directories").
const emptyListing = 3

// readDir returns at most limit names of a directory, sorted, or an error.
func (f *FS) readDir(d listing, limit int) ([]dirEntry, error) {
	if d.size <= emptyListing {
		return nil, nil
	}
	c, err := f.image.cursorAt(f.super.dirTable, uint64(d.block), d.offset)
	if err != nil {
		return nil, err
	}
	var out []dirEntry
	for left := int(d.size) - emptyListing; left > 0; {
		n, err := readRun(&c, &out)
		if err != nil {
			return nil, err
		}
		if left -= n; left < 0 {
			return nil, corrupt("listing is longer than its size")
		}
		if len(out) > limit {
			return nil, corrupt("more than %d entries", maxEntries)
		}
	}
	return out, sortNames(out)
}

// readRun appends one run of a listing: a header with the common inode table block, then up to 256 names. It
// returns the number of bytes used.
func readRun(c *cursor, out *[]dirEntry) (int, error) {
	h, err := c.take(12)
	if err != nil {
		return 0, err
	}
	count := binary.LittleEndian.Uint32(h)
	block := uint64(binary.LittleEndian.Uint32(h[4:]))
	if count >= maxRun {
		return 0, corrupt("run of %d names", uint64(count)+1)
	}
	used := len(h)
	for range count + 1 {
		b, err := c.take(8)
		if err != nil {
			return 0, err
		}
		ref := block<<16 | uint64(binary.LittleEndian.Uint16(b))
		size := int(binary.LittleEndian.Uint16(b[6:])) + 1
		if size > maxName {
			return 0, corrupt("name of %d bytes", size)
		}
		name, err := c.take(size)
		if err != nil {
			return 0, err
		}
		if !validName(name) {
			return 0, corrupt("file name %q", name)
		}
		*out = append(*out, dirEntry{string(name), ref})
		used += 8 + size
	}
	return used, nil
}

// validName refuses names that are not a single part of a path.
func validName(name []byte) bool {
	return string(name) != "." && string(name) != ".." && !bytes.ContainsAny(name, "/\x00")
}

// sortNames sorts a listing: writers sort too, but the walk's order must not depend on them.
func sortNames(list []dirEntry) error {
	slices.SortFunc(list, func(a, b dirEntry) int { return strings.Compare(a.name, b.name) })
	for i := 1; i < len(list); i++ {
		if list[i-1].name == list[i].name {
			return corrupt("two files named %q", list[i].name)
		}
	}
	return nil
}
