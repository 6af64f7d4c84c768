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

// inode is what the kernel remembers to find hard links: find_link in init/initramfs.c.
type inode struct{ major, minor, ino uint32 }

// group is a file with several names. The attributes of its last entry hold for all of them.
type group struct {
	attrs overlay.Entry
	paths []string // all names that were put in; some may have been replaced since
}

// rootfs applies cpio entries to a tree in their order, as the kernel applies them to its root
// file system.
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

// endArchive forgets inode numbers, which are those of one archive.
func (f *rootfs) endArchive() { clear(f.links) }

// finish gives all names of a file what its group knows, and returns the tree. A group that is
// left with one name is no group.
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

// add applies one entry; its content comes from r.
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
		return nil // the kernel makes nothing of a mode without a type
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

// readTarget returns the target of a symlink. Some packers store its NUL.
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

// place resolves the symlinks of a name's directory. A name below a symlink loop or below what is
// no directory is out of reach; open(2) fails in the kernel, and the entry is lost.
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

// put adds e or replaces what is at its path: do_name and do_symlink of init/initramfs.c. Hard
// links matter with regular files only; two nodes of one device are as good as one.
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
		e.HardLink = old.HardLink // the inode that is there is written to
	}
	f.links[key] = e.HardLink
	return f.replace(e, old)
}

// link gives a file another name: maybe_link. Its content is that of the last name that has one:
// GNU cpio stores it with the last, others with the first.
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

// replace puts e in the place of old, as clean_path and the system calls after it would.
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

// store puts e, and counts it in its directory and its group.
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

// slabSize is the unit in which contents are held: large, so that small files cost little, and
// small against an image, so that the last one wastes little.
const slabSize = 256 << 10

// store holds the contents of many files in slabs. It grows with the bytes that arrive and never
// copies, so that an image takes little more memory than its unpacked size.
type store struct {
	slab []byte // the free rest of the newest slab
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
