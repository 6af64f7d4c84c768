package initrd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"

	"mkbuild/internal/cpio"
	"mkbuild/internal/overlay"
)

// inode is the kernel's key for hard links: find_link in init/initramfs.c.
type inode struct{ major, minor, ino uint32 }

// group is a file with several names. The attributes of its last entry apply to all names.
type group struct {
	attrs overlay.Entry
	paths []string // all names added; some may have been replaced since
}

// rootfs applies cpio entries to a tree in order, like the kernel to its root file system.
type rootfs struct {
	origin   string
	tree     *overlay.Tree
	contents store
	links    map[inode]string  // of the archive being read: the hard-link group of an inode
	groups   map[string]*group // by overlay.Entry.HardLink
	children map[string]int    // entries directly inside a directory
}

func newRootfs(origin string) *rootfs {
	return &rootfs{
		origin: origin, tree: &overlay.Tree{}, links: make(map[inode]string),
		groups: make(map[string]*group), children: make(map[string]int),
	}
}

// endArchive forgets inode numbers, which are valid in one archive only.
func (f *rootfs) endArchive() { clear(f.links) }

// finish applies the attributes of each group to all its names, and returns the tree. A group with one name is
// dissolved.
func (f *rootfs) finish() *overlay.Tree {
	for id, g := range f.groups {
		members := make(map[string]*overlay.Entry)
		for _, p := range g.paths {
			if e := f.tree.Get(p); e != nil && e.HardLink == id {
				members[p] = e
			}
		}
		if len(members) == 1 {
			g.attrs.HardLink = ""
		}
		for p, e := range members {
			*e = g.attrs
			e.Path = p
		}
	}
	return f.tree
}

// add applies an entry with the content of r.
func (f *rootfs) add(h *cpio.Header, r io.Reader) error {
	e := overlay.Entry{
		Mode: h.Mode & (overlay.TypeMask | 0o7777), UID: h.UID, GID: h.GID, MTime: h.MTime, Origin: f.origin,
	}
	name, err := overlay.CleanPath(h.Name)
	if err != nil {
		return err
	}
	switch e.Mode & overlay.TypeMask {
	case overlay.TypeRegular:
		e.Size = h.Size
		if e.Open, err = f.contents.read(r, h.Size); err != nil {
			return err
		}
	case overlay.TypeLink:
		if e.Link, err = readTarget(h, r); err != nil {
			return err
		}
	case overlay.TypeChar, overlay.TypeBlock:
		e.Major, e.Minor = h.RMajor, h.RMinor
	case overlay.TypeDir, overlay.TypeFIFO, overlay.TypeSocket:
	default:
		return nil // the kernel ignores a mode without a type
	}
	if name == "." && !e.IsDir() {
		return errors.New("the root is not a directory")
	}
	var reachable bool
	if e.Path, reachable = f.place(name); !reachable {
		return nil
	}
	return f.put(e, h)
}

// readTarget returns the target of a symlink. Some packers store its final NUL.
func readTarget(h *cpio.Header, r io.Reader) (string, error) {
	if h.Size > maxTarget+1 {
		return "", fmt.Errorf("symlink target of %d bytes", h.Size)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return "", err
	}
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b), nil
}

// place resolves the symlinks of a name's directory. The kernel loses a name below a symlink loop or a
// non-directory, because open(2) fails.
func (f *rootfs) place(name string) (string, bool) {
	at, err := f.tree.ResolveParent(name)
	if err != nil {
		return "", false
	}
	for dir := path.Dir(at); dir != "."; dir = path.Dir(dir) {
		if up := f.tree.Get(dir); up != nil && !up.IsDir() {
			return "", false
		}
	}
	return at, true
}

// put adds e or replaces the entry at its path: do_name and do_symlink of init/initramfs.c. Hard links matter for
// regular files only; two nodes of one device are equivalent.
func (f *rootfs) put(e overlay.Entry, h *cpio.Header) error {
	old := f.tree.Get(e.Path)
	if h.NLink < 2 || !e.IsRegular() {
		return f.replace(e, old)
	}
	key := inode{h.DevMajor, h.DevMinor, h.Ino}
	if id, known := f.links[key]; known {
		return f.link(e, old, id)
	}
	e.HardLink = fmt.Sprintf("cpio:%d", len(f.groups)+1)
	if old != nil && old.HardLink != "" {
		e.HardLink = old.HardLink // the kernel writes to the existing inode
	}
	f.links[key] = e.HardLink
	return f.replace(e, old)
}

// link gives a file another name: maybe_link. The last name with content decides: GNU cpio stores the content with
// the last name, other packers with the first.
func (f *rootfs) link(e overlay.Entry, old *overlay.Entry, id string) error {
	if old != nil && old.IsDir() && f.children[e.Path] > 0 {
		return nil
	}
	e.HardLink = id
	if g := f.groups[id]; e.Size == 0 && g != nil {
		e.Size, e.Open = g.attrs.Size, g.attrs.Open
	}
	return f.store(e, old)
}

// replace replaces old with e, like clean_path and the system calls after it.
func (f *rootfs) replace(e overlay.Entry, old *overlay.Entry) error {
	switch {
	case old == nil, old.IsLink():
	case old.Mode&overlay.TypeMask != e.Mode&overlay.TypeMask:
		if old.IsDir() && f.children[e.Path] > 0 {
			return nil // rmdir(2) fails
		}
	case e.IsRegular():
		if old.HardLink != "" {
			e.HardLink = old.HardLink // opened with O_TRUNC: every name sees it
		}
	case !e.IsDir():
		e.Major, e.Minor = old.Major, old.Minor // mknod(2) fails, chown and chmod follow
	}
	return f.store(e, old)
}

// store stores e and counts it in its directory and its group.
func (f *rootfs) store(e overlay.Entry, old *overlay.Entry) error {
	if old == nil {
		f.children[path.Dir(e.Path)]++
	}
	if e.HardLink != "" {
		g := f.groups[e.HardLink]
		if g == nil {
			g = &group{}
			f.groups[e.HardLink] = g
		}
		g.attrs = e
		g.paths = append(g.paths, e.Path)
	}
	return f.tree.Put(e)
}

// slabSize is the unit of allocation for contents: large, so that small files cost little, but small compared with
// an image, so that the last slab wastes little.
const slabSize = 256 << 10

// store holds the contents of many files in slabs. It grows with the input and never copies, so an image uses
// little more memory than its unpacked size.
type store struct {
	slab []byte // unused rest of the newest slab
}

// read stores the next size bytes of r and returns their opener.
func (s *store) read(r io.Reader, size int64) (func() (io.ReadCloser, error), error) {
	var parts [][]byte
	for size > 0 {
		if len(s.slab) == 0 {
			s.slab = make([]byte, slabSize)
		}
		n := min(size, int64(len(s.slab)))
		if _, err := io.ReadFull(r, s.slab[:n]); err != nil {
			return nil, noEOF(err)
		}
		parts = append(parts, s.slab[:n:n])
		s.slab = s.slab[n:]
		size -= n
	}
	switch len(parts) {
	case 0:
		return nil, nil
	case 1:
		return overlay.Bytes(parts[0]), nil
	}
	return func() (io.ReadCloser, error) {
		readers := make([]io.Reader, len(parts))
		for i, p := range parts {
			readers[i] = bytes.NewReader(p)
		}
		return io.NopCloser(io.MultiReader(readers...)), nil
	}, nil
}
