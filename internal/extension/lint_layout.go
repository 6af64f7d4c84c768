package extension

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// layout checks what lies where.
func (l *linter) layout() {
	if len(l.src.Files) == 0 {
		l.add(Warning, "empty", "", 0, "there is nothing in it", "start with `mkbuild extension new DIR`")
		return
	}
	used, files := false, false
	for _, name := range l.tops() {
		used = used || known(name)
		files = files || l.isFullTop(name)
		if want := misspelt(name); want != "" && !l.exists(want+"/"+name) {
			l.add(Warning, "misspelt", name, 0, "nothing looks into this directory", "did you mean "+want+"/?")
		}
		if inert(name) {
			l.add(Warning, "inert", name, 0, "it is not read: an extension can change PATH, LD_LIBRARY_PATH and RUBYLIB, no other variable",
				"set what a program needs inside that program")
		}
	}
	wrapped := slices.ContainsFunc(l.src.Refused, func(r Refusal) bool { return errors.Is(r.Err, ErrWrapped) })
	if !used && files && !wrapped {
		l.add(Error, "unused", "", 0, "it has none of bin/, lib/ and facts.d/: the client uses nothing of it",
			"put programs into bin/, external facts into facts.d/, custom facts into lib/ruby/facter/")
	}
}

// tops lists the top-level names, sorted.
func (l *linter) tops() []string {
	var names []string
	for p := range l.files {
		names = append(names, top(p))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// isFullTop reports whether something other than an empty directory has this top-level name.
func (l *linter) isFullTop(name string) bool {
	for p, f := range l.files {
		if top(p) == name && !f.IsDir() {
			return true
		}
	}
	return false
}

// misspelt guesses what a top-level directory should have been called.
func misspelt(name string) string {
	switch strings.ToLower(strings.TrimSuffix(name, "/")) {
	case "facts", "fact", "fact.d", "facts.d", "factsd", "facts_d", "external_facts":
		if name != "facts.d" {
			return "facts.d"
		}
	case "bin", "bins", "sbin", "scripts":
		if name != "bin" {
			return "bin"
		}
	case "lib", "libs", "lib64", "lib32":
		if name != "lib" {
			return "lib"
		}
	case "ruby", "rubylib":
		return "lib/ruby"
	case "facter":
		return "lib/ruby/facter"
	}
	return ""
}

// inert reports whether a top-level name looks as if it could set environment variables.
func inert(name string) bool {
	return slices.Contains([]string{".profile", ".bashrc", ".bash_profile", ".ashrc", ".env", "env", "environment", "profile"}, name)
}

// modes checks permissions, links and the archive's maker.
func (l *linter) modes() {
	if l.src.NoModes && (l.isFullTop("bin") || l.isFullTop("facts.d")) {
		l.add(Error, "no-modes", "", 0, "it was made on a system without Unix modes: nothing in it is executable",
			"make it with `mkbuild extension pack`, or with zip on Linux or macOS")
	}
	for i := range l.src.Files {
		f := &l.src.Files[i]
		if f.Refused != "" {
			continue
		}
		if f.Raw&(fs.ModeSetuid|fs.ModeSetgid) != 0 && !f.IsDir() {
			l.add(Warning, "setuid", f.Path, 0, "setuid and setgid bits are dropped", "chmod u-s,g-s: facts run as root anyway")
		}
		if f.Raw&0o002 != 0 && f.Raw&(fs.ModeSymlink|fs.ModeSticky) == 0 && !l.src.NoModes {
			l.add(Warning, "world-writable", f.Path, 0, "everybody may write to it; the client drops that bit", "chmod o-w")
		}
		if f.Mode&fs.ModeSymlink != 0 && !l.reaches(f) {
			l.add(Warning, "dangling-link", f.Path, 0, fmt.Sprintf("it points to %q, which the extension does not have", f.Link), "add the file, or remove the link")
		}
	}
}

// reaches reports whether a symlink ends at something of the extension.
func (l *linter) reaches(f *File) bool {
	p := path.Join(path.Dir(f.Path), f.Link)
	for range maxHops {
		next := l.files[p]
		if next == nil || next.Mode&fs.ModeSymlink == 0 {
			break
		}
		p = path.Join(path.Dir(p), next.Link)
	}
	if l.exists(p) {
		return true
	}
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) { // through a linked directory: too rare to follow
		if d := l.files[dir]; d != nil && d.Mode&fs.ModeSymlink != 0 {
			return true
		}
	}
	return false
}

// leftovers finds what editors, file managers and version control leave behind.
func (l *linter) leftovers() {
	seen := map[string]bool{}
	for i := range l.src.Files {
		f := &l.src.Files[i]
		parts := strings.Split(f.Path, "/")
		for n, part := range parts {
			if p := strings.Join(parts[:n+1], "/"); Skipped(part) && !seen[p] {
				seen[p] = true
				l.add(Warning, "leftover", p, 0, "it is no part of an extension", "pack with `mkbuild extension pack`, which leaves it out")
			}
		}
		if f.IsRegular() && backup(path.Base(f.Path)) && known(parts[0]) {
			l.add(Warning, "backup", f.Path, 0, "it looks like an editor's copy, and is used like any other file", "remove it")
		}
	}
}

func backup(name string) bool {
	if strings.HasPrefix(name, ".#") || strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#") {
		return true
	}
	for _, end := range []string{"~", ".bak", ".orig", ".rej", ".swp", ".old", ".dpkg-old", ".rpmsave", ".rpmnew"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// binDir checks the files in bin/.
func (l *linter) binDir(it *piece) {
	if top(it.Path) != "bin" || it.Path == "bin" {
		return
	}
	if !in(it.Path, "bin") {
		if it.Executable() {
			l.add(Warning, "bin-subdirectory", it.Path, 0, "PATH has bin/ only, not the directories below it", "move it to bin/"+path.Base(it.Path))
		}
		return
	}
	if !it.Executable() && !l.src.NoModes {
		l.add(Error, "bin-not-executable", it.Path, 0, "it is in bin/ but not executable: commands do not find it", "chmod +x, or move data to share/")
	}
}

// shadows finds names that hide what Facter itself needs.
func (l *linter) shadows(it *piece) {
	base := path.Base(it.Path)
	hidden := ""
	switch {
	case in(it.Path, "bin"):
		if slices.Contains([]string{"sh", "env", "ruby", "facter", "ip", "ifconfig", "uname", "hostname", "arp", "lshw", "dmidecode", "lspci"}, base) {
			hidden = "the system's own " + base
		}
	case in(it.Path, "lib"):
		if glibc(base) || strings.HasPrefix(base, "libruby") {
			hidden = "the image's own " + base
		}
	case in(it.Path, "lib/ruby"):
		if slices.Contains([]string{"facter.rb", "json.rb", "yaml.rb", "psych.rb", "set.rb", "optparse.rb", "rubygems.rb", "fileutils.rb", "open3.rb", "socket.rb"}, base) {
			hidden = "Ruby's or Facter's own " + base
		}
	}
	if hidden != "" {
		l.add(Warning, "shadows", it.Path, 0, "it hides "+hidden+" from Facter and all facts", "rename it, unless that is what you want")
	}
}
