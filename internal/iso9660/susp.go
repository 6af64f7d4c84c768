package iso9660

import (
	"strings"

	"mkbuild/internal/overlay"
)

const (
	maxHops     = 32       // continuation areas of one record; Linux stops there too
	maxContinue = 32 << 10 // one continuation area
	maxName     = 255      // NAME_MAX
)

// attributes is the content of a directory record's system use area (IEEE P1282).
type attributes struct {
	hasPX             bool
	mode, uid, gid    uint32
	hasName           bool
	name              string
	link              linkParser
	major, minor      uint32
	hasTime           bool
	mtime             int64
	relocated         uint32 // CL: position of a relocated directory
	isRelocated       bool   // RE: this entry is shown elsewhere
	hasRR, compressed bool
	hasSP             bool
	skip              int
}

// parse reads a system use area and its continuation areas.
func (a *attributes) parse(s *source, area []byte) error {
	for hop := 0; ; hop++ {
		if hop > maxHops {
			return corruptf("continuation areas without end")
		}
		next, err := a.area(s, area)
		if err != nil || next == nil {
			return err
		}
		area = next
	}
}

// area reads the fields of one area and returns its continuation, if any.
func (a *attributes) area(s *source, b []byte) (next []byte, err error) {
	for len(b) >= 4 {
		n := int(b[2])
		if n < 4 || n > len(b) {
			break // padding, or another system's data
		}
		field := b[:n]
		b = b[n:]
		switch string(field[:2]) {
		case "ST":
			b = nil
		case "CE":
			if next, err = continuation(s, field); err != nil {
				return nil, err
			}
		default:
			if err := a.field(field); err != nil {
				return nil, err
			}
		}
	}
	return next, nil
}

// continuation reads the area that a CE field points to (SUSP 5.1).
func continuation(s *source, field []byte) ([]byte, error) {
	if len(field) < 28 {
		return nil, corruptf("short CE field")
	}
	n := le32(field[20:])
	if n == 0 || n > maxContinue {
		return nil, corruptf("continuation area of %d bytes", n)
	}
	return s.meta(le32(field[4:]), int64(le32(field[12:])), int64(n))
}

func (a *attributes) field(f []byte) error {
	switch string(f[:2]) {
	case "SP":
		if len(f) >= 7 && f[4] == 0xbe && f[5] == 0xef {
			a.hasSP, a.skip = true, int(f[6])
		}
	case "RR", "ER":
		a.hasRR = true
	case "PX":
		if len(f) >= 36 {
			a.hasPX, a.hasRR = true, true
			a.mode, a.uid, a.gid = le32(f[4:]), le32(f[20:]), le32(f[28:])
		}
	case "PN":
		if len(f) >= 20 {
			a.major, a.minor = deviceNumber(le32(f[4:]), le32(f[12:]))
		}
	case "NM":
		return a.addName(f)
	case "SL":
		if len(f) >= 5 {
			return a.link.add(f[5:])
		}
	case "TF":
		a.addTimes(f)
	case "CL":
		if len(f) >= 12 {
			a.relocated = le32(f[4:])
		}
	case "RE":
		a.isRelocated = true
	case "ZF":
		a.compressed = true
	}
	return nil
}

// deviceNumber splits a PN field. Rock Ridge leaves the halves to the system. As in Linux (fs/isofs/rock.c), an
// empty high half means the old 8:8 encoding in the low half.
func deviceNumber(high, low uint32) (major, minor uint32) {
	if high == 0 && low&^0xff != 0 {
		return low >> 8, low & 0xff
	}
	return high, low
}

// addName appends an NM field; long names are split over several fields (Rock Ridge 4.1.4).
func (a *attributes) addName(f []byte) error {
	if len(f) < 5 || f[4]&6 != 0 { // the names of "." and ".."
		return nil
	}
	a.hasName = true
	a.name += string(f[5:])
	if len(a.name) > maxName {
		return corruptf("name of more than %d bytes", maxName)
	}
	return nil
}

// addTimes reads the modification time of a TF field (Rock Ridge 4.1.6).
func (a *attributes) addTimes(f []byte) {
	const created, modified, long = 1, 2, 0x80
	if len(f) < 5 || f[4]&modified == 0 {
		return
	}
	width := 7
	if f[4]&long != 0 {
		width = 17
	}
	off := 5
	if f[4]&created != 0 {
		off += width
	}
	if off+width > len(f) {
		return
	}
	a.hasTime = true
	if width == 7 {
		a.mtime = parseShortDate(f[off:])
	} else {
		a.mtime, _ = parseLongDate(f[off:])
	}
}

// apply sets the Rock Ridge attributes of an entry.
func (a *attributes) apply(f *overlay.Entry) error {
	if a.hasTime {
		f.MTime = a.mtime
	}
	if !a.hasPX {
		return nil
	}
	f.Mode, f.UID, f.GID = a.mode&0o177777, a.uid, a.gid
	if a.relocated != 0 { // the placeholder is a file
		f.Mode = f.Perm() | overlay.TypeDir
	}
	if f.IsLink() {
		f.Link = a.link.target.String()
		if f.Link == "" || strings.IndexByte(f.Link, 0) >= 0 {
			return corruptf("%q: symlink to %q", f.Path, f.Link)
		}
	}
	if isDevice(f) {
		f.Major, f.Minor = a.major, a.minor
	}
	return nil
}

func isDevice(e *overlay.Entry) bool {
	t := e.Mode & overlay.TypeMask
	return t == overlay.TypeBlock || t == overlay.TypeChar
}

// linkParser joins a symlink's target from the components of SL fields (Rock Ridge 4.1.3). A component, and the
// whole target, may continue in the next field.
type linkParser struct {
	target  strings.Builder
	partial bool // the last component continues
}

// Flags of a component.
const (
	slContinue = 1
	slCurrent  = 2
	slParent   = 4
	slRoot     = 8
)

func (l *linkParser) add(b []byte) error {
	for len(b) >= 2 {
		flags, n := b[0], int(b[1])
		if n+2 > len(b) {
			return corruptf("symlink component beyond its field")
		}
		l.component(flags, string(b[2:2+n]))
		if l.target.Len() > maxPath {
			return corruptf("symlink target of more than %d bytes", maxPath)
		}
		b = b[2+n:]
	}
	return nil
}

func (l *linkParser) component(flags byte, text string) {
	switch {
	case flags&slRoot != 0:
		l.target.Reset()
		l.target.WriteByte('/')
		return
	case flags&slCurrent != 0:
		text = "."
	case flags&slParent != 0:
		text = ".."
	}
	if t := l.target.String(); t != "" && !l.partial && !strings.HasSuffix(t, "/") {
		l.target.WriteByte('/')
	}
	l.target.WriteString(text)
	l.partial = flags&slContinue != 0
}
