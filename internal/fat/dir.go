package fat

import (
	"fmt"
	"strings"
	"unicode/utf16"
)

// Layout of a directory entry.
const (
	entrySize   = 32
	attrVolume  = 0x08
	attrFolder  = 0x10
	attrLong    = 0x0f
	markEnd     = 0x00
	markDeleted = 0xe5
	longLast    = 0x40
	longUnits   = 13 // UTF-16 units in one long-name entry
)

// Limits of a walk: an EFI image has a few dozen files.
const (
	maxDepth   = 16
	maxEntries = 20_000
)

// file is an entry of the tree.
type file struct {
	path   string
	at     int // byte offset of its entry
	folder bool
	first  int // cluster; 0 for an empty file
	size   int
}

// Files lists the slash-separated paths of all files, outer folders first. Names have the file system's spelling;
// [FS.ReadFile] ignores case.
func (f *FS) Files() ([]string, error) {
	all, err := f.walk()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, x := range all {
		if !x.folder {
			out = append(out, x.path)
		}
	}
	return out, nil
}

// walk lists all entries, folders before their content.
func (f *FS) walk() ([]file, error) {
	todo := []file{{folder: true, first: f.root}}
	var out []file
	for i := 0; i < len(todo); i++ {
		found, err := f.list(&todo[i], i == 0)
		if err != nil {
			return nil, err
		}
		for _, x := range found {
			if out = append(out, x); len(out) > maxEntries {
				return nil, corruptf("more than %d files", maxEntries)
			}
			if x.folder {
				if strings.Count(x.path, "/") >= maxDepth {
					return nil, corruptf("folders nested deeper than %d", maxDepth)
				}
				todo = append(todo, x)
			}
		}
	}
	return out, nil
}

// list reads one folder.
func (f *FS) list(dir *file, root bool) ([]file, error) {
	places, err := f.places(dir, root)
	if err != nil {
		return nil, err
	}
	var out []file
	var long longName
	for _, at := range places {
		e := f.b[at:][:entrySize]
		switch {
		case e[0] == markEnd:
			return out, nil
		case e[0] == markDeleted:
			long = longName{}
			continue
		case e[11]&0x3f == attrLong:
			long.take(e)
			continue
		case e[11]&attrVolume != 0 || e[0] == '.':
			long = longName{}
			continue
		}
		name := long.for83(e)
		long = longName{}
		x := file{path: strings.TrimPrefix(dir.path+"/"+name, "/"), at: at, folder: e[11]&attrFolder != 0, first: le16(e[26:]), size: le32(e[28:])}
		if f.bits == 32 {
			x.first |= le16(e[20:]) << 16
		}
		out = append(out, x)
	}
	return out, nil
}

// places lists the byte offsets of a folder's entries.
func (f *FS) places(dir *file, root bool) ([]int, error) {
	var out []int
	if root && f.bits != 32 {
		for at := f.root; at < f.root+f.rootLen; at += entrySize {
			out = append(out, at)
		}
		return out, nil
	}
	clusters, err := f.chain(dir.first)
	if err != nil {
		return nil, fmt.Errorf("folder /%s: %w", dir.path, err)
	}
	for _, n := range clusters {
		start := f.data + (n-2)*f.cluster
		for at := start; at < start+f.cluster; at += entrySize {
			if out = append(out, at); len(out) > maxEntries {
				return nil, corruptf("folder /%s has more than %d entries", dir.path, maxEntries)
			}
		}
	}
	return out, nil
}

// longName collects the entries of a long name, which are stored last part first.
type longName struct {
	units []uint16
	sum   byte
	left  int // missing parts
}

// take adds one part; a part out of order invalidates the name.
func (l *longName) take(e []byte) {
	n := int(e[0] &^ longLast)
	switch {
	case e[0]&longLast != 0 && n > 0 && n <= 20:
		*l = longName{make([]uint16, n*longUnits), e[13], n}
	case n == 0 || n != l.left || e[13] != l.sum:
		*l = longName{}
		return
	}
	l.left = n - 1
	part := l.units[l.left*longUnits:]
	for i, at := range []int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30} {
		part[i] = uint16(le16(e[at:]))
	}
}

// for83 returns the long name of a short entry, or the short name if it has no valid long name.
func (l *longName) for83(e []byte) string {
	if len(l.units) == 0 || l.left != 0 || l.sum != checksum(e[:11]) {
		return shortName(e)
	}
	units := l.units
	for i, u := range units {
		if u == 0 {
			units = units[:i]
			break
		}
	}
	if name := string(utf16.Decode(units)); name != "" && !strings.ContainsAny(name, "/\\\x00") {
		return name
	}
	return shortName(e)
}

// checksum links a long name to its short name.
func checksum(short []byte) (sum byte) {
	for _, c := range short {
		sum = sum>>1 | sum<<7
		sum += c
	}
	return sum
}

// shortName returns an 8.3 name; two bits select the halves that Windows and Linux show in lower case.
func shortName(e []byte) string {
	const lowerBase, lowerExt = 0x08, 0x10
	base, ext := strings.TrimRight(string(e[:8]), " "), strings.TrimRight(string(e[8:11]), " ")
	if e[12]&lowerBase != 0 {
		base = strings.ToLower(base)
	}
	if e[12]&lowerExt != 0 {
		ext = strings.ToLower(ext)
	}
	if ext != "" {
		base += "." + ext
	}
	return strings.ToValidUTF8(strings.ReplaceAll(base, "/", "_"), "_")
}
