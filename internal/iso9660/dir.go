package iso9660

import (
	"fmt"
	"strings"

	"mkbuild/internal/overlay"
)

// readTree reads all directories: Rock Ridge if present, else Joliet, else plain names.
func (s *source) readTree(vol volume) (*tree, error) {
	t := &tree{src: s, seen: make(map[uint32]bool), stored: make(map[extent]bool), dataLeft: s.size}
	root, err := rootRecord(vol.primary)
	if err != nil {
		return nil, err
	}
	if err := t.detectRockRidge(root.lba); err != nil {
		return nil, err
	}
	if !t.rockRidge && vol.joliet != nil {
		t.joliet = true
		if root, err = rootRecord(vol.joliet); err != nil {
			return nil, err
		}
	}
	t.push(overlay.Entry{Path: ".", Mode: overlay.TypeDir | 0o755, MTime: parseShortDate(root.date)}, root.lba)
	t.jobs = []job{{lba: root.lba, size: root.size, self: true}}
	for len(t.jobs) > 0 {
		j := t.jobs[len(t.jobs)-1]
		t.jobs = t.jobs[:len(t.jobs)-1]
		if err := t.readDir(j); err != nil {
			return nil, fmt.Errorf("directory %q: %w", t.files[j.file].Path, err)
		}
	}
	t.finish()
	return t, nil
}

func rootRecord(vd []byte) (record, error) {
	r, _, ok, err := parseRecord(vd[156:190], 0)
	if err == nil && (!ok || r.flags&flagDir == 0) {
		err = corruptf("no root directory")
	}
	return r, err
}

// detectRockRidge searches the root's own record for an SP field; on CD-XA discs it comes after 14 other bytes, as
// in fs/isofs/rock.c.
func (t *tree) detectRockRidge(lba uint32) error {
	b, err := t.src.read(lba, 0, sectorSize)
	if err != nil {
		return err
	}
	r, _, ok, err := parseRecord(b, 0)
	if err != nil || !ok {
		return err
	}
	for _, xa := range []int{0, 14} {
		var a attributes
		if xa > len(r.use) {
			break
		}
		if err := a.parse(t.src, r.use[xa:]); err != nil {
			return err
		}
		if a.hasSP {
			t.rockRidge, t.skip = a.hasRR, a.skip
			break
		}
	}
	return nil
}

// dirReader reads one directory.
type dirReader struct {
	*tree
	job
	path  string
	names map[string]bool
	open  *openFile // a file before its last record
	moved bool      // it had an entry that is shown elsewhere
	count int
}

// openFile is a file of several extents, one record each.
type openFile struct {
	file    overlay.Entry
	id      string
	extents []extent
}

func (t *tree) readDir(j job) error {
	if t.seen[j.lba] {
		return corruptf("directory loop at sector %d", j.lba)
	}
	t.seen[j.lba] = true
	if j.depth > maxDepth || j.size > maxDirBytes {
		return corruptf("directory of %d bytes at depth %d", j.size, j.depth)
	}
	b, err := t.src.meta(j.lba, 0, j.size)
	if err != nil {
		return err
	}
	d := &dirReader{tree: t, job: j, path: t.files[j.file].Path, names: make(map[string]bool)}
	for off := 0; off < len(b); {
		r, next, ok, err := parseRecord(b, off)
		if err != nil {
			return err
		}
		off = next
		if !ok || r.flags&flagAssociated != 0 {
			continue
		}
		if err := d.record(&r); err != nil {
			return err
		}
	}
	if d.open != nil {
		return corruptf("%q goes on after the last record", d.open.file.Path)
	}
	d.hideRelocation()
	return nil
}

// hideRelocation marks mkisofs' directory for relocated directories, which is now empty.
func (d *dirReader) hideRelocation() {
	if d.moved && d.count == 0 && (d.path == "rr_moved" || d.path == ".rr_moved") {
		d.files[d.file].Path = ""
	}
}

func (d *dirReader) record(r *record) error {
	var a attributes
	if d.rockRidge && (r.isSelf() && d.path == "." || d.skip <= len(r.use)) {
		skip := d.skip
		if r.isSelf() && d.path == "." {
			skip = 0 // SUSP 5.3: the skip does not apply to the SP field's own record
		}
		if err := a.parse(d.src, r.use[skip:]); err != nil {
			return err
		}
	}
	switch {
	case r.id == "\x00":
		d.ownAttributes(&a)
		return nil
	case r.id == "\x01":
		return nil
	case a.isRelocated:
		d.moved = true
		return nil
	case a.compressed:
		return corruptf("%q: zisofs compression is not supported", d.name(r, &a))
	}
	return d.entry(r, &a)
}

// ownAttributes applies a directory's own record if no other record has its attributes.
func (d *dirReader) ownAttributes(a *attributes) {
	f := &d.files[d.file]
	if !d.self || !a.hasPX || a.mode&overlay.TypeMask != overlay.TypeDir {
		return
	}
	f.Mode, f.UID, f.GID = a.mode, a.uid, a.gid
	if a.hasTime {
		f.MTime = a.mtime
	}
}

func (d *dirReader) entry(r *record, a *attributes) error {
	if d.open != nil {
		return d.more(r)
	}
	f, err := d.newFile(r, a)
	if err != nil {
		return err
	}
	if d.count++; len(d.files) >= maxFiles {
		return corruptf("more than %d entries", maxFiles)
	}
	if f.IsDir() {
		return d.subdir(f, r, a)
	}
	d.open = &openFile{file: f, id: r.id}
	return d.more(r)
}

// more adds an extent to the current file and, with the last extent, the file to the tree.
func (d *dirReader) more(r *record) error {
	if r.id != d.open.id || r.flags&flagDir != 0 {
		return corruptf("%q: its next extent is missing", d.open.file.Path)
	}
	o := d.open
	if o.file.IsRegular() && r.size > 0 {
		if start := int64(r.lba) * sectorSize; start > d.src.size || r.size > d.src.size-start {
			return corruptf("%q: its data lies beyond the end of the image", o.file.Path)
		}
		o.extents = append(o.extents, r.extent)
		o.file.Size += r.size
	}
	if r.flags&flagMore != 0 {
		return nil
	}
	d.open = nil
	return d.close(o)
}

// close adds a complete file. The data of all files must be smaller than the image, which also bounds the output of
// Write for a hostile image.
func (d *dirReader) close(o *openFile) error {
	var lba uint32
	if len(o.extents) > 0 {
		lba = o.extents[0].lba
		o.file.Open = d.src.section(o.extents)
	}
	if data := (extent{lba, o.file.Size}); !d.stored[data] {
		d.stored[data] = true
		if d.dataLeft -= data.size; d.dataLeft < 0 {
			return corruptf("%q: the data of files overlaps", o.file.Path)
		}
	}
	d.push(o.file, lba)
	return nil
}

func (d *dirReader) subdir(f overlay.Entry, r *record, a *attributes) error {
	j := job{lba: r.lba, size: r.size, depth: d.depth + 1}
	if a.relocated != 0 {
		b, err := d.src.read(a.relocated, 0, 34)
		if err != nil {
			return err
		}
		j.lba, j.size, j.self = a.relocated, int64(le32(b[10:])), true
	}
	j.file = d.push(f, 0)
	d.jobs = append(d.jobs, j)
	return nil
}

// newFile returns the entry of a record, without its data.
func (d *dirReader) newFile(r *record, a *attributes) (overlay.Entry, error) {
	name := d.name(r, a)
	if err := checkName(name); err != nil {
		return overlay.Entry{}, err
	}
	if d.names[name] {
		return overlay.Entry{}, corruptf("two entries named %q", name)
	}
	d.names[name] = true
	f := overlay.Entry{Path: join(d.path, name), Mode: overlay.TypeRegular | 0o444, MTime: parseShortDate(r.date)}
	if d.pathBytes += len(f.Path); len(f.Path) > maxPath || d.pathBytes > maxPathBytes {
		return overlay.Entry{}, corruptf("paths are too long: %.64q…", f.Path)
	}
	isDir := r.flags&flagDir != 0 || a.relocated != 0
	if isDir {
		f.Mode = overlay.TypeDir | 0o555
	}
	if err := a.apply(&f); err != nil {
		return overlay.Entry{}, err
	}
	if f.IsDir() != isDir {
		return overlay.Entry{}, corruptf("%q: mode %#o contradicts the directory flag", f.Path, f.Mode)
	}
	return f, nil
}

func (d *dirReader) name(r *record, a *attributes) string {
	switch {
	case a.hasName:
		return a.name
	case d.joliet:
		return strings.TrimSuffix(decodeUCS2(r.id), ";1")
	}
	id, _, _ := strings.Cut(r.id, ";")
	return strings.ToLower(strings.TrimSuffix(id, "."))
}

// checkName refuses names with a special meaning in a path.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > 3*maxName || strings.ContainsAny(name, "/\x00") {
		return corruptf("unsafe name %.64q", name)
	}
	return nil
}

func join(dir, name string) string {
	if dir == "." {
		return name
	}
	return dir + "/" + name
}
