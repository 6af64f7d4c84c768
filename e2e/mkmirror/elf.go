package main

import (
	"debug/elf"
	"fmt"
	"io"
	"path"
	"sort"
	"strings"

	"mkbuild/internal/overlay"
)

// maxELF bounds the size of files that are checked for needed libraries. libcrypto is 5 MB.
const maxELF = 64 << 20

// needed returns the sonames that the ELF files of t need, each with one file that needs it.
func needed(t *overlay.Tree) (map[string]string, error) {
	out := make(map[string]string)
	for _, e := range t.Entries() {
		if !e.IsRegular() || e.Size < 52 || strings.HasSuffix(e.Path, ".ko.gz") {
			continue
		}
		names, err := neededBy(e)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			if _, ok := out[n]; !ok {
				out[n] = e.Path
			}
		}
	}
	return out, nil
}

// neededBy returns DT_NEEDED of one file; a file that is not ELF needs nothing.
func neededBy(e *overlay.Entry) ([]string, error) {
	r, err := e.Open()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", e.Path, err)
	}
	magic := make([]byte, 4)
	_, err = io.ReadFull(r, magic)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", e.Path, err)
	}
	if string(magic) != elf.ELFMAG {
		return nil, nil
	}
	b, err := e.Content(maxELF)
	if err != nil {
		return nil, err
	}
	f, err := elf.NewFile(strings.NewReader(string(b)))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", e.Path, err)
	}
	if f.Type == elf.ET_REL { // a kernel module
		return nil, nil
	}
	names, err := f.ImportedLibraries()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", e.Path, err)
	}
	return names, nil
}

// provided returns the names of the files and links in the library directories of t, where the dynamic linker
// searches for sonames.
func provided(t *overlay.Tree) map[string]bool {
	out := make(map[string]bool)
	for _, e := range t.Entries() {
		switch path.Dir(e.Path) {
		case "lib", "usr/lib", "usr/local/lib":
			if !e.IsDir() {
				out[path.Base(e.Path)] = true
			}
		}
	}
	return out
}

// missing returns the sonames that t needs and neither t nor any of others provides, sorted, each as "libz.so.1
// (for usr/local/bin/ssh)".
func missing(t *overlay.Tree, others ...*overlay.Tree) ([]string, map[string]string, error) {
	need, err := needed(t)
	if err != nil {
		return nil, nil, err
	}
	for _, o := range append([]*overlay.Tree{t}, others...) {
		for name := range provided(o) {
			delete(need, name)
		}
	}
	names := make([]string, 0, len(need))
	for n := range need {
		names = append(names, n)
	}
	sort.Strings(names)
	return names, need, nil
}

// addLibraries adds every missing library of t at dir/<soname>, with its own missing libraries. If no package holds
// a library, the error names the file that needs it.
func (p *pool) addLibraries(t *overlay.Tree, dir string, others ...*overlay.Tree) error {
	for {
		names, asker, err := missing(t, others...)
		if err != nil || len(names) == 0 {
			return err
		}
		for _, soname := range names {
			if err := p.addLibrary(t, dir, soname); err != nil {
				return fmt.Errorf("%w (needed by %s)", err, asker[soname])
			}
		}
	}
}

// addLibrary adds one library at dir/<soname>.
func (p *pool) addLibrary(t *overlay.Tree, dir, soname string) error {
	pkg, name, err := p.library(soname)
	if err != nil {
		return err
	}
	perm := uint32(0o644)
	if strings.HasPrefix(soname, "ld-linux") {
		perm = 0o755
	}
	e, err := p.file(pkg, name, path.Join(dir, soname), perm)
	if err != nil {
		return err
	}
	return t.Put(e)
}
