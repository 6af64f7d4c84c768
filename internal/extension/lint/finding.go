package lint

import (
	"bytes"
	"path"
	"strings"

	"mkbuild/internal/extension"
	"mkbuild/internal/needed"
	"mkbuild/internal/overlay"
)

// Severity orders findings.
type Severity string

// An error makes a part of the extension useless or harmful; a warning may be intended.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Finding is a part of an extension that will not work, and the fix.
type Finding struct {
	File     string   `json:"file"`           // "" if the extension as a whole is meant
	Line     int      `json:"line,omitempty"` // 0 if the whole file is meant
	Severity Severity `json:"severity"`
	Rule     string   `json:"rule"`
	What     string   `json:"what"`
	Fix      string   `json:"fix"`
}

// Options are the options of a check.
type Options struct {
	Arch  string            // "x86" (the zero value) or "x86_64"
	Image *Image            // the image that it will run in; nil: the content of every Tiny Core
	Drops func(string) bool // fact names that the server drops; nil: none
}

// Image is the root file system that an extension will run in.
type Image struct {
	Name   string // the ISO's name, for messages
	Arch   string // "x86" or "x86_64"
	loader *needed.Loader
	ruby18 bool
}

// NewImage describes the image whose initrd holds tree.
func NewImage(name, arch string, tree *overlay.Tree) *Image {
	_, err := tree.Lookup("usr/local/lib/ruby/1.8")
	return &Image{Name: name, Arch: arch, loader: needed.NewLoader(tree), ruby18: err == nil}
}

// oldRuby reports whether the image's Ruby is 1.8, or may be.
func (im *Image) oldRuby() bool { return im == nil || im.ruby18 }

// linter collects the findings of one run.
type linter struct {
	src   *extension.Source
	opt   Options
	files map[string]*extension.File
	dirs  map[string]bool   // directories that files imply
	names map[string]string // fact → file in facts.d that names it first
	found []Finding
}

func (l *linter) add(sev Severity, rule, file string, line int, what, fix string) {
	l.found = append(l.found, Finding{File: file, Line: line, Severity: sev, Rule: rule, What: what, Fix: fix})
}

// exists reports whether p is in the extension, as a file or as a directory that files imply.
func (l *linter) exists(p string) bool {
	p = path.Clean(p)
	return p == "." || l.files[p] != nil || l.dirs[p]
}

// file is a regular file with its content.
type file struct {
	*extension.File
	l    *linter
	body []byte
}

// report records a finding about the file; line 0 is all of it.
func (f *file) report(sev Severity, rule string, line int, what, fix string) {
	f.l.add(sev, rule, f.Path, line, what, fix)
}

func (f *file) dir() string { return path.Dir(f.Path) }

func (f *file) isELF() bool { return bytes.HasPrefix(f.body, []byte(needed.Magic)) }

// top returns the first part of a path.
func top(p string) string {
	first, _, _ := strings.Cut(p, "/")
	return first
}
