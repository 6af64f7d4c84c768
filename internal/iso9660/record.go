package iso9660

import (
	"encoding/binary"
	"unicode/utf16"
)

// extent is a run of bytes that starts at a sector.
type extent struct {
	lba  uint32
	size int64
}

// record is a directory record (ECMA-119 9.1).
type record struct {
	extent
	date  []byte
	flags byte
	id    string
	use   []byte // system use area
}

// Flags of a directory record.
const (
	flagDir        = 2
	flagAssociated = 4
	flagMore       = 0x80 // the next record continues the file
)

// isSelf reports whether r describes the directory itself or its parent.
func (r *record) isSelf() bool { return r.id == "\x00" || r.id == "\x01" }

// parseRecord decodes the record at off and returns the offset of the next. ok is false at the padding before a
// sector's end, which no record crosses.
func parseRecord(b []byte, off int) (r record, next int, ok bool, err error) {
	n := int(b[off])
	if n == 0 {
		return r, (off/sectorSize + 1) * sectorSize, false, nil
	}
	if n < 34 || off+n > len(b) || off%sectorSize+n > sectorSize {
		return r, 0, false, corruptf("directory record of %d bytes", n)
	}
	d := b[off : off+n]
	idLen := int(d[32])
	if 33+idLen > n || idLen == 0 {
		return r, 0, false, corruptf("identifier of %d bytes in a record of %d", idLen, n)
	}
	if d[26] != 0 || d[27] != 0 {
		return r, 0, false, corruptf("interleaved files are not supported")
	}
	// d[1] is the length of an extended attribute record before the data.
	r.extent = extent{le32(d[2:]) + uint32(d[1]), int64(le32(d[10:]))}
	r.date, r.flags, r.id = d[18:25], d[25], string(d[33:33+idLen])
	r.use = d[min(n, 33+idLen+(idLen+1)%2):]
	return r, off + n, true, nil
}

// decodeUCS2 decodes a Joliet identifier.
func decodeUCS2(s string) string {
	u := make([]uint16, len(s)/2)
	for i := range u {
		u[i] = binary.BigEndian.Uint16([]byte(s[2*i:]))
	}
	return string(utf16.Decode(u))
}

// maxRecord is the longest directory record: its length is an even byte.
const maxRecord = 254

// baseRecord encodes a directory record without a system use area (ECMA-119 9.1).
func baseRecord(id []byte, lba, size uint32, mtime int64, dir bool) []byte {
	r := make([]byte, 33+len(id)+(len(id)+1)%2)
	both32(r[2:], lba)
	both32(r[10:], size)
	copy(r[18:], shortDate(mtime))
	if dir {
		r[25] = flagDir
	}
	both16(r[28:], 1)
	r[32] = byte(len(id))
	copy(r[33:], id)
	r[0] = byte(len(r))
	return r
}

// dirBuilder packs records into sectors, which no record crosses.
type dirBuilder struct{ bytes []byte }

func (d *dirBuilder) add(r []byte) {
	if used := len(d.bytes) % sectorSize; used+len(r) > sectorSize {
		d.bytes = padded(d.bytes)
	}
	d.bytes = append(d.bytes, r...)
}
