// Package sqfs makes small squashfs 4.0 images in memory, so that tests can have extensions without mksquashfs.
// Data blocks are 4 KiB and zlib-compressed if that helps, as in real Tiny Core extensions; metadata is stored.
// Only tests import it; bad input panics.
package sqfs

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"path"
	"sort"
)

// File type bits of [File.Mode], as in stat(2).
const (
	typeMask    = 0o170000
	TypeSocket  = 0o140000
	TypeLink    = 0o120000
	TypeRegular = 0o100000
	TypeBlock   = 0o060000
	TypeDir     = 0o040000
	TypeChar    = 0o020000
	TypeFIFO    = 0o010000
)

// File is one entry of an image.
type File struct {
	// Path is relative and clean; "." sets the mode and owner of the root. Missing parents are made: 0755, owned by
	// root.
	Path string
	// Mode is st_mode, file type included.
	Mode     uint32
	UID, GID uint32
	MTime    uint32
	// Data is the content of a regular file.
	Data []byte
	// Link is the target of a symlink.
	Link string
	// Major and Minor number a device node.
	Major, Minor uint32
	// HardLink makes the entry another name of the file at that path; all other fields are ignored.
	HardLink string
}

// Reg returns a regular file owned by root.
func Reg(p string, perm uint32, data string) File {
	return File{Path: p, Mode: TypeRegular | perm, Data: []byte(data)}
}

// Dir returns a directory owned by root.
func Dir(p string, perm uint32) File { return File{Path: p, Mode: TypeDir | perm} }

// Symlink returns a symlink owned by root.
func Symlink(p, target string) File { return File{Path: p, Mode: TypeLink | 0o777, Link: target} }

const (
	blockSize = 4096
	metaSize  = 8192
	super     = 96
	none      = ^uint32(0)
)

// Image returns a squashfs image with the files, padded to 4 KiB. The same files give the same
// bytes, in any order.
func Image(files []File) []byte {
	w := &writer{nodes: map[string]*node{}, ids: map[uint32]uint16{}}
	w.add(File{Path: ".", Mode: TypeDir | 0o755})
	sorted := append([]File(nil), files...)
	sort.SliceStable(sorted, func(i, j int) bool { return sorted[i].Path < sorted[j].Path })
	for _, f := range sorted {
		w.add(f)
	}
	for _, f := range sorted {
		w.link(f)
	}
	w.out = make([]byte, super)
	w.number(w.nodes["."])
	root := w.inode(w.nodes["."])
	return w.finish(root)
}

// node is an inode: a file and, for a directory, its children.
type node struct {
	File
	children map[string]*node
	number   uint32
	nlink    uint32
	ref      uint64
	done     bool
}

type writer struct {
	nodes  map[string]*node
	ids    map[uint32]uint16
	idList []uint32
	count  uint32
	out    []byte // superblock and data blocks
	inodes []byte // inode table, not yet split into blocks
	dirs   []byte // directory table, not yet split into blocks
}

// add makes the node of f and its missing parents.
func (w *writer) add(f File) {
	if f.Path != path.Clean(f.Path) || path.IsAbs(f.Path) {
		panic(fmt.Sprintf("sqfs: path %q is not clean and relative", f.Path))
	}
	if f.HardLink != "" {
		return
	}
	if f.Mode&typeMask == 0 {
		panic(fmt.Sprintf("sqfs: %s: no file type in mode %#o", f.Path, f.Mode))
	}
	if old := w.nodes[f.Path]; old != nil {
		old.File = f
		return
	}
	n := &node{File: f, nlink: 1, children: map[string]*node{}}
	w.nodes[f.Path] = n
	if f.Path != "." {
		w.parent(f.Path).children[path.Base(f.Path)] = n
	}
}

func (w *writer) parent(p string) *node {
	dir := path.Dir(p)
	if w.nodes[dir] == nil {
		w.add(File{Path: dir, Mode: TypeDir | 0o755})
	}
	return w.nodes[dir]
}

// link gives a file another name.
func (w *writer) link(f File) {
	if f.HardLink == "" {
		return
	}
	n := w.nodes[f.HardLink]
	if n == nil {
		panic(fmt.Sprintf("sqfs: %s: no file %s to link to", f.Path, f.HardLink))
	}
	n.nlink++
	w.parent(f.Path).children[path.Base(f.Path)] = n
}

func (n *node) names() []string {
	var out []string
	for name := range n.children {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// number assigns inode numbers from 1 on.
func (w *writer) number(n *node) {
	if n.number != 0 {
		return
	}
	w.count++
	n.number = w.count
	for _, name := range n.names() {
		w.number(n.children[name])
	}
}

// id returns the index of an owner in the owner table.
func (w *writer) id(owner uint32) uint16 {
	i, ok := w.ids[owner]
	if !ok {
		i = uint16(len(w.idList))
		w.ids[owner] = i
		w.idList = append(w.idList, owner)
	}
	return i
}

// reference turns a position in a table into its position after the split into stored blocks with headers: block
// offset and offset within the block.
func reference(pos int) (block, offset uint32) {
	return uint32(pos / metaSize * (metaSize + 2)), uint32(pos % metaSize)
}

// inode writes n after its children and returns its position.
func (w *writer) inode(n *node) uint64 {
	if n.done {
		return n.ref
	}
	n.done = true
	var body []any
	var kind uint16
	switch n.Mode & typeMask {
	case TypeDir:
		kind, body = w.dirBody(n)
	case TypeRegular:
		kind, body = w.fileBody(n)
	case TypeLink:
		kind, body = 3, []any{n.nlink, uint32(len(n.Link)), []byte(n.Link)}
	case TypeBlock, TypeChar:
		dev := n.Minor&0xff | n.Major<<8 | n.Minor&^uint32(0xff)<<12
		kind, body = 4, []any{n.nlink, dev}
		if n.Mode&typeMask == TypeChar {
			kind = 5
		}
	case TypeFIFO:
		kind, body = 6, []any{n.nlink}
	default:
		kind, body = 7, []any{n.nlink}
	}
	block, offset := reference(len(w.inodes))
	n.ref = uint64(block)<<16 | uint64(offset)
	w.inodes = pack(w.inodes, kind, uint16(n.Mode&0o7777), w.id(n.UID), w.id(n.GID), n.MTime, n.number)
	w.inodes = pack(w.inodes, body...)
	return n.ref
}

// dirBody writes the listing of n and returns its extended inode, which supports any size.
func (w *writer) dirBody(n *node) (uint16, []any) {
	names := n.names()
	links := uint32(2)
	for _, name := range names {
		w.inode(n.children[name])
		if n.children[name].Mode&typeMask == TypeDir {
			links++
		}
	}
	start := len(w.dirs)
	for len(names) > 0 {
		names = names[w.run(n, names):]
	}
	block, offset := reference(start)
	size := uint32(len(w.dirs) - start + 3)
	parent := w.count + 1
	if n.Path != "." {
		parent = w.nodes[path.Dir(n.Path)].number
	}
	return 8, []any{links, size, block, parent, uint16(0), uint16(offset), none}
}

// run writes names that share an inode table block and returns their number.
func (w *writer) run(dir *node, names []string) int {
	first := dir.children[names[0]]
	n := 1
	for n < len(names) && n < 256 {
		c := dir.children[names[n]]
		delta := int64(c.number) - int64(first.number)
		if c.ref>>16 != first.ref>>16 || delta != int64(int16(delta)) {
			break
		}
		n++
	}
	w.dirs = pack(w.dirs, uint32(n-1), uint32(first.ref>>16), first.number)
	for _, name := range names[:n] {
		c := dir.children[name]
		w.dirs = pack(w.dirs, uint16(c.ref), int16(int64(c.number)-int64(first.number)),
			basicType(c.Mode), uint16(len(name)-1), []byte(name))
	}
	return n
}

func basicType(mode uint32) uint16 {
	switch mode & typeMask {
	case TypeDir:
		return 1
	case TypeRegular:
		return 2
	case TypeLink:
		return 3
	case TypeBlock:
		return 4
	case TypeChar:
		return 5
	case TypeFIFO:
		return 6
	}
	return 7
}

// fileBody writes the data blocks of n and returns its extended inode, which has a link count.
func (w *writer) fileBody(n *node) (uint16, []any) {
	start := uint64(len(w.out))
	body := []any{start, uint64(len(n.Data)), uint64(0), n.nlink, none, uint32(0), none}
	for data := n.Data; len(data) > 0; {
		block := data[:min(blockSize, len(data))]
		data = data[len(block):]
		stored, word := deflate(block), uint32(0)
		if len(stored) >= len(block) {
			stored, word = block, 1<<24
		}
		w.out = append(w.out, stored...)
		body = append(body, word|uint32(len(stored)))
	}
	return 9, body
}

func deflate(b []byte) []byte {
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	must(z.Write(b))
	if err := z.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// finish writes the tables and the superblock.
func (w *writer) finish(root uint64) []byte {
	inodeTable := uint64(len(w.out))
	w.out = appendMeta(w.out, w.inodes)
	dirTable := uint64(len(w.out))
	w.out = appendMeta(w.out, w.dirs)
	var ids []byte
	for _, id := range w.idList {
		ids = pack(ids, id)
	}
	fragTable := uint64(len(w.out))
	idBlocks := fragTable
	w.out = appendMeta(w.out, ids)
	idTable := uint64(len(w.out))
	for i := 0; i < len(ids); i += metaSize {
		w.out = pack(w.out, idBlocks+uint64(i/metaSize*(metaSize+2)))
	}
	used := uint64(len(w.out))
	absent := ^uint64(0)
	const noFragments, noXattrs = 0x10, 0x200
	head := pack(nil, []byte("hsqs"), w.count, uint32(0), uint32(blockSize), uint32(0),
		uint16(1), uint16(12), uint16(noFragments|noXattrs), uint16(len(w.idList)), uint16(4), uint16(0),
		root, used, idTable, absent, inodeTable, dirTable, fragTable, absent)
	copy(w.out, head)
	return append(w.out, make([]byte, -len(w.out)&4095)...)
}

// appendMeta splits a table into stored metadata blocks.
func appendMeta(out, table []byte) []byte {
	for len(table) > 0 {
		b := table[:min(metaSize, len(table))]
		table = table[len(b):]
		out = append(pack(out, uint16(len(b))|0x8000), b...)
	}
	return out
}

func pack(out []byte, values ...any) []byte {
	for _, v := range values {
		var err error
		if out, err = binary.Append(out, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return out
}

func must(_ int, err error) {
	if err != nil {
		panic(err)
	}
}
