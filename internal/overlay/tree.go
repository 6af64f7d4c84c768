// Package overlay models file trees as values: the content of a squashfs, a cpio archive, a tarball or mkbuild's
// own additions to an image. A Tree never touches the host's file system: upstream content cannot escape from it,
// owners and device nodes need no root, and every file names its origin.
//
// The package refuses paths that an initrd cannot hold or that no honest archive contains: absolute paths, "..",
// empty names and NUL bytes. Start reading at [Tree] and [Entry]; [Layers] puts trees on top of each other.
package overlay

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"mkbuild/internal/fail"
)

// File type bits of [Entry.Mode], as in stat(2), cpio newc and squashfs.
const (
	TypeMask    = 0o170000
	TypeSocket  = 0o140000
	TypeLink    = 0o120000
	TypeRegular = 0o100000
	TypeBlock   = 0o060000
	TypeDir     = 0o040000
	TypeChar    = 0o020000
	TypeFIFO    = 0o010000
	permMask    = 0o007777
)

// ErrPath is returned for a name that cannot be a path inside an image.
var ErrPath = fail.New(fail.Verification, "unsafe path", "")

// ErrNotExist is returned if a tree lacks an entry.
var ErrNotExist = fs.ErrNotExist

// Entry is one file, directory, link or device of an image.
type Entry struct {
	// Path is relative, slash-separated and clean: "usr/local/bin/ruby". "." is the root.
	Path string
	// Mode is st_mode: file type and the twelve permission bits.
	Mode uint32
	// UID and GID are numeric owners inside the image.
	UID, GID uint32
	// Major and Minor number a device node; zero for other types.
	Major, Minor uint32
	// Link is the target of a symlink.
	Link string
	// MTime is in seconds since 1970-01-01 UTC.
	MTime int64
	// Size is the length in bytes of a regular file; zero for other types.
	Size int64
	// Open returns the content of a regular file; it can be called more than once. Nil means empty.
	Open func() (io.ReadCloser, error)
	// ID, if set, identifies the content: entries with the same ID have the same bytes. If the digest is known, it
	// is "sha256:" and the hex digest.
	ID string
	// HardLink groups the names of one inode: entries of one Tree with the same non-empty
	// HardLink are one file.
	HardLink string
	// Origin names the source of the entry for the user: "ruby.tcz", "Core-4.5.2.iso", "mkbuild".
	Origin string
}

// IsDir reports whether e is a directory.
func (e *Entry) IsDir() bool { return e.Mode&TypeMask == TypeDir }

// IsRegular reports whether e is a regular file, whatever its permission bits.
func (e *Entry) IsRegular() bool { return e.Mode&TypeMask == TypeRegular }

// IsLink reports whether e is a symlink.
func (e *Entry) IsLink() bool { return e.Mode&TypeMask == TypeLink }

// Perm returns the twelve permission bits: setuid, setgid and sticky included.
func (e *Entry) Perm() uint32 { return e.Mode & permMask }

// mostAtOnce bounds the memory allocated for a size that only the entry claims.
const mostAtOnce = 1 << 20

// Content reads a whole regular file of at most limit bytes.
func (e *Entry) Content(limit int64) ([]byte, error) {
	if !e.IsRegular() {
		return nil, fmt.Errorf("read %s: not a regular file", e.Path)
	}
	if e.Size > limit {
		return nil, fmt.Errorf("read %s: %d bytes, the limit is %d", e.Path, e.Size, limit)
	}
	var buf bytes.Buffer
	buf.Grow(int(min(e.Size, mostAtOnce)) + bytes.MinRead) // bytes.Buffer needs this much free space to see the end
	if err := e.CopyTo(&buf); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// CopyTo writes the content of e, a regular file, to w. It fails if the content is not exactly e.Size bytes long,
// which would damage the archive around it.
func (e *Entry) CopyTo(w io.Writer) error {
	if !e.IsRegular() || e.Open == nil {
		if e.Size != 0 {
			return fmt.Errorf("copy %s: %d bytes promised and nothing to read them from", e.Path, e.Size)
		}
		return nil
	}
	r, err := e.Open()
	if err != nil {
		return fmt.Errorf("copy %s: %w", e.Path, err)
	}
	defer r.Close() //nolint:errcheck // only read
	n, err := io.Copy(w, io.LimitReader(r, e.Size))
	if err != nil {
		return fmt.Errorf("copy %s: %w", e.Path, err)
	}
	if n < e.Size {
		return fmt.Errorf("copy %s: %d of %d bytes: %w", e.Path, n, e.Size, io.ErrUnexpectedEOF)
	}
	var one [1]byte
	if n, _ := io.ReadFull(r, one[:]); n > 0 {
		return fmt.Errorf("copy %s: more content than the %d bytes promised", e.Path, e.Size)
	}
	return nil
}

// SetContent gives e new content, dated mtime, under this name only.
func (e *Entry) SetContent(b []byte, mtime int64) {
	e.Size, e.MTime, e.Open, e.ID, e.HardLink = int64(len(b)), mtime, Bytes(b), "", ""
}

// Bytes returns an opener for content held in memory.
func Bytes(b []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

// File returns a regular file owned by root with content b.
func File(name string, perm uint32, b []byte) Entry {
	return Entry{Path: name, Mode: TypeRegular | perm&permMask, Size: int64(len(b)), Open: Bytes(b)}
}

// Dir returns a directory owned by root.
func Dir(name string, perm uint32) Entry {
	return Entry{Path: name, Mode: TypeDir | perm&permMask}
}

// Symlink returns a symlink owned by root.
func Symlink(name, target string) Entry {
	return Entry{Path: name, Mode: TypeLink | 0o777, Link: target}
}

// maxPath is the longest path in bytes (PATH_MAX).
const maxPath = 4095

// CleanPath turns an archive member's name into an [Entry.Path]: "./usr/" becomes "usr", "" and
// "/" become ".". It fails with [ErrPath] on "..", NUL and names over 4095 bytes.
func CleanPath(name string) (string, error) {
	if len(name) <= maxPath && fs.ValidPath(name) && !strings.ContainsRune(name, 0) {
		return name, nil // already clean, as in nearly all cases
	}
	if len(name) > maxPath || strings.ContainsRune(name, 0) || slices.Contains(strings.Split(name, "/"), "..") {
		return "", fmt.Errorf("%w: %.64q", ErrPath, name)
	}
	p := path.Clean("/" + name)[1:]
	if p == "" {
		p = "."
	}
	return p, nil
}

// parent returns the directory of a clean path. path.Dir would clean it again, which slows walks over a whole tree.
func parent(p string) string {
	if i := strings.LastIndexByte(p, '/'); i > 0 {
		return p[:i]
	}
	return "."
}

// Tree is a set of entries with unique paths. The zero value is an empty tree. An entry ".", if present, holds the
// stored attributes of the root.
type Tree struct {
	entries map[string]*Entry
	sorted  *atomic.Pointer[[]*Entry] // the result of Entries, until the next change
}

// newTree returns a tree of the map, which it then owns.
func newTree(entries map[string]*Entry) *Tree {
	return &Tree{entries, new(atomic.Pointer[[]*Entry])}
}

// Len returns the number of entries.
func (t *Tree) Len() int { return len(t.entries) }

// Get returns the entry at a clean path, or nil.
func (t *Tree) Get(p string) *Entry { return t.entries[p] }

// Put adds a copy of e, or replaces the entry at its path.
func (t *Tree) Put(e Entry) error {
	clean, err := CleanPath(e.Path)
	if err != nil {
		return err
	}
	if e.Mode&TypeMask == 0 {
		return fmt.Errorf("add %s: no file type in mode %#o", clean, e.Mode)
	}
	if e.IsLink() && (e.Link == "" || strings.ContainsRune(e.Link, 0)) {
		return fmt.Errorf("add %s: %w: symlink target %q", clean, ErrPath, e.Link)
	}
	if t.entries == nil {
		*t = *newTree(make(map[string]*Entry))
	}
	e.Path = clean
	t.entries[clean] = &e
	t.sorted.Store(nil)
	return nil
}

// Remove removes the entry at p and, if it is a directory, everything below it. Removing "." removes only the
// root's own entry.
func (t *Tree) Remove(p string) {
	e := t.entries[p]
	if e == nil {
		return
	}
	delete(t.entries, p)
	t.sorted.Store(nil)
	if !e.IsDir() {
		return
	}
	for name := range t.entries {
		if strings.HasPrefix(name, p+"/") {
			delete(t.entries, name)
		}
	}
}

// Entries returns all entries: the root first, then sorted by path bytes, so that parents precede their children.
func (t *Tree) Entries() []*Entry {
	if t.entries == nil {
		return nil
	}
	if known := t.sorted.Load(); known != nil {
		return slices.Clone(*known)
	}
	out := make([]*Entry, 0, len(t.entries))
	for _, e := range t.entries {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b *Entry) int {
		switch { // "+x" and "-x" sort before "." by their bytes
		case a.Path == ".":
			return -1
		case b.Path == ".":
			return 1
		}
		return strings.Compare(a.Path, b.Path)
	})
	t.sorted.Store(&out)
	return slices.Clone(out)
}

// Children returns the entries directly inside directory dir, sorted by name.
func (t *Tree) Children(dir string) []*Entry {
	var out []*Entry
	for p, e := range t.entries {
		if p != "." && parent(p) == dir {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *Entry) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// Clone returns an independent copy of t. Contents are shared.
func (t *Tree) Clone() *Tree {
	c := newTree(make(map[string]*Entry, len(t.entries)))
	for p, e := range t.entries {
		copied := *e
		c.entries[p] = &copied
	}
	return c
}

// maxLinks is the kernel's limit on symlinks in one look-up (path_resolution(7)). maxParts bounds the parts of all
// paths in a look-up: the kernel has no such limit, but 40 links of 2,048 parts each would take minutes.
const maxLinks, maxParts = 40, 256

// Resolve follows every symlink in p like a booted image, with the tree's root as "/", and returns the final clean
// path. Missing parts are kept, so the result may not exist. It fails on a symlink loop and on more than 256 parts,
// which no honest path needs.
func (t *Tree) Resolve(p string) (string, error) {
	if t.isPlain(p) {
		return p, nil
	}
	todo := strings.Split(p, "/")
	done := "."
	for links, parts := 0, 0; len(todo) > 0; parts++ {
		if parts+len(todo) > maxParts {
			return "", fmt.Errorf("resolve %.200s: too many parts", p)
		}
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			done = parent(done)
			continue
		}
		next := part
		if done != "." {
			next = done + "/" + part
		}
		e := t.entries[next]
		if e == nil || !e.IsLink() {
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("resolve %.200s: too many symlinks", p)
		}
		if strings.HasPrefix(e.Link, "/") {
			done = "."
		}
		todo = append(strings.Split(e.Link, "/"), todo...)
	}
	return done, nil
}

// isPlain reports whether p is clean and contains no symlink, so that it resolves to itself.
func (t *Tree) isPlain(p string) bool {
	if !fs.ValidPath(p) || strings.Count(p, "/") >= maxParts {
		return false
	}
	for ; p != "."; p = parent(p) {
		if e := t.entries[p]; e != nil && e.IsLink() {
			return false
		}
	}
	return true
}

// ResolveParent resolves the symlinks of p's directory and keeps its last part: the path of p for lstat(2).
func (t *Tree) ResolveParent(p string) (string, error) {
	if p == "." {
		return p, nil
	}
	up := parent(p)
	dir, err := t.Resolve(up)
	switch {
	case err != nil:
		return "", err
	case dir == up:
		return p, nil
	}
	return path.Join(dir, path.Base(p)), nil
}

// Lookup follows symlinks to the entry at p, or fails with [ErrNotExist].
func (t *Tree) Lookup(p string) (*Entry, error) {
	clean, err := CleanPath(p)
	if err != nil {
		return nil, err
	}
	real, err := t.Resolve(clean)
	if err != nil {
		return nil, err
	}
	if e := t.entries[real]; e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("%s: %w", clean, ErrNotExist)
}
