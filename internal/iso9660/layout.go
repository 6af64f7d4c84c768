package iso9660

import "fmt"

// newLayout checks an image and places all its parts.
func newLayout(img *Image) (*layout, error) {
	l := &layout{img: img, groups: make(map[string]*blob)}
	if err := checkVolume(img); err != nil {
		return nil, err
	}
	if err := l.buildTree(); err != nil {
		return nil, err
	}
	if err := l.addBoot(); err != nil {
		return nil, err
	}
	nameFiles(l)
	if err := l.order(); err != nil {
		return nil, err
	}
	return l, l.place()
}

// checkVolume checks the fields of the volume descriptor.
func checkVolume(img *Image) error {
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

// order lists and numbers the directories of both hierarchies breadth first, as in path tables (ECMA-119 6.9.1).
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

// placer allocates sectors.
type placer struct{ next uint64 }

func (p *placer) take(bytes int64) uint32 {
	at := p.next
	p.next += uint64(sectors(bytes))
	return uint32(at)
}

// place allocates the sectors of all parts: descriptors, path tables, directories of both hierarchies, the catalog,
// boot images, files, padding.
func (l *layout) place() error {
	p := &placer{next: systemSectors + 3} // primary, Joliet, terminator
	if l.catalog != nil {
		p.next++ // the boot record
	}
	l.tableSize = uint32(len(pathTable(l.dirs, false, false)))
	l.tableL = p.take(int64(l.tableSize))
	p.take(int64(l.tableSize))
	l.jtabSize = uint32(len(pathTable(l.jdirs, true, false)))
	l.jtabL = p.take(int64(l.jtabSize))
	p.take(int64(l.jtabSize))
	for _, d := range l.dirs {
		dir, more := encodeDir(d) // the sizes do not depend on unknown positions
		d.primary.size = uint32(len(dir))
		d.primary.lba = p.take(int64(len(dir) + len(more)))
	}
	for _, d := range l.jdirs {
		d.second.size = uint32(len(encodeJoliet(d)))
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

// placeBlobs places the firmware's files first, then the files in tree order.
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
