// Package rubygems computes the results of RubyGems' own programs on a running system: the library of `ruby
// setup.rb`, and the gems of `gem install`. The results are trees of entries for an image. Nothing is executed: a
// gem's metadata is untrusted, and the build host needs no Ruby.
//
// The package refuses gems with native extensions and gems for other platforms than "ruby": they would need a
// compiler inside the image. Start reading at [FindRuby], [ReadGem] and [Install].
package rubygems

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"strings"

	"mkbuild/internal/overlay"
)

// Install returns the result of `gem install --no-ri --no-rdoc` of gems on the system of ruby, all owned by root:
//
//	GemDir/gems/<full name>/**                  the gem's files, 0644 or 0755
//	GemDir/specifications/<full name>.gemspec   0644
//	GemDir/{cache,doc}                          empty
//	/usr/local/bin/<executable>                 a wrapper, 0755; none for what [Gem.MissingExecutables] lists
//
// RubyGems also keeps a copy of each .gem file in cache, for `gem pristine`. It is omitted: in an initrd it would
// use memory on every booted machine. The directories build_info, extensions and plugins of RubyGems 2 and 3 are
// for gems that are refused here; RubyGems creates them on demand.
//
// It fails with an error of class [fail.Usage] if the gems and the default gems of the image's Ruby lack a runtime
// dependency, if a gem does not fit this Ruby or RubyGems, or if two gems have a command of the same name.
func Install(ruby *Ruby, gems []*Gem) (*overlay.Tree, error) {
	if err := check(ruby, gems); err != nil {
		return nil, err
	}
	out := &overlay.Tree{}
	for _, g := range inOrder(gems) {
		if err := stageGem(out, ruby, g); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func stageGem(out *overlay.Tree, ruby *Ruby, g *Gem) error {
	home := strings.TrimPrefix(ruby.GemDir, "/")
	spec := overlay.File(home+"/specifications/"+g.String()+".gemspec", 0o644, g.gemspec())
	entries := []overlay.Entry{
		overlay.Dir(home+"/cache", 0o755), overlay.Dir(home+"/doc", 0o755),
		overlay.Dir(home+"/gems/"+g.String(), 0o755), spec,
	}
	for i := range entries {
		entries[i].MTime, entries[i].Origin = g.MTime, g.File
	}
	root := path.Join(home, "gems", g.String())
	for _, f := range g.Files.Entries() {
		e := *f
		e.Path = path.Join(root, f.Path)
		entries = append(entries, e)
	}
	for _, e := range entries {
		if out.Get(e.Path) != nil && e.IsDir() {
			continue // made by an earlier gem, or a parent of a file
		}
		if err := out.PutBelow(home, e); err != nil {
			return fmt.Errorf("install %s: %w", g.File, err)
		}
	}
	return stageWrappers(out, ruby, g, root)
}

// maxScript bounds the size of an executable that gets a wrapper.
const maxScript = 16 << 20

// MissingExecutables returns the executables that the gem lists but does not contain: "bin/run". `gem install`
// warns of each and creates no command; [Install] does the same.
func (g *Gem) MissingExecutables() []string {
	var out []string
	for _, name := range g.Metadata.Executables {
		if g.executable(name) == nil {
			out = append(out, path.Join(g.Metadata.BinDir, name))
		}
	}
	return out
}

// executable returns the gem's file for an executable name, or nil.
func (g *Gem) executable(name string) *overlay.Entry {
	if e, err := g.Files.Lookup(path.Join(g.Metadata.BinDir, name)); err == nil && e.IsRegular() {
		return e
	}
	return nil
}

// stageWrappers makes the gem's executables executable and adds a wrapper for each to /usr/local/bin. The wrapper
// finds the gem through RubyGems and loads the file.
func stageWrappers(out *overlay.Tree, ruby *Ruby, g *Gem, gemRoot string) error {
	for _, name := range g.Metadata.Executables {
		packed := g.executable(name)
		if packed == nil {
			continue
		}
		script := out.Get(path.Join(gemRoot, packed.Path))
		b, err := script.Content(maxScript)
		if err != nil {
			return fmt.Errorf("install %s: %w", g.File, err)
		}
		script.Mode |= 0o111
		e := overlay.File(binDir+"/"+name, 0o755, wrapper(ruby, g, name, rubyOptions(b)))
		e.MTime, e.Origin = g.MTime, g.File
		if err := out.Put(e); err != nil {
			return fmt.Errorf("install %s: %w", g.File, err)
		}
	}
	return nil
}

// shebangOptions are the words after the interpreter in a script's first line.
var shebangOptions = regexp.MustCompile(`^#!.*?ruby\S*((?:[ \t]+[!-~]+)+)[ \t]*\r?$`)

// rubyOptions returns the script's options for Ruby, such as " -w". The wrapper repeats them.
func rubyOptions(script []byte) string {
	line, _, _ := bytes.Cut(script[:min(len(script), 256)], []byte("\n"))
	m := shebangOptions.FindSubmatch(line)
	if m == nil {
		return ""
	}
	return " " + strings.Join(strings.Fields(string(m[1])), " ")
}

// wrapper returns the program that `gem install` writes for an executable: it accepts a version as "_1.2.3_" in its
// first argument, activates the gem and loads the real file. RubyGems reads the third line and the first line that
// begins with "gem" or "load Gem." to check that it may replace a wrapper, and to find its gem. Prereleases do not
// satisfy ">= 0", as in `gem install`: hence ">= 0.a".
func wrapper(ruby *Ruby, g *Gem, name, options string) []byte {
	accepted := ">= 0"
	if g.Version.Prerelease() {
		accepted = ">= 0.a"
	}
	return fmt.Appendf(nil, `#!%[1]s%[2]s
#
# This file was generated by RubyGems' rules, while the image was made.
#
# It runs %[4]s of the gem %[3]s.

require 'rubygems'

version = "%[5]s"

if ARGV.first =~ /\A_(.*)_\z/ and Gem::Version.correct? $1
  version = $1
  ARGV.shift
end

if Gem.respond_to? :activate_bin_path
load Gem.activate_bin_path('%[3]s', '%[4]s', version)
else
gem '%[3]s', version
load Gem.bin_path('%[3]s', '%[4]s', version)
end
`, ruby.Bin, options, g.Name, name, accepted)
}
