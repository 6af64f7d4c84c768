package iso9660

import "strings"

// Maximum lengths in one field, which is shorter than 256 bytes.
const (
	nameChunk = 200
	linkChunk = 200
	linkField = 240
)

// field starts a system use field; its length byte is set by sealed.
func field(sig string, payload ...byte) []byte {
	return sealed(append([]byte{sig[0], sig[1], 0, 1}, payload...))
}

func sealed(f []byte) []byte {
	f[2] = byte(len(f))
	return f
}

// numbers encodes values in both byte orders after a signature.
func numbers(sig string, values ...uint32) []byte {
	f := make([]byte, 4+8*len(values))
	copy(f, sig)
	f[3] = 1
	for i, v := range values {
		both32(f[4+8*i:], v)
	}
	return sealed(f)
}

// posixFields are the attributes of every record: PX and TF.
func posixFields(n *node) [][]byte {
	const modifyAccessAttributes = 0x0e
	date := shortDate(n.file.MTime)
	times := field("TF", modifyAccessAttributes)
	times = append(append(append(times, date...), date...), date...)
	return [][]byte{
		numbers("PX", n.file.Mode, n.nlink, n.file.UID, n.file.GID),
		sealed(times),
	}
}

// selfFields are the fields of a directory's own record. The root's fields announce Rock Ridge.
func selfFields(n *node) [][]byte {
	if n.parent != n {
		return posixFields(n)
	}
	const (
		id   = "RRIP_1991A"
		desc = "THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS"
		src  = "PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  SEE PUBLISHER IDENTIFIER IN PRIMARY VOLUME DESCRIPTOR FOR CONTACT INFORMATION."
	)
	er := append([]byte{byte(len(id)), byte(len(desc)), byte(len(src)), 1}, id+desc+src...)
	fields := [][]byte{field("SP", 0xbe, 0xef, 0)}
	fields = append(fields, posixFields(n)...)
	return append(fields, field("ER", er...))
}

// entryFields are the fields of an entry in its directory.
func entryFields(n *node) [][]byte {
	fields := append(posixFields(n), nameFields(n.name)...)
	switch {
	case n.file.IsLink():
		fields = append(fields, linkFields(n.file.Link)...)
	case isDevice(&n.file):
		fields = append(fields, deviceField(n.file.Major, n.file.Minor))
	}
	return fields
}

// deviceField encodes a device number for most readers: 8:8 in the low half, like mkisofs. If that does not fit,
// the halves are separate, as Linux reads them. A minor over 255 of major 0 looks like an 8:8 number; Linux has no
// such device nodes.
func deviceField(major, minor uint32) []byte {
	if major > 0xff || minor > 0xff {
		return numbers("PN", major, minor)
	}
	return numbers("PN", 0, major<<8|minor)
}

func nameFields(name string) [][]byte {
	var fields [][]byte
	for len(name) > nameChunk {
		fields = append(fields, field("NM", append([]byte{1}, name[:nameChunk]...)...))
		name = name[nameChunk:]
	}
	return append(fields, field("NM", append([]byte{0}, name...)...))
}

// linkFields encodes a symlink's target as components. It drops doubled and trailing slashes, which have no meaning
// and cannot be expressed. (libarchive 3.6 loses a slash between two fields of a target over 240 bytes; Linux,
// isoinfo and xorriso do not.)
func linkFields(target string) [][]byte {
	fields := [][]byte{{'S', 'L', 0, 1, 0}}
	for _, c := range linkComponents(target) {
		last := len(fields) - 1
		if len(fields[last])+len(c) > linkField {
			fields[last][4] = slContinue
			fields = append(fields, []byte{'S', 'L', 0, 1, 0})
			last++
		}
		fields[last] = append(fields[last], c...)
	}
	for _, f := range fields {
		sealed(f)
	}
	return fields
}

func linkComponents(target string) [][]byte {
	var out [][]byte
	if strings.HasPrefix(target, "/") {
		out = append(out, []byte{slRoot, 0})
	}
	for _, part := range strings.Split(target, "/") {
		switch part {
		case "":
			continue
		case ".":
			out = append(out, []byte{slCurrent, 0})
			continue
		case "..":
			out = append(out, []byte{slParent, 0})
			continue
		}
		for len(part) > linkChunk {
			out = append(out, append([]byte{slContinue, linkChunk}, part[:linkChunk]...))
			part = part[linkChunk:]
		}
		out = append(out, append([]byte{0, byte(len(part))}, part...))
	}
	return out
}

// continuations collects the fields of a directory that do not fit into their records (SUSP 5.1). They follow the
// directory, from sector base.
type continuations struct {
	base  uint32
	bytes []byte
}

// ceSize is the length of the field that points to a continuation area.
const ceSize = 28

// record appends fields to a base record: directly until it is full, the others by reference.
func (c *continuations) record(r []byte, fields [][]byte) []byte {
	total := len(r)
	for _, f := range fields {
		total += len(f)
	}
	room := maxRecord - len(r)
	if total > maxRecord {
		room -= ceSize
	}
	for len(fields) > 0 && len(fields[0]) <= room {
		r = append(r, fields[0]...)
		room -= len(fields[0])
		fields = fields[1:]
	}
	if len(fields) > 0 {
		r = append(r, c.add(fields)...)
	}
	if len(r)%2 == 1 {
		r = append(r, 0)
	}
	r[0] = byte(len(r))
	return r
}

// add stores fields in areas that do not cross a sector, as Linux requires. Each area points to the next. add
// returns the CE field for the first.
func (c *continuations) add(fields [][]byte) []byte {
	size := 0
	n := 0
	for n < len(fields) && size+len(fields[n])+ceSize <= sectorSize {
		size += len(fields[n])
		n++
	}
	rest := fields[n:]
	if len(rest) > 0 {
		size += ceSize
	}
	if len(c.bytes)%sectorSize+size > sectorSize {
		c.bytes = padded(c.bytes)
	}
	at := len(c.bytes)
	for _, f := range fields[:n] {
		c.bytes = append(c.bytes, f...)
	}
	if len(rest) > 0 {
		hole := len(c.bytes)
		c.bytes = append(c.bytes, make([]byte, ceSize)...)
		ce := c.add(rest)
		copy(c.bytes[hole:], ce)
	}
	return numbers("CE", c.base+uint32(at/sectorSize), uint32(at%sectorSize), uint32(size))
}
