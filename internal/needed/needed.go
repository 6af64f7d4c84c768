// Package needed finds shared libraries that programs of an image need and that the image lacks: the errors of the
// dynamic loader on the machine. It reads the ELF headers of the whole tree and runs nothing, so it also works
// before the image is written. Start reading at [Missing].
//
// A library counts if it has the program's class and machine and is on the loader's path: RPATH and RUNPATH with
// $ORIGIN, /etc/ld.so.conf, and the default directories of glibc and Tiny Core. LD_LIBRARY_PATH of scripts and
// calls of dlopen(3) are not visible in a file.
package needed

import (
	"bufio"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"mkbuild/internal/overlay"
)

// Library is a shared library, or a program interpreter, that the image lacks.
type Library struct {
	Name string   // as the files name it: "libssl.so.0.9.8"; an absolute path for an interpreter
	By   []string // paths of the files that need it, without the first slash, sorted
}

// String returns the library's name and up to three files that need it.
func (l Library) String() string {
	text := l.Name + ", needed by /" + strings.Join(l.By[:min(len(l.By), 3)], ", /")
	if len(l.By) > 3 {
		text += ", …"
	}
	return text
}

const (
	maxFile  = 256 << 20 // bytes of a program; the largest real ones have some 30 MB
	maxConf  = 1 << 20   // bytes of /etc/ld.so.conf
	maxConfs = 64        // included files
)

// Loader finds libraries in a tree like ld.so(8).
type Loader struct {
	tree    *overlay.Tree
	dirs    []string
	objects map[string]*Object // by path
}

// NewLoader reads the programs and libraries of t. Files that the loader cannot use, such as damaged ones, have no
// object.
func NewLoader(t *overlay.Tree) *Loader {
	l := &Loader{tree: t, dirs: loaderDirs(t), objects: make(map[string]*Object)}
	for _, e := range t.Entries() {
		if o := object(e); o != nil {
			l.objects[e.Path] = o
		}
	}
	return l
}

// object reads a program or library, or returns nil for other files.
func object(e *overlay.Entry) *Object {
	if !e.IsRegular() || e.Open == nil {
		return nil
	}
	f, err := e.Open()
	if err != nil {
		return nil
	}
	defer f.Close() //nolint:errcheck // only read
	r := bufio.NewReader(io.LimitReader(f, maxFile))
	if magic, err := r.Peek(len(Magic)); err != nil || string(magic) != Magic {
		return nil
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return nil
	}
	o, _ := Read(b) // the readable part of it
	return o
}

// Missing lists the libraries that files of t need and t lacks, sorted by name.
func Missing(t *overlay.Tree) []Library {
	l := NewLoader(t)
	by := make(map[string][]string)
	for p, o := range l.objects {
		if o.Interp != "" && !l.Has(o.Interp) {
			by[o.Interp] = append(by[o.Interp], p)
		}
		for _, name := range o.Needs {
			if l.Library(p, o, name) == nil {
				by[name] = append(by[name], p)
			}
		}
	}
	out := make([]Library, 0, len(by))
	for _, name := range slices.Sorted(maps.Keys(by)) {
		slices.Sort(by[name])
		out = append(out, Library{name, slices.Compact(by[name])})
	}
	return out
}

// Has reports whether a path is a regular file, or a symlink to one.
func (l *Loader) Has(p string) bool {
	e, err := l.tree.Lookup(p)
	return err == nil && e.IsRegular()
}

// Library returns the library that the object at p loads by this name, or nil. A name with a slash is a path.
func (l *Loader) Library(p string, o *Object, name string) *Object {
	if strings.Contains(name, "/") {
		return l.fit(o, expand(name, p))
	}
	for _, dir := range slices.Concat(o.Paths, l.dirs) {
		if lib := l.fit(o, path.Join(expand(dir, p), name)); lib != nil {
			return lib
		}
	}
	return nil
}

// expand replaces $ORIGIN with the directory of the file at p.
func expand(dir, p string) string {
	origin := "/" + path.Dir(p)
	return strings.NewReplacer("${ORIGIN}", origin, "$ORIGIN", origin).Replace(dir)
}

// fit returns the library at a path if it is of o's kind: the loader skips others.
func (l *Loader) fit(o *Object, at string) *Object {
	e, err := l.tree.Lookup(strings.TrimPrefix(path.Clean("/"+at), "/"))
	if err != nil {
		return nil
	}
	if lib := l.objects[e.Path]; lib != nil && lib.Class == o.Class && lib.Machine == o.Machine {
		return lib
	}
	return nil
}

// loaderDirs are the loader's default directories. Tiny Core's own ld.so.conf has /usr/local/lib; extensions rely
// on it.
func loaderDirs(t *overlay.Tree) []string {
	dirs := []string{"lib", "usr/lib", "lib64", "usr/lib64", "usr/local/lib", "lib/i386-linux-gnu", "usr/lib/i386-linux-gnu",
		"lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"}
	files := []string{"etc/ld.so.conf"}
	for n := 0; n < len(files) && n < maxConfs; n++ {
		e, err := t.Lookup(files[n])
		if err != nil || !e.IsRegular() {
			continue
		}
		b, _ := e.Content(maxConf) // unreadable: use the default directories
		for line := range strings.Lines(string(b)) {
			line, _, _ = strings.Cut(line, "#")
			switch words := strings.Fields(line); {
			case len(words) == 2 && words[0] == "include":
				files = append(files, matching(t, path.Dir(e.Path), words[1])...)
			case len(words) > 0 && path.IsAbs(words[0]):
				dirs = append(dirs, words[0])
			}
		}
	}
	return dirs
}

// matching lists the files of a pattern in an include line; a relative pattern starts at dir.
func matching(t *overlay.Tree, dir, pattern string) (files []string) {
	if !path.IsAbs(pattern) {
		pattern = path.Join("/", dir, pattern)
	}
	for _, e := range t.Children(path.Dir(pattern)[1:]) {
		if ok, _ := path.Match(pattern, "/"+e.Path); ok {
			files = append(files, e.Path)
		}
	}
	return files
}
