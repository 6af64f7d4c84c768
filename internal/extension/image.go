package extension

import (
	"bufio"
	"bytes"
	"path"
	"strings"

	"mkbuild/internal/overlay"
)

// maxLibrary bounds a library of an image that is looked into for its symbol versions.
const maxLibrary = 64 << 20

// Image is the root file system that an extension will run in.
type Image struct {
	Name  string // for people: the ISO's name
	Arch  string // "x86" or "x86_64"
	tree  *overlay.Tree
	dirs  []string            // where the dynamic loader looks
	known map[string][]string // symbol versions by library, once read
}

// NewImage describes the image whose initrd holds tree.
func NewImage(name, arch string, tree *overlay.Tree) *Image {
	im := &Image{Name: name, Arch: arch, tree: tree, known: map[string][]string{}}
	im.dirs = []string{"lib", "lib64", "usr/lib", "usr/lib64", "usr/local/lib"}
	if e, err := tree.Lookup("etc/ld.so.conf"); err == nil && e.IsRegular() {
		b, _ := e.Content(maxText) // unreadable: the usual directories have to do
		for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
			if dir := strings.TrimSpace(lines.Text()); path.IsAbs(dir) {
				im.dirs = append(im.dirs, dir)
			}
		}
	}
	return im
}

// has reports whether the path leads to a regular file, through symlinks too.
func (im *Image) has(name string) bool {
	e, err := im.tree.Lookup(name)
	return err == nil && e.IsRegular()
}

// hasCommand reports whether the image's default PATH has a program.
func (im *Image) hasCommand(name string) bool {
	for _, dir := range []string{"usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"} {
		if im.has(path.Join(dir, name)) {
			return true
		}
	}
	return false
}

// library finds a shared library and the symbol versions that it defines.
func (im *Image) library(soname string) ([]string, bool) {
	if v, ok := im.known[soname]; ok {
		return v, true
	}
	for _, dir := range im.dirs {
		e, err := im.tree.Lookup(path.Join(dir, soname))
		if err != nil || !e.IsRegular() {
			continue
		}
		var versions []string
		if b, err := e.Content(maxLibrary); err == nil {
			if info, err := readELF(b); err == nil {
				versions = info.defines
			}
		}
		im.known[soname] = versions
		return versions, true
	}
	return nil, false
}
