// Package lint finds what will not work in a runtime extension before machines get it: what the client
// would refuse, files where nothing looks for them, facts that Facter reads in another way than their
// author thinks, and programs that the image cannot run. It runs nothing and does not judge what code
// does; `mkbuild extension run` shows that. Start reading at [Check].
package lint

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"mkbuild/internal/extension"
	"mkbuild/internal/needed"
	"mkbuild/internal/overlay"
)

// Severity orders findings.
type Severity string

// An error makes something of the extension useless or harmful; a warning may be intended.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Finding is one thing that will not work as its author expects, and what helps.
type Finding struct {
	File     string   `json:"file"`           // "" if the extension as a whole is meant
	Line     int      `json:"line,omitempty"` // 0 if the whole file is meant
	Severity Severity `json:"severity"`
	Rule     string   `json:"rule"`
	What     string   `json:"what"`
	Fix      string   `json:"fix"`
}

// Options says what an extension is checked against.
type Options struct {
	Arch  string            // "x86" (the zero value) or "x86_64"
	Image *Image            // the image that it will run in; nil: what every Tiny Core has
	Drops func(string) bool // fact names that the server drops; nil: none
}

// Image is the root file system that an extension will run in.
type Image struct {
	Name   string // for people: the ISO's name
	Arch   string // "x86" or "x86_64"
	loader *needed.Loader
}

// NewImage describes the image whose initrd holds tree.
func NewImage(name, arch string, tree *overlay.Tree) *Image {
	return &Image{Name: name, Arch: arch, loader: needed.NewLoader(tree)}
}

const (
	maxText   = 1 << 20  // longer files are no scripts or facts
	heavySize = 32 << 20 // unpacked bytes that hurt on a machine of 512 MiB
)

// linter collects the findings of one run.
type linter struct {
	src   *extension.Source
	opt   Options
	files map[string]*extension.File
	dirs  map[string]bool   // directories that files imply
	names map[string]string // fact → file in facts.d that names it first
	found []Finding
}

// piece is a regular file with its content.
type piece struct {
	*extension.File
	body []byte
	text bool // it is short and has no NUL in its first bytes
}

func (p *piece) isELF() bool { return bytes.HasPrefix(p.body, []byte(needed.Magic)) }

// Check finds every trap that it knows (see [Rules]) in s, sorted by file and line. Its only error is
// that of ctx: what cannot be read is a finding.
func Check(ctx context.Context, s *extension.Source, o Options) ([]Finding, error) {
	o.Arch = cmp.Or(o.Arch, "x86")
	l := &linter{src: s, opt: o, files: map[string]*extension.File{}, dirs: map[string]bool{}, names: map[string]string{}}
	for i := range s.Files {
		l.files[s.Files[i].Path] = &s.Files[i]
		for dir := path.Dir(s.Files[i].Path); len(dir) > 1 && !l.dirs[dir]; dir = path.Dir(dir) {
			l.dirs[dir] = true
		}
	}
	if err := l.contents(ctx); err != nil {
		return nil, err
	}
	l.layout()
	l.modes()
	l.leftovers()
	if n := s.Total(); n > heavySize {
		l.add(Warning, "size", "", 0, fmt.Sprintf("%d MiB unpacked: it lives in the machines' memory, twice while a new version is unpacked", n>>20),
			"leave out what the facts do not need, strip binaries")
	}
	l.refusals(ctx)
	slices.SortStableFunc(l.found, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, strings.Compare(a.Rule, b.Rule), strings.Compare(a.What, b.What))
	})
	return slices.Compact(l.found), ctx.Err()
}

// contents checks the files that the client would take one by one; a damaged one becomes a refusal.
func (l *linter) contents(ctx context.Context) error {
	var read int64
	for i := range l.src.Files {
		f := &l.src.Files[i]
		if !f.IsRegular() {
			continue
		}
		if read += f.Size; read > l.src.Limits.Total {
			return nil // a refusal tells
		}
		var buf bytes.Buffer
		err := f.CopyTo(ctx, &buf)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			l.src.Unreadable(f, err)
			continue
		}
		b := buf.Bytes()
		l.file(&piece{File: f, body: b, text: len(b) <= maxText && !bytes.ContainsRune(b[:min(len(b), 8000)], 0)})
	}
	return nil
}

// file checks one file.
func (l *linter) file(it *piece) {
	l.shadows(it)
	switch top(it.Path) {
	case "bin":
		l.binFile(it)
	case "facts.d":
		l.factFile(it)
	}
	l.encoding(it)
	switch {
	case it.isELF():
		l.elfFile(it)
	case it.text:
		l.script(it)
	}
}

func (l *linter) add(sev Severity, rule, file string, line int, what, fix string) {
	l.found = append(l.found, Finding{File: file, Line: line, Severity: sev, Rule: rule, What: what, Fix: fix})
}

// refusals turns what the client would refuse into findings. Of a directory only packing tells some of it.
func (l *linter) refusals(ctx context.Context) {
	refused := l.src.Refused
	if !l.src.IsZip && len(refused) == 0 {
		_, err := extension.Pack(ctx, l.src, l.src.Limits)
		if why, ok := errors.AsType[*extension.Error](err); ok {
			refused = append(refused, why)
		}
	}
	for _, r := range refused {
		rule := "refused"
		if r.Kind == extension.Wrapped {
			rule = "wrapped"
		}
		l.add(Error, rule, r.Member, 0, "the client refuses the whole extension: "+r.Why(), refusalFix(r.Kind))
	}
}

func refusalFix(k extension.Kind) string {
	switch k {
	case extension.Wrapped:
		return "name the directory that holds bin, lib and facts.d to `mkbuild extension pack`, or zip from inside it"
	case extension.Limit:
		return "make it smaller: it is kept in the machines' memory"
	case extension.Damaged, extension.NotZip:
		return "make the archive again: it is damaged"
	case extension.Link:
		return "use a relative link to a file inside the extension, or a copy"
	case extension.Special:
		return "remove it: only files, directories and symlinks can be packed"
	case extension.Format:
		return "make the archive with `mkbuild extension pack`"
	}
	return "rename it, and pack with `mkbuild extension pack`"
}

// exists reports whether p is in the extension, as a file or as a directory that files imply.
func (l *linter) exists(p string) bool {
	p = path.Clean(p)
	return p == "." || l.files[p] != nil || l.dirs[p]
}

// Count returns how many findings of each severity there are.
func Count(found []Finding) (errs, warnings int) {
	for i := range found {
		if found[i].Severity == Error {
			errs++
		} else {
			warnings++
		}
	}
	return errs, warnings
}

// top returns the first part of a path.
func top(p string) string {
	first, _, _ := strings.Cut(p, "/")
	return first
}
