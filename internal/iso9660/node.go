package iso9660

import (
	"fmt"
	"path"

	"mkbuild/internal/overlay"
)

// node is a file of the image to be written.
type node struct {
	file   overlay.Entry
	name   string
	parent *node   // the root is its own parent
	kids   []*node // in the order of iso after nameFiles
	jkids  []*node // children that Joliet supports, in the order of joliet
	nlink  uint32

	iso, joliet []byte // identifiers in the primary and the Joliet hierarchy

	primary, second dirPlace // the directory's place in either hierarchy
	data            *blob    // the content of a regular file; nil if it is empty
}

// dirPlace is a directory's extent and its number in the path table.
type dirPlace struct {
	lba, size uint32
	number    uint16
}

// blob is data that is placed once, regardless of its number of names.
type blob struct {
	file                overlay.Entry // the first of its names
	lba                 uint32
	infoTable, grubInfo bool // tables requested inside this data: see BootEntry
}

// layout has the position of every part.
type layout struct {
	img           *Image
	root          *node
	nodes         map[string]*node
	dirs, jdirs   []*node // in path table order
	blobs         []*blob // in the order of their sectors
	groups        map[string]*blob
	catalog       *blob
	boot          []*blob // parallel to img.Boot
	tableL, jtabL uint32  // path tables: first sector of the little-endian one
	tableSize     uint32
	jtabSize      uint32
	total         uint32 // sectors
}

// Limits of the format.
const (
	maxFileSize = 1<<32 - 1
	maxDirs     = 1<<16 - 1 // path table: 16-bit parent numbers
	tailPad     = 150       // sectors; mkisofs -pad adds them against read-ahead errors of drives
)

// buildTree links the files.
func (l *layout) buildTree() error {
	root := &node{file: overlay.Entry{Path: ".", Mode: overlay.TypeDir | 0o755, MTime: l.img.Modified}, nlink: 2}
	root.parent = root
	l.root, l.nodes = root, map[string]*node{".": root}
	for _, f := range l.img.Files.Entries() {
		if err := check(f); err != nil {
			return err
		}
		if f.Path == "." {
			root.file = *f
			continue
		}
		if _, err := l.add(*f); err != nil {
			return err
		}
	}
	l.countLinks()
	return nil
}

// check refuses entries that an image cannot hold.
func check(f *overlay.Entry) error {
	switch {
	case len(path.Base(f.Path)) > maxName:
		return invalidf("path %.300q", f.Path)
	case f.Path == "." && !f.IsDir():
		return invalidf("the root is not a directory")
	case f.IsLink() && len(f.Link) > maxPath:
		return invalidf("%s: symlink to %.64q", f.Path, f.Link)
	case f.Size < 0:
		return invalidf("%s: size %d", f.Path, f.Size)
	case f.IsRegular() && f.Size > maxFileSize:
		return fmt.Errorf("%w: %s has %d bytes, the limit is 4 GiB - 1", ErrTooLarge, f.Path, f.Size)
	}
	return nil
}

// add makes a node and its missing directories. Files come sorted, so a directory with an entry already exists.
func (l *layout) add(f overlay.Entry) (*node, error) {
	dir := path.Dir(f.Path)
	parent := l.nodes[dir]
	if parent == nil {
		var err error
		if parent, err = l.add(overlay.Entry{Path: dir, Mode: overlay.TypeDir | 0o755, MTime: l.img.Modified}); err != nil {
			return nil, err
		}
	}
	if !parent.file.IsDir() {
		return nil, invalidf("%s lies below %s, which is no directory", f.Path, dir)
	}
	n := &node{file: f, name: path.Base(f.Path), parent: parent, nlink: 1}
	if f.IsDir() {
		n.nlink = 2
		parent.nlink++
	}
	if f.IsRegular() {
		var err error
		if n.data, err = l.blobFor(&f); err != nil {
			return nil, err
		}
	}
	parent.kids = append(parent.kids, n)
	l.nodes[f.Path] = n
	return n, nil
}

// blobFor returns the data of a file, or of its group if it has several names.
func (l *layout) blobFor(f *overlay.Entry) (*blob, error) {
	if f.Size == 0 {
		return nil, nil
	}
	if f.Open == nil {
		return nil, invalidf("%s: %d bytes and no content", f.Path, f.Size)
	}
	if b := l.groups[f.HardLink]; b != nil {
		if b.file.Size != f.Size {
			return nil, invalidf("%s and %s are one file with two sizes", b.file.Path, f.Path)
		}
		return b, nil
	}
	b := &blob{file: *f}
	if f.HardLink != "" {
		l.groups[f.HardLink] = b
	}
	return b, nil
}

// countLinks sets the link count of files with several names.
func (l *layout) countLinks() {
	count := make(map[string]uint32)
	for _, n := range l.nodes {
		if n.file.IsRegular() && n.file.HardLink != "" {
			count[n.file.HardLink]++
		}
	}
	for _, n := range l.nodes {
		if c := count[n.file.HardLink]; n.file.IsRegular() && c > 0 {
			n.nlink = c
		}
	}
}

// extentOf returns the extent of an entry in the primary hierarchy.
func (n *node) extentOf() (lba, size uint32) {
	if n.file.IsDir() {
		return n.primary.lba, n.primary.size
	}
	if n.data == nil {
		return 0, 0
	}
	return n.data.lba, uint32(n.data.file.Size)
}
