// Package lint finds mistakes in a runtime extension before machines get it: content that the client would
// refuse, misplaced files, facts that Facter reads differently than intended, and programs that the image cannot
// run. It runs nothing; `mkbuild extension run` does. Start reading at [Check]. A new rule is a line in [Rules]
// and a check in the file of its topic: facts.go, layout.go or programs.go.
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
)

const (
	maxText   = 1 << 20  // longer files are not scripts
	heavySize = 32 << 20 // too many unpacked bytes for a machine of 512 MiB
)

// Check finds every trap that it knows (see [Rules]) in s, sorted by file and line. Its only error is that of
// ctx: unreadable files are findings.
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

// contents checks the files that the client would accept; a damaged one becomes a refusal.
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
		checkFile(&file{File: f, l: l, body: buf.Bytes()})
	}
	return nil
}

func checkFile(f *file) {
	f.shadows()
	switch top(f.Path) {
	case "bin":
		f.binFile()
	case "facts.d":
		f.factFile()
	}
	f.encoding()
	if top(f.Path) == "lib" && ending(f.Path) == ".rb" {
		f.rubyFile()
	}
	switch {
	case f.isELF():
		f.elfFile()
	case len(f.body) <= maxText && !bytes.ContainsRune(f.body[:min(len(f.body), 8000)], 0):
		f.script()
	}
}

// refusals turns the client's refusals into findings. For a directory, only packing finds some of them.
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
		return "leave it out or make it smaller: it takes the machines' memory, and a file that compresses too well counts as a zip bomb"
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

// Rule describes one check.
type Rule struct{ ID, About string }

// Rules lists all rules, in the order of the help text.
func Rules() []Rule {
	return []Rule{
		{"refused", "the client would refuse the whole extension: unsafe names, links out of it, special files, damage, limits"},
		{"wrapped", "bin, lib and facts.d are in a directory of the archive instead of at its top"},
		{"unused", "it has no bin, no lib and no facts.d"},
		{"empty", "there is nothing in it"},
		{"misspelt", "a directory that looks like bin, lib or facts.d under another name"},
		{"inert", "files that seem to set environment variables"},
		{"no-modes", "the archive was made on a system without Unix modes"},
		{"setuid", "setuid and setgid bits"},
		{"world-writable", "files that everybody may write to"},
		{"dangling-link", "symlinks to nothing"},
		{"leftover", "traces of version control and file managers"},
		{"backup", "copies of editors"},
		{"size", "much memory"},
		{"bin-not-executable", "files in bin that are not executable"},
		{"bin-subdirectory", "programs below a directory of bin"},
		{"shadows", "programs, libraries and Ruby files that hide Facter's own"},
		{"fact-subdirectory", "files below a directory of facts.d"},
		{"fact-dotfile", "files in facts.d that begin with a dot"},
		{"fact-yml", "facts.d/*.yml"},
		{"fact-windows", "facts.d/*.exe, .bat, .cmd, .com"},
		{"fact-not-executable", "programs in facts.d that are not executable"},
		{"fact-ignored", "files in facts.d that Facter ignores"},
		{"fact-data-script", "scripts called .txt, .yaml or .json"},
		{"fact-data-executable", "executable .txt, .yaml and .json files"},
		{"fact-shell-name", "programs in facts.d whose name a shell splits"},
		{"fact-syntax", "YAML and JSON that does not parse or is not a mapping"},
		{"fact-yaml", "YAML tags, symbols, dates and numbers that make a Facter drop facts or fail"},
		{"fact-empty", "data files without a fact"},
		{"fact-comment", `comments with a "=" in .txt files: they are facts`},
		{"fact-line", "lines of .txt files that are ignored"},
		{"fact-blanks", "blanks around the = in .txt files"},
		{"fact-name", "upper case and blanks in names"},
		{"identity", "facts that identify machines to Razor: macaddress*, serialnumber, uuid"},
		{"dropped", "names on Razor's default blacklist"},
		{"fact-twice", "a name in two files"},
		{"encoding", "byte order marks, UTF-16, UTF-32, NUL bytes, and external facts that are not UTF-8"},
		{"crlf", "Windows line ends of scripts, and line ends of a lone \\r"},
		{"ruby-syntax", "Ruby that an image with Ruby 1.8 cannot read"},
		{"no-shebang", "executable text without a #! line"},
		{"interpreter", "interpreters that the image does not have"},
		{"elf-damaged", "broken ELF files"},
		{"elf-arch", "ELF files for another architecture"},
		{"elf-loader", "programs of another C library"},
		{"elf-library", "missing shared libraries"},
		{"elf-version", "a newer C library than the image's (with --image)"},
	}
}
