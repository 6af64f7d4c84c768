// Package vfat makes small FAT12 file systems from given files, such as the EFI boot image of an ISO. The same
// files give the same bytes. Names are DOS names: at most 8.3 upper-case characters.
package vfat

import (
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strings"
)

// The format (Microsoft's "FAT: General Overview of On-Disk Format" 1.03).
const (
	sector     = 512
	perCluster = 8
	cluster    = sector * perCluster
	rootFiles  = 128
	entry      = 32
	last       = 0xfff
	maxCluster = 4084 // more clusters would make it FAT16
	isDir      = 0x10
	isFile     = 0x20
	date       = 40<<9 | 5<<5 | 9 // of every entry: 2020-05-09
)

// Image returns a file system with the given files (path to content) and spare bytes of free space. It fails if a
// name is not a DOS name or the content is too large for FAT12.
func Image(files map[string][]byte, spare int) ([]byte, error) {
	w := &writer{}
	root := w.entries(files, "", 0)
	if w.err != nil {
		return nil, w.err
	}
	if len(root) > rootFiles*entry {
		return nil, fmt.Errorf("make FAT: more than %d files in the root", rootFiles)
	}
	return w.image(root, spare)
}

type writer struct {
	fat  []uint16 // of cluster 2 and later
	data []byte
	err  error
}

// entries stores the content of dir, whose first cluster is at, and returns dir's entries.
func (w *writer) entries(files map[string][]byte, dir string, at int) []byte {
	var out []byte
	for _, name := range children(files, dir) {
		full := path.Join(dir, name)
		if content, ok := files[full]; ok {
			out = append(out, w.entry(name, isFile, w.store(content), len(content))...)
			continue
		}
		out = append(out, w.entry(name, isDir, w.folder(files, full, at), 0)...)
	}
	return out
}

// folder stores a folder below the folder at parent, and returns its first cluster. It begins with itself and its
// parent, so it is placed before its content; the root counts as 0.
func (w *writer) folder(files map[string][]byte, dir string, parent int) int {
	start := len(w.data)
	at := w.store(make([]byte, (2+len(children(files, dir)))*entry))
	dots := append(w.entry(".", isDir, at, 0), w.entry("..", isDir, parent, 0)...)
	content := append(dots, w.entries(files, dir, at)...) // makes w.data longer
	copy(w.data[start:], content)
	return at
}

func children(files map[string][]byte, dir string) []string {
	var out []string
	for name := range files {
		if dir != "" {
			rest, ok := strings.CutPrefix(name, dir+"/")
			if !ok {
				continue
			}
			name = rest
		}
		first, _, _ := strings.Cut(name, "/")
		out = append(out, first)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// store writes content into clusters and returns the number of the first.
func (w *writer) store(content []byte) int {
	if len(content) == 0 {
		return 0
	}
	first := 2 + len(w.fat)
	n := (len(content) + cluster - 1) / cluster
	for i := range n {
		link := uint16(first + i + 1)
		if i == n-1 {
			link = last
		}
		w.fat = append(w.fat, link)
	}
	w.data = append(w.data, content...)
	w.data = append(w.data, make([]byte, n*cluster-len(content))...)
	return first
}

func (w *writer) entry(name string, attributes byte, first, size int) []byte {
	e := make([]byte, entry)
	base, ext, _ := strings.Cut(name, ".")
	if strings.Trim(name, ".") == "" {
		base, ext = name, ""
	}
	if len(base) > 8 || len(ext) > 3 || strings.ToUpper(name) != name {
		w.err = fmt.Errorf("make FAT: %q is not a name of DOS", name)
		return e
	}
	copy(e, fmt.Sprintf("%-8s%-3s", base, ext))
	e[11] = attributes
	binary.LittleEndian.PutUint16(e[16:], date)
	binary.LittleEndian.PutUint16(e[18:], date)
	binary.LittleEndian.PutUint16(e[24:], date)
	binary.LittleEndian.PutUint16(e[26:], uint16(first))
	binary.LittleEndian.PutUint32(e[28:], uint32(size))
	return e
}

func (w *writer) image(root []byte, spare int) ([]byte, error) {
	clusters := len(w.fat) + (spare+cluster-1)/cluster
	if clusters > maxCluster {
		return nil, fmt.Errorf("make FAT: %d clusters, FAT12 has %d", clusters, maxCluster)
	}
	table := make([]byte, (((clusters+2)*3+1)/2+sector-1)/sector*sector)
	for i, v := range append([]uint16{0xff8, last}, w.fat...) {
		at, word := i*3/2, v
		if i%2 == 1 {
			table[at] |= byte(word << 4)
			table[at+1] = byte(word >> 4)
		} else {
			table[at] = byte(word)
			table[at+1] |= byte(word >> 8)
		}
	}
	out := boot(clusters, len(table)/sector)
	out = append(append(out, table...), table...)
	out = append(append(out, root...), make([]byte, rootFiles*entry-len(root))...)
	out = append(out, w.data...)
	return append(out, make([]byte, clusters*cluster-len(w.data))...), nil
}

// boot is the first sector: a BIOS parameter block without a program.
func boot(clusters, tableSectors int) []byte {
	b := make([]byte, sector)
	put := binary.LittleEndian.PutUint16
	copy(b, "\xeb\x3c\x90mkmirror")
	put(b[11:], sector)
	b[13] = perCluster
	put(b[14:], 1) // reserved
	b[16] = 2      // tables
	put(b[17:], rootFiles)
	put(b[19:], uint16(1+2*tableSectors+rootFiles*entry/sector+clusters*perCluster))
	b[21] = 0xf8
	put(b[22:], uint16(tableSectors))
	put(b[24:], 32) // sectors of a track, heads: unused
	put(b[26:], 64)
	b[36], b[38] = 0x80, 0x29
	copy(b[39:], "\x12\x05\x09\x20NO NAME    FAT12   ")
	b[510], b[511] = 0x55, 0xaa
	return b
}
