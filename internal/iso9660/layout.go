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
	kids   []*node // in the order of iso once nameFiles has run
	jkids  []*node // those that Joliet can show, in the order of joliet
	nlink  uint32

	iso, joliet []byte // identifiers in the primary and the Joliet hierarchy

	primary, second dirPlace // where a directory is in either hierarchy
	data            *blob    // what a regular file holds; nil when it is empty
}

// dirPlace is a directory's extent and its number in the path table.
type dirPlace struct {
	lba, size uint32
	number    uint16
}

// blob is data to be placed once, however many names it has.
type blob struct {
	file                overlay.Entry // the first of its names
	lba                 uint32
	infoTable, grubInfo bool // tables wanted inside this data: see BootEntry
}

// layout says where everything goes.
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
	tailPad     = 150       // sectors; what mkisofs -pad adds against read-ahead errors of drives
)

// newLayout checks an image and places everything in it.
func newLayout(img *Image) (*layout, error) {
	l := &layout{img: img, groups: make(map[string]*blob)}
	steps := []func() error{
		img.checkVolume, l.buildTree, l.addBoot, l.nameFiles, l.order, l.place,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// checkVolume checks the fields of the volume descriptor.
func (img *Image) checkVolume() error {
	for _, f := range []struct {
		name, text string
		limit      int
	}{
		{"volume id", img.VolumeID, 32}, {"system id", img.SystemID, 32},
		{"volume set id", img.VolumeSetID, 128}, {"publisher", img.Publisher, 128},
		{"preparer", img.Preparer, 128}, {"application id", img.ApplicationID, 128},
		{"copyright file", img.Copyright, 37}, {"abstract file", img.Abstract, 37},
		{"bibliography file", img.Bibliography, 37}, {"catalog id", img.CatalogID, 24},
		{"system area", string(img.System), systemSectors * sectorSize},
	} {
		if len(f.text) > f.limit {
			return invalidf("%s of %d bytes, the limit is %d", f.name, len(f.text), f.limit)
		}
	}
	return nil
}

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

// check refuses entries that no image can hold.
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

// add makes a node and the directories above it that have no entry of their own. Files come
// sorted, so a directory with an entry is there already.
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

// blobFor returns the data of a file: that of its group when it is one of several names.
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

// order lists the directories of both hierarchies breadth first, as path tables want them
// (ECMA-119 6.9.1), and numbers them.
func (l *layout) order() error {
	l.dirs = breadthFirst(l.root, func(d *node) []*node { return d.kids })
	l.jdirs = breadthFirst(l.root, func(d *node) []*node { return d.jkids })
	if len(l.dirs) > maxDirs {
		return fmt.Errorf("%w: %d directories, the limit is %d", ErrTooLarge, len(l.dirs), maxDirs)
	}
	for i := range l.dirs {
		l.dirs[i].primary.number = uint16(i + 1)
		l.jdirs[i].second.number = uint16(i + 1)
	}
	return nil
}

func breadthFirst(root *node, kids func(*node) []*node) []*node {
	dirs := []*node{root}
	for i := 0; i < len(dirs); i++ {
		for _, k := range kids(dirs[i]) {
			if k.file.IsDir() {
				dirs = append(dirs, k)
			}
		}
	}
	return dirs
}

// placer hands out sectors.
type placer struct{ next uint64 }

func (p *placer) take(bytes int64) uint32 {
	at := p.next
	p.next += uint64(sectors(bytes))
	return uint32(at)
}

// place gives everything its sectors: descriptors, path tables, directories of both
// hierarchies, the catalog, boot images, files, padding.
func (l *layout) place() error {
	p := &placer{next: systemSectors + 3} // primary, Joliet, terminator
	if l.catalog != nil {
		p.next++ // the boot record
	}
	l.tableSize = uint32(len(l.pathTable(false, false)))
	l.tableL = p.take(int64(l.tableSize))
	p.take(int64(l.tableSize))
	l.jtabSize = uint32(len(l.pathTable(true, false)))
	l.jtabL = p.take(int64(l.jtabSize))
	p.take(int64(l.jtabSize))
	for _, d := range l.dirs {
		dir, more := l.encodeDir(d) // the sizes do not depend on what is still unknown
		d.primary.size = uint32(len(dir))
		d.primary.lba = p.take(int64(len(dir) + len(more)))
	}
	for _, d := range l.jdirs {
		d.second.size = uint32(len(l.encodeJoliet(d)))
		d.second.lba = p.take(int64(d.second.size))
	}
	l.placeBlobs(p)
	p.next += tailPad
	p.next = l.img.alignHybrid(p.next)
	if p.next > 1<<32-1 {
		return fmt.Errorf("%w: %d sectors", ErrTooLarge, p.next)
	}
	l.total = uint32(p.next)
	return nil
}

// placeBlobs puts what firmware reads in front, then the files in the order of the tree.
func (l *layout) placeBlobs(p *placer) {
	seen := make(map[*blob]bool)
	put := func(b *blob) {
		if b == nil || seen[b] {
			return
		}
		seen[b] = true
		b.lba = p.take(b.file.Size)
		l.blobs = append(l.blobs, b)
	}
	put(l.catalog)
	for _, b := range l.boot {
		put(b)
	}
	for _, d := range l.dirs {
		for _, k := range d.kids {
			put(k.data)
		}
	}
}
