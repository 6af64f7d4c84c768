package extension

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Severity orders findings.
type Severity string

// An error makes something of the extension useless or harmful; a warning may be intended.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Finding is one thing that will not work as its author expects, and how to mend it.
type Finding struct {
	File     string   `json:"file"`           // "" when the extension as a whole is meant
	Line     int      `json:"line,omitempty"` // 0 when the whole file is meant
	Severity Severity `json:"severity"`
	Rule     string   `json:"rule"`
	What     string   `json:"what"`
	Mend     string   `json:"mend"`
}

// LintOptions says what an extension is checked against.
type LintOptions struct {
	Arch  string            // "x86" (the zero value) or "x86_64"
	Image *Image            // the image that it will run in; nil: what every Tiny Core has
	Drops func(string) bool // fact names that the server drops; nil: none
}

const (
	maxText   = 1 << 20  // longer files are no scripts, facts or Ruby
	heavySize = 32 << 20 // unpacked bytes that hurt on a machine of 512 MiB
)

// linter collects the findings of one run.
type linter struct {
	src    *Source
	opt    LintOptions
	files  map[string]*File
	dirs   map[string]bool   // directories that files imply
	names  map[string]string // fact → file in facts.d that names it first
	ruby   map[string]bool   // base names that some Ruby file requires
	loaded []piece           // text of every text file
	found  []Finding
}

// piece is a regular file with its content.
type piece struct {
	*File
	text []byte // nil for binary or long files
	elf  []byte // nil for other files than ELF
}

// Lint finds every trap that it knows (see [Rules]) in s, sorted by file and line. An error
// other than of ctx cannot happen: what cannot be read is a finding.
func Lint(ctx context.Context, s *Source, o LintOptions) ([]Finding, error) {
	if o.Arch == "" {
		o.Arch = "x86"
	}
	l := &linter{src: s, opt: o, files: map[string]*File{}, dirs: map[string]bool{}, names: map[string]string{}, ruby: map[string]bool{}}
	for i := range s.Files {
		l.files[s.Files[i].Path] = &s.Files[i]
		for dir := path.Dir(s.Files[i].Path); len(dir) > 1 && !l.dirs[dir]; dir = path.Dir(dir) {
			l.dirs[dir] = true
		}
	}
	if err := l.load(ctx); err != nil {
		return nil, err
	}
	for _, check := range []func(*linter){(*linter).layout, (*linter).modes, (*linter).leftovers, (*linter).weight, (*linter).refusals} {
		check(l)
	}
	for i := range l.loaded {
		for _, check := range []func(*linter, *piece){(*linter).binDir, (*linter).shadows, (*linter).factsDir,
			(*linter).script, (*linter).paths, (*linter).rubyFile, (*linter).elfFile} {
			check(l, &l.loaded[i])
		}
	}
	return l.sorted(), nil
}

// load reads all files that the client would take; a damaged one becomes a refusal.
func (l *linter) load(ctx context.Context) error {
	var read int64
	for i := range l.src.Files {
		f := &l.src.Files[i]
		if !f.IsRegular() {
			continue
		}
		if read += f.Size; read > l.src.lim.Total {
			break // a refusal tells
		}
		var buf bytes.Buffer
		err := f.copyTo(ctx, &buf)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			l.src.refuse(f.Path, err)
			continue
		}
		it := classify(f, buf.Bytes())
		if strings.HasSuffix(f.Path, ".rb") {
			l.noteRequires(it.text)
		}
		l.loaded = append(l.loaded, it)
	}
	return nil
}

// classify keeps what the checks need of a file's content.
func classify(f *File, b []byte) piece {
	it := piece{File: f}
	switch {
	case bytes.HasPrefix(b, []byte(elfMagic)):
		it.elf = b
	case len(b) <= maxText && !bytes.ContainsRune(b[:min(len(b), 8000)], 0):
		if it.text = b; b == nil {
			it.text = []byte{}
		}
	}
	return it
}

func (l *linter) add(sev Severity, rule, file string, line int, what, mend string) {
	l.found = append(l.found, Finding{File: file, Line: line, Severity: sev, Rule: rule, What: what, Mend: mend})
}

func (l *linter) sorted() []Finding {
	slices.SortStableFunc(l.found, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, strings.Compare(a.Rule, b.Rule), strings.Compare(a.What, b.What))
	})
	return slices.Compact(l.found)
}

// refusals turns what the client would refuse into findings.
func (l *linter) refusals() {
	for _, r := range l.src.Refused {
		rule, what := "refused", r.Err.Error()
		if errors.Is(r.Err, ErrWrapped) {
			rule = "wrapped"
		}
		if unsafe, ok := errors.AsType[*UnsafeError](r.Err); ok {
			what = unsafe.Reason
		}
		l.add(Error, rule, r.File, 0, "the client refuses the whole extension: "+what, refusalMend(r.Err))
	}
}

func refusalMend(err error) string {
	switch {
	case errors.Is(err, ErrWrapped):
		return "name the directory that holds bin, lib and facts.d to `mkbuild extension pack`, or zip from inside it"
	case isError[*LimitError](err):
		return "make it smaller: it is kept in the machines' memory"
	case isError[*ChecksumError](err):
		return "make the archive again: it is damaged"
	}
	if unsafe, ok := errors.AsType[*UnsafeError](err); ok {
		switch {
		case strings.Contains(unsafe.Reason, "symlink"):
			return "use a relative link to a file inside the extension, or a copy"
		case strings.Contains(unsafe.Reason, "special"):
			return "remove it: only files, directories and symlinks can be packed"
		case strings.Contains(unsafe.Reason, "method"), strings.Contains(unsafe.Reason, "encrypted"), strings.Contains(unsafe.Reason, "twice"), strings.Contains(unsafe.Reason, "overlap"):
			return "make the archive with `mkbuild extension pack`"
		}
	}
	return "rename it, and pack with `mkbuild extension pack`"
}

func isError[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
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

// weight warns of what costs every machine's memory.
func (l *linter) weight() {
	if n := l.src.total(); n > heavySize {
		l.add(Warning, "size", "", 0, fmt.Sprintf("%d MiB unpacked: it lives in the machines' memory, twice while a new version is unpacked", n>>20),
			"leave out what the facts do not need, strip binaries")
	}
}

// exists reports whether p is in the extension, as a file or as a directory that files imply.
func (l *linter) exists(p string) bool {
	p = path.Clean(p)
	return p == "." || l.files[p] != nil || l.dirs[p]
}
