package lint

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"mkbuild/internal/extension"
)

// layout checks the places of files.
func (l *linter) layout() {
	if len(l.src.Files) == 0 {
		l.add(Warning, "empty", "", 0, "there is nothing in it", "start with `mkbuild extension new DIR`")
		return
	}
	full := l.tops()
	used := false
	for _, name := range slices.Sorted(maps.Keys(full)) {
		used = used || extension.Role(name) != ""
		if want := misspelt(name); want != "" {
			l.add(Warning, "misspelt", name, 0, "nothing looks into this directory", "did you mean "+want+"/?")
		}
		if slices.Contains([]string{".profile", ".bashrc", ".bash_profile", ".ashrc", ".env", "env", "environment", "profile"}, name) {
			l.add(Warning, "inert", name, 0, "it is not read: an extension can change PATH, LD_LIBRARY_PATH and RUBYLIB, no other variable",
				"set what a program needs inside that program")
		}
	}
	wrapped := slices.ContainsFunc(l.src.Refused, func(r *extension.Error) bool { return r.Kind == extension.Wrapped })
	if !used && !wrapped && slices.Contains(slices.Collect(maps.Values(full)), true) {
		l.add(Error, "unused", "", 0, "it has none of bin/, lib/ and facts.d/: the client ignores it",
			"put programs into bin/, external facts into facts.d/, custom facts into lib/ruby/facter/")
	}
	if l.src.NoModes && (full["bin"] || full["facts.d"]) {
		l.add(Error, "no-modes", "", 0, "it was made on a system without Unix modes: nothing in it is executable",
			"make it with `mkbuild extension pack`, or with zip on Linux or macOS")
	}
}

// tops lists the top-level names, and whether each has something other than an empty directory.
func (l *linter) tops() map[string]bool {
	full := map[string]bool{}
	for p, f := range l.files {
		full[top(p)] = full[top(p)] || !f.IsDir()
	}
	return full
}

// misspelt guesses the intended name of a top-level directory.
func misspelt(name string) string {
	if extension.Role(name) != "" {
		return ""
	}
	switch strings.ToLower(name) {
	case "facts", "fact", "fact.d", "facts.d", "factsd", "facts_d", "external_facts":
		return "facts.d"
	case "bin", "bins", "sbin", "scripts":
		return "bin"
	case "lib", "libs", "lib64", "lib32":
		return "lib"
	case "ruby", "rubylib":
		return "lib/ruby"
	case "facter":
		return "lib/ruby/facter"
	}
	return ""
}

// modes checks permissions and links.
func (l *linter) modes() {
	for i := range l.src.Files {
		f := &l.src.Files[i]
		if f.Refused != "" {
			continue
		}
		if f.Raw&(fs.ModeSetuid|fs.ModeSetgid) != 0 && !f.IsDir() {
			l.add(Warning, "setuid", f.Path, 0, "setuid and setgid bits are dropped", "chmod u-s,g-s: facts run as root anyway")
		}
		if f.Raw&0o002 != 0 && f.Raw&(fs.ModeSymlink|fs.ModeSticky) == 0 && !l.src.NoModes {
			l.add(Warning, "world-writable", f.Path, 0, "everybody may write to it; the client removes that permission", "chmod o-w")
		}
		if f.IsLink() && !l.exists(f.End) {
			l.add(Warning, "dangling-link", f.Path, 0, fmt.Sprintf("it points to %q, which the extension does not have", f.Link), "add the file, or remove the link")
		}
	}
}

// leftovers finds traces of editors, file managers and version control.
func (l *linter) leftovers() {
	seen := map[string]bool{}
	for i := range l.src.Files {
		f := &l.src.Files[i]
		parts := strings.Split(f.Path, "/")
		for n, part := range parts {
			if p := strings.Join(parts[:n+1], "/"); extension.Skipped(part) && !seen[p] {
				seen[p] = true
				l.add(Warning, "leftover", p, 0, "it does not belong in an extension", "pack with `mkbuild extension pack`, which leaves it out")
			}
		}
		if f.IsRegular() && backup(path.Base(f.Path)) && extension.Role(parts[0]) != "" {
			l.add(Warning, "backup", f.Path, 0, "it looks like an editor's copy, and is used like any other file", "remove it")
		}
	}
}

func backup(name string) bool {
	if strings.HasPrefix(name, ".#") || strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#") {
		return true
	}
	return slices.ContainsFunc([]string{"~", ".bak", ".orig", ".rej", ".swp", ".old", ".dpkg-old", ".rpmsave", ".rpmnew"},
		func(end string) bool { return strings.HasSuffix(name, end) })
}

// shadows finds names that hide parts of Facter.
func (f *file) shadows() {
	base := path.Base(f.Path)
	hidden := ""
	switch f.dir() {
	case "bin":
		if slices.Contains([]string{"sh", "env", "ruby", "facter", "ip", "ifconfig", "uname", "hostname", "arp", "lshw", "dmidecode", "lspci"}, base) {
			hidden = "the system's own " + base
		}
	case "lib":
		if glibc(base) || strings.HasPrefix(base, "libruby") {
			hidden = "the image's own " + base
		}
	case "lib/ruby":
		if slices.Contains([]string{"facter.rb", "json.rb", "yaml.rb", "psych.rb", "set.rb", "optparse.rb", "rubygems.rb", "fileutils.rb", "open3.rb", "socket.rb"}, base) {
			hidden = "Ruby's or Facter's own " + base
		}
	}
	if hidden != "" {
		f.report(Warning, "shadows", 0, "it hides "+hidden+" from Facter and all facts", "rename it, unless that is what you want")
	}
}
