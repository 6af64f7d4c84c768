package iso9660

import (
	"bytes"
	"fmt"
	"path"
	"sort"
	"strings"
	"unicode/utf16"

	"mkbuild/internal/overlay"
)

// Lengths of identifiers.
const (
	maxISOFile = 30 // name and extension together (ECMA-119 7.5.1); mkisofs -l
	maxISODir  = 31 // ECMA-119 7.6.3
	maxISOExt  = 8  // longest extension to keep in a name that is too long
	maxJoliet  = 64 // UCS-2 characters (Joliet, "Relaxed Limits on Name Length")
)

// nameFiles sets both identifiers of every file and sorts the directories by them.
func nameFiles(l *layout) {
	l.root.iso, l.root.joliet = []byte{0}, []byte{0}
	for _, n := range l.nodes {
		// Sort by name first, so that the numbering of equal names depends only on the names.
		sort.Slice(n.kids, func(a, b int) bool { return n.kids[a].name < n.kids[b].name })
		nameJoliet(n)
		nameISO(n.kids)
	}
}

// PlainNames maps the paths for a boot loader without ISO 9660 extensions to the paths in the tree, for an image
// written by this package. Versions and the dot of an empty extension are omitted.
func PlainNames(files *overlay.Tree) (map[string]string, error) {
	l := &layout{img: &Image{Files: *files}}
	if err := l.buildTree(); err != nil {
		return nil, err
	}
	nameFiles(l)
	out := make(map[string]string, len(l.nodes))
	for name, n := range l.nodes {
		if n.parent != n {
			out[n.plainPath()] = name
		}
	}
	return out, nil
}

func (n *node) plainPath() string {
	if n.parent == n {
		return ""
	}
	id, _, _ := strings.Cut(string(n.iso), ";")
	return path.Join(n.parent.plainPath(), strings.TrimSuffix(id, "."))
}

// isoName is a plain identifier in parts.
type isoName struct{ base, ext string }

// newISOName maps a name to the characters of ECMA-119 7.4.1 like mkisofs -l: upper case, split at the last dot, an
// underscore for other characters. A boot loader that reads plain names (isolinux 3.82 and 4.05) then finds
// "boot/core.gz" by ignoring case.
func newISOName(name string, dir bool) isoName {
	n := isoName{base: name}
	limit := maxISOFile
	if dir {
		limit = maxISODir
	} else if i := strings.LastIndexByte(name, '.'); i > 0 {
		n.base, n.ext = name[:i], name[i+1:]
	}
	n.base, n.ext = strings.Map(dChar, n.base), strings.Map(dChar, n.ext)
	if len(n.base)+len(n.ext) > limit {
		n.ext = n.ext[:min(len(n.ext), max(maxISOExt, limit-len(n.base)))]
		n.base = n.base[:min(len(n.base), limit-len(n.ext))]
	}
	return n
}

// dChar maps a character to the d-characters.
func dChar(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z':
		return r - 'a' + 'A'
	case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return r
	}
	return '_'
}

// numbered returns n with a number after its base, cut to the length of a file's identifier.
func (n isoName) numbered(i int) isoName {
	suffix := fmt.Sprintf("%03d", i)
	n.base = n.base[:max(0, min(len(n.base), maxISOFile-len(n.ext)-len(suffix)))] + suffix
	return n
}

// identifier joins the parts. Files have a dot and version 1 (ECMA-119 7.5.1).
func (n isoName) identifier(dir bool) []byte {
	if dir {
		return []byte(n.base)
	}
	return []byte(n.base + "." + n.ext + ";1")
}

// nameISO names the entries of one directory and sorts them by base, then by extension, the shorter padded with
// spaces (ECMA-119 9.3).
func nameISO(kids []*node) {
	taken := make(map[isoName]bool)
	numbers := make(map[isoName]int)
	names := make(map[*node]isoName, len(kids))
	for _, k := range kids {
		plain := newISOName(k.name, k.file.IsDir())
		name := plain
		for taken[name] {
			name = plain.numbered(numbers[plain])
			numbers[plain]++
		}
		taken[name] = true
		names[k] = name
		k.iso = name.identifier(k.file.IsDir())
	}
	sort.Slice(kids, func(a, b int) bool {
		x, y := names[kids[a]], names[kids[b]]
		if x.base != y.base {
			return x.base < y.base
		}
		return x.ext < y.ext
	})
}

// nameJoliet names the entries that Joliet supports: files and directories.
func nameJoliet(d *node) {
	taken := make(map[string]bool)
	numbers := make(map[string]int)
	for _, k := range d.kids {
		if !k.file.IsDir() && !k.file.IsRegular() {
			continue
		}
		plain := cutJoliet(jolietUnits(k.name), "")
		name := plain
		for taken[string(name)] {
			name = cutJoliet(jolietUnits(k.name), fmt.Sprintf("_%03d", numbers[string(plain)]))
			numbers[string(plain)]++
		}
		taken[string(name)] = true
		k.joliet = name
		d.jkids = append(d.jkids, k)
	}
	sort.Slice(d.jkids, func(a, b int) bool { return bytes.Compare(d.jkids[a].joliet, d.jkids[b].joliet) < 0 })
}

// jolietUnits encodes a name; forbidden characters become underscores.
func jolietUnits(name string) []uint16 {
	return utf16.Encode([]rune(strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`*/:;?\`, r) {
			return '_'
		}
		return r
	}, name)))
}

// cutJoliet fits a name with a suffix into 64 characters. It cuts and adds the suffix before the extension, so that
// a long "….tcz.md5.txt" stays a text file.
func cutJoliet(units []uint16, suffix string) []byte {
	ext := units[len(units):]
	for i := len(units) - 1; i > 0 && len(units)-i <= 16; i-- {
		if units[i] == '.' {
			ext = units[i:]
			break
		}
	}
	base := units[:len(units)-len(ext)]
	if room := maxJoliet - len(ext) - len(suffix); len(base) > room {
		base = base[:room]
		if utf16.IsSurrogate(rune(base[room-1])) && base[room-1] < 0xdc00 {
			base = base[:room-1] // half of a pair
		}
	}
	out := bigEndian(base)
	out = append(out, bigEndian(utf16.Encode([]rune(suffix)))...)
	return append(out, bigEndian(ext)...)
}

// bigEndian returns UCS-2 text in Joliet's byte order.
func bigEndian(units []uint16) []byte {
	out := make([]byte, 0, 2*len(units))
	for _, u := range units {
		out = append(out, byte(u>>8), byte(u))
	}
	return out
}
