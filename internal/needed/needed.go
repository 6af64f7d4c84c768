// Package needed finds shared libraries that programs of an image ask for and that the image does
// not have: what the dynamic loader would complain about on the machine, read out of the ELF
// headers of the whole tree. It runs nothing and knows nothing but trees, so that a plan can ask it
// about an image that does not exist yet and an inspection about one that does.
//
//	for _, m := range needed.Missing(tree) {
//		fmt.Println(m) // "libssl.so.0.9.8, needed by /usr/local/bin/ssh"
//	}
//
// A library counts when it is a file of the program's own class and machine in a place where the
// loader looks: RPATH and RUNPATH with $ORIGIN, /etc/ld.so.conf with its include lines, and the
// directories that glibc and Tiny Core know without it. What scripts put into LD_LIBRARY_PATH and
// what dlopen(3) asks for cannot be seen in a file.
package needed

import (
	"bufio"
	"bytes"
	"path"
	"slices"
	"sort"
	"strings"

	"mkbuild/internal/overlay"
)

// Library is a shared library, or a program interpreter, that the image does not have.
type Library struct {
	// Name is as the files ask for it: "libssl.so.0.9.8"; an absolute path for an interpreter.
	Name string
	// By are the paths of the files that ask for it, without the first slash, sorted.
	By []string
}

// String names the library and up to three of the files that need it.
func (l Library) String() string {
	by := make([]string, 0, 4)
	for i, p := range l.By {
		if i == 3 {
			by = append(by, "…")
			break
		}
		by = append(by, "/"+p)
	}
	return l.Name + ", needed by " + strings.Join(by, ", ")
}

// Missing lists what the files of t need and t does not have, sorted by name. Files that are no
// ELF file of any use (damaged ones, kernel modules) ask for nothing.
func Missing(t *overlay.Tree) []Library {
	s := &search{tree: t, dirs: loaderDirs(t), files: make(map[string]*object)}
	for _, e := range t.Entries() {
		if o := readObject(e); o != nil {
			s.files[e.Path] = o
		}
	}
	by := make(map[string][]string)
	for p, o := range s.files {
		for _, name := range s.lacks(p, o) {
			by[name] = append(by[name], p)
		}
	}
	out := make([]Library, 0, len(by))
	for name, files := range by {
		sort.Strings(files)
		out = append(out, Library{name, slices.Compact(files)})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// search looks libraries up as ld.so(8) would.
type search struct {
	tree  *overlay.Tree
	dirs  []string
	files map[string]*object // by path
}

// lacks returns what the file at p asks for in vain.
func (s *search) lacks(p string, o *object) []string {
	var out []string
	if o.interp != "" && !s.exists(o.interp) {
		out = append(out, o.interp)
	}
	for _, name := range o.needed {
		if !s.found(p, o, name) {
			out = append(out, name)
		}
	}
	return out
}

func (s *search) exists(p string) bool {
	e, err := s.tree.Lookup(p)
	return err == nil && e.IsRegular()
}

// found looks for one library. A name with a slash is a path.
func (s *search) found(p string, o *object, name string) bool {
	if strings.Contains(name, "/") {
		return s.fits(o, expand(name, p))
	}
	for _, dir := range o.paths {
		if s.fits(o, path.Join(expand(dir, p), name)) {
			return true
		}
	}
	for _, dir := range s.dirs {
		if s.fits(o, path.Join(dir, name)) {
			return true
		}
	}
	return false
}

// expand replaces $ORIGIN by the directory of the file at p.
func expand(dir, p string) string {
	origin := "/" + path.Dir(p)
	return strings.NewReplacer("${ORIGIN}", origin, "$ORIGIN", origin).Replace(dir)
}

// fits reports whether there is a library of o's kind at a path: the loader passes over others.
func (s *search) fits(o *object, at string) bool {
	e, err := s.tree.Lookup(strings.TrimPrefix(path.Clean("/"+at), "/"))
	if err != nil {
		return false
	}
	lib := s.files[e.Path]
	return lib != nil && lib.class == o.class && lib.machine == o.machine
}

// Bounds of /etc/ld.so.conf and what it includes; real ones have a few lines.
const (
	maxConf  = 1 << 20
	maxConfs = 64
)

// loaderDirs are where the loader looks when a file says nothing else. Tiny Core's own ld.so.conf
// has /usr/local/lib; extensions rely on it.
func loaderDirs(t *overlay.Tree) []string {
	dirs := []string{"lib", "usr/lib", "lib64", "usr/lib64", "usr/local/lib", "lib/i386-linux-gnu", "usr/lib/i386-linux-gnu",
		"lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"}
	c := confReader{tree: t, left: maxConfs}
	c.read("etc/ld.so.conf")
	return append(dirs, c.dirs...)
}

// confReader reads ld.so.conf with what it includes.
type confReader struct {
	tree *overlay.Tree
	dirs []string
	left int
}

func (c *confReader) read(name string) {
	if c.left--; c.left < 0 {
		return
	}
	e, err := c.tree.Lookup(name)
	if err != nil || !e.IsRegular() {
		return
	}
	b, err := e.Content(maxConf)
	if err != nil {
		return // unreadable: the usual directories have to do
	}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		switch {
		case len(words) == 2 && words[0] == "include":
			c.include(path.Dir(e.Path), words[1])
		case len(words) > 0 && path.IsAbs(words[0]):
			c.dirs = append(c.dirs, words[0])
		}
	}
}

// include reads the files that a pattern matches.
func (c *confReader) include(dir, pattern string) {
	if !path.IsAbs(pattern) {
		pattern = path.Join("/", dir, pattern)
	}
	for _, e := range c.tree.Children(path.Dir(pattern)[1:]) {
		if ok, err := path.Match(path.Base(pattern), path.Base(e.Path)); ok && err == nil {
			c.read(e.Path)
		}
	}
}
