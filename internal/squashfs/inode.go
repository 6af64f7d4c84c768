package squashfs

import (
	"bytes"
	"encoding/binary"
	"math"
)

// File type bits of [Inode.Mode], as in stat(2).
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

// Inode is one file of an image, whatever its type.
type Inode struct {
	// ID is the position of the inode, which all hard links of a file share.
	ID uint64
	// Number is the inode's number, st_ino of a mounted image.
	Number uint32
	// Nlink is the inode's claimed number of names.
	Nlink uint32
	// Mode is st_mode: file type and the twelve permission bits.
	Mode uint32
	// UID and GID are the numeric owners.
	UID, GID uint32
	// MTime is in seconds since 1970-01-01 UTC.
	MTime int64
	// Size is the length of a regular file in bytes; zero for other types.
	Size int64
	// Target is the target of a symlink.
	Target string
	// Major and Minor number a device node.
	Major, Minor uint32

	// dir is the place of a directory's listing.
	dir listing
	// data is the place of a regular file's content.
	data extent
}

// listing is the place of a directory's entries in the directory table.
type listing struct {
	block  uint32
	offset uint16
	size   uint32
}

// extent is the place of a regular file's content: full blocks from start on, their stored lengths in the inode
// table from sizes on, and a tail in a shared fragment.
type extent struct {
	start    uint64
	sizes    place
	fragment uint32
	offset   uint32
}

// noFragment in an inode means that the file has no tail in a fragment.
const noFragment = ^uint32(0)

// Inode types of the format; the extended form of each is seven higher.
const (
	inodeDir = 1 + iota
	inodeRegular
	inodeSymlink
	inodeBlock
	inodeChar
	inodeFIFO
	inodeSocket
	inodeExtended = 7
)

// maxTarget is Linux' longest symlink target (PATH_MAX without its NUL).
const maxTarget = 4095

// IsDir reports whether in is a directory.
func (in *Inode) IsDir() bool { return in.Mode&TypeMask == TypeDir }

// IsRegular reports whether in is a regular file.
func (in *Inode) IsRegular() bool { return in.Mode&TypeMask == TypeRegular }

// inode decodes the inode at ref: a metadata block's offset in the inode table in the upper
// bits, an offset in that block in the lower 16.
func (f *FS) inode(ref uint64) (*Inode, error) {
	c, err := f.image.cursorAt(f.super.inodeTable, ref>>16, uint16(ref))
	if err != nil {
		return nil, err
	}
	b, err := c.take(16)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	kind, uid, gid := le.Uint16(b), le.Uint16(b[4:]), le.Uint16(b[6:])
	if int(uid) >= len(f.ids) || int(gid) >= len(f.ids) {
		return nil, corrupt("inode at %#x: owner %d:%d of %d", ref, uid, gid, len(f.ids))
	}
	in := &Inode{
		ID:     ref,
		Mode:   uint32(le.Uint16(b[2:])) & permMask,
		UID:    f.ids[uid],
		GID:    f.ids[gid],
		MTime:  int64(le.Uint32(b[8:])),
		Number: le.Uint32(b[12:]),
	}
	if err := f.decodeBody(in, kind, c); err != nil {
		return nil, err
	}
	return in, nil
}

// decodeBody reads the rest of an inode after its common header.
func (f *FS) decodeBody(in *Inode, kind uint16, c cursor) error {
	switch kind {
	case inodeDir, inodeDir + inodeExtended:
		return decodeDir(in, kind, c)
	case inodeRegular:
		return f.decodeRegular(in, c)
	case inodeRegular + inodeExtended:
		return f.decodeExtendedRegular(in, c)
	case inodeSymlink, inodeSymlink + inodeExtended:
		return decodeSymlink(in, c)
	case inodeBlock, inodeBlock + inodeExtended:
		return decodeDevice(in, TypeBlock, c)
	case inodeChar, inodeChar + inodeExtended:
		return decodeDevice(in, TypeChar, c)
	case inodeFIFO, inodeFIFO + inodeExtended:
		return decodeIPC(in, TypeFIFO, c)
	case inodeSocket, inodeSocket + inodeExtended:
		return decodeIPC(in, TypeSocket, c)
	}
	return corrupt("inode at %#x: type %d", in.ID, kind)
}

func decodeDir(in *Inode, kind uint16, c cursor) error {
	in.Mode |= TypeDir
	le := binary.LittleEndian
	if kind == inodeDir {
		b, err := c.take(16)
		if err != nil {
			return err
		}
		in.Nlink = le.Uint32(b[4:])
		in.dir = listing{block: le.Uint32(b), size: uint32(le.Uint16(b[8:])), offset: le.Uint16(b[10:])}
		return nil
	}
	b, err := c.take(24)
	if err != nil {
		return err
	}
	in.Nlink = le.Uint32(b)
	in.dir = listing{size: le.Uint32(b[4:]), block: le.Uint32(b[8:]), offset: le.Uint16(b[18:])}
	return nil
}

func (f *FS) decodeRegular(in *Inode, c cursor) error {
	b, err := c.take(16)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	in.Nlink = 1
	in.data = extent{start: uint64(le.Uint32(b)), fragment: le.Uint32(b[4:]), offset: le.Uint32(b[8:]), sizes: c.at}
	return f.setSize(in, uint64(le.Uint32(b[12:])))
}

func (f *FS) decodeExtendedRegular(in *Inode, c cursor) error {
	b, err := c.take(40)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	in.Nlink = le.Uint32(b[24:])
	in.data = extent{start: le.Uint64(b), fragment: le.Uint32(b[28:]), offset: le.Uint32(b[32:]), sizes: c.at}
	return f.setSize(in, le.Uint64(b[8:]))
}

// setSize sets the length of a regular file. Sparse blocks need no data, but the list of blocks needs four bytes
// for each. That bounds a file's length: a metadata block of 2048 list entries needs at least three bytes.
func (f *FS) setSize(in *Inode, size uint64) error {
	in.Mode |= TypeRegular
	blocks := size / uint64(f.BlockSize)
	if size > math.MaxInt64 || blocks/(metaSize/4)*3 > f.super.used {
		return corrupt("inode at %#x: file of %d bytes", in.ID, size)
	}
	in.Size = int64(size)
	return nil
}

func decodeSymlink(in *Inode, c cursor) error {
	in.Mode |= TypeLink
	b, err := c.take(8)
	if err != nil {
		return err
	}
	in.Nlink = binary.LittleEndian.Uint32(b)
	n := binary.LittleEndian.Uint32(b[4:])
	if n == 0 || n > maxTarget {
		return corrupt("inode at %#x: symlink target of %d bytes", in.ID, n)
	}
	target, err := c.take(int(n))
	if err != nil {
		return err
	}
	if bytes.IndexByte(target, 0) >= 0 {
		return corrupt("inode at %#x: NUL in symlink target", in.ID)
	}
	in.Target = string(target)
	return nil
}

func decodeDevice(in *Inode, mode uint32, c cursor) error {
	in.Mode |= mode
	b, err := c.take(8)
	if err != nil {
		return err
	}
	in.Nlink = binary.LittleEndian.Uint32(b)
	// new_encode_dev of include/linux/kdev_t.h: minor 0-7, major 8-19, minor 20-31.
	dev := binary.LittleEndian.Uint32(b[4:])
	in.Major = dev >> 8 & 0xfff
	in.Minor = dev&0xff | dev>>12&0xfff00
	return nil
}

func decodeIPC(in *Inode, mode uint32, c cursor) error {
	in.Mode |= mode
	b, err := c.take(4)
	if err != nil {
		return err
	}
	in.Nlink = binary.LittleEndian.Uint32(b)
	return nil
}
