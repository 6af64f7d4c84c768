// Package fat reads and replaces files of a FAT12, FAT16 or FAT32 file system in memory, such as the EFI boot image
// of an ISO. A replaced file keeps its directory entry and times: no clock is used, so the same edit of the same
// bytes gives the same bytes.
//
// It does not create files, folders or file systems: its purpose is to give a boot menu inside an EFI image the
// same text as the outer menu. The format is that of Microsoft's "FAT: General Overview of On-Disk Format" 1.03;
// the width of a table is chosen as in UEFI firmware and Linux.
//
// Start reading at [Open] and [FS.Replace].
package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Errors of this package.
var (
	// ErrNotFAT is returned for an input without a FAT file system.
	ErrNotFAT = errors.New("not a FAT file system")
	// ErrCorrupt is returned for inconsistent structures of a file system.
	ErrCorrupt = errors.New("corrupt FAT file system")
	// ErrFull is returned if a file system has no room for the new content.
	ErrFull = errors.New("the FAT file system is full")
	// ErrNotFound is returned for a file that does not exist.
	ErrNotFound = errors.New("no such file in the FAT file system")
)

func corruptf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// FS is a file system in the bytes passed to [Open].
type FS struct {
	b        []byte
	bits     int   // 12, 16 or 32
	cluster  int   // bytes
	tables   []int // byte offsets of the copies of the table
	tableLen int   // bytes of one copy
	root     int   // FAT12, FAT16: byte offset of the root folder; FAT32: its first cluster
	rootLen  int   // bytes of a FAT12 or FAT16 root folder
	data     int   // byte offset of cluster 2
	clusters int   // numbered from 2
	info     int   // FAT32: byte offset of the FSInfo sector; 0 for none
}

// Limits on the values of a boot sector.
const (
	minSector, maxSector = 512, 4096
	bootSector           = 512
	maxTables            = 4
)

// Open returns the file system that starts with b's first byte. It keeps b and changes it in place.
func Open(b []byte) (*FS, error) {
	if len(b) < bootSector || b[510] != 0x55 || b[511] != 0xaa {
		return nil, ErrNotFAT
	}
	sector, perCluster := le16(b[11:]), int(b[13])
	if !powerOfTwo(sector) || sector < minSector || sector > maxSector || !powerOfTwo(perCluster) {
		return nil, ErrNotFAT
	}
	reserved, tables, tableSectors := le16(b[14:]), int(b[16]), le16(b[22:])
	wide := tableSectors == 0 // FAT32 has only the 32-bit field
	if wide {
		tableSectors = le32(b[36:])
	}
	total := le16(b[19:])
	if total == 0 {
		total = le32(b[32:])
	}
	if reserved == 0 || tables == 0 || tables > maxTables || tableSectors == 0 || tableSectors > len(b)/sector || total == 0 {
		return nil, ErrNotFAT
	}
	f := &FS{b: b, cluster: sector * perCluster, tableLen: tableSectors * sector}
	for i := range tables {
		f.tables = append(f.tables, (reserved+i*tableSectors)*sector)
	}
	f.root, f.rootLen = (reserved+tables*tableSectors)*sector, le16(b[17:])*entrySize
	f.data = f.root + (f.rootLen+sector-1)/sector*sector
	if f.data > len(b) {
		return nil, corruptf("%d bytes, its tables alone take %d", len(b), f.data)
	}
	f.clusters = min(total-f.data/sector, (len(b)-f.data)/sector) / perCluster
	return f, f.width(wide, sector)
}

// width determines the width of the table's entries, and checks that the table has an entry for each cluster.
func (f *FS) width(wide bool, sector int) error {
	const narrow = 4085 // fewer clusters: FAT12
	switch {
	case wide:
		f.bits, f.rootLen = 32, 0
		f.root = le32(f.b[44:])
		if at := le16(f.b[48:]) * sector; at > 0 && at+bootSector <= len(f.b) && le32(f.b[at:]) == infoLead && le32(f.b[at+484:]) == infoMagic {
			f.info = at
		}
	case f.clusters < narrow:
		f.bits = 12
	default:
		f.bits = 16
	}
	if f.clusters <= 0 {
		return corruptf("it has no clusters")
	}
	if room := f.tableLen*8/f.bits - 2; f.clusters > room {
		f.clusters = room // clusters without an entry are unusable
	}
	return nil
}

// FSInfo: its two signatures, and the offset of the count of free clusters.
const (
	infoLead, infoMagic = 0x41615252, 0x61417272
	infoFree            = 488
	infoUnknown         = 0xffffffff
)

// next returns the table's entry of a cluster.
func (f *FS) next(n int) int { return f.entry(f.b[f.tables[0]:][:f.tableLen], n) }

func (f *FS) entry(table []byte, n int) int {
	switch f.bits {
	case 12:
		v := le16(table[n+n/2:])
		if n%2 == 1 {
			return v >> 4
		}
		return v & 0xfff
	case 16:
		return le16(table[2*n:])
	}
	return int(u32(table[4*n:]) & 0x0fffffff)
}

// link sets the entry of a cluster in every copy of the table.
func (f *FS) link(n, v int) {
	for _, at := range f.tables {
		t := f.b[at:][:f.tableLen]
		switch f.bits {
		case 12:
			p := t[n+n/2:]
			if n%2 == 1 {
				v12 := uint16(le16(p)&0x00f | v<<4&0xffff)
				binary.LittleEndian.PutUint16(p, v12)
				continue
			}
			binary.LittleEndian.PutUint16(p, uint16(le16(p)&0xf000|v&0xfff))
		case 16:
			binary.LittleEndian.PutUint16(t[2*n:], uint16(v))
		default:
			p := t[4*n:]
			binary.LittleEndian.PutUint32(p, u32(p)&0xf0000000|uint32(v)&0x0fffffff)
		}
	}
}

// end is the mark of a chain's last cluster; every value from the first bad-cluster mark up ends a chain.
func (f *FS) end() int { return 1<<min(f.bits, 28) - 1 }

// chain lists a file's clusters from first on.
func (f *FS) chain(first int) ([]int, error) {
	var out []int
	for n := first; n < f.end()-7; n = f.next(n) {
		if n < 2 || n-2 >= f.clusters {
			return nil, corruptf("a file leads to cluster %d of %d", n, f.clusters)
		}
		if out = append(out, n); len(out) > f.clusters {
			return nil, corruptf("a file's clusters run in a circle")
		}
	}
	return out, nil
}

// bytesOf returns a cluster's part of the image.
func (f *FS) bytesOf(n int) []byte { return f.b[f.data+(n-2)*f.cluster:][:f.cluster] }

func powerOfTwo(n int) bool { return n > 0 && n&(n-1) == 0 }

func le16(b []byte) int { return int(binary.LittleEndian.Uint16(b)) }

func u32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }

// le32 reads a number that is compared with the size of an image in memory. It caps numbers beyond the int of a
// 32-bit machine, which are still too large.
func le32(b []byte) int { return int(min(u32(b), math.MaxInt32)) }
