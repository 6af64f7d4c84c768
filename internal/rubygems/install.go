// Package rubygems computes what RubyGems' own programs would leave behind on a running system:
// the library that `ruby setup.rb` installs, and the gems that `gem install` unpacks. The results
// are trees of entries for an image. Nothing is executed: the metadata of a gem is a stranger's data,
// and no Ruby is needed where the image is made.
//
// The package refuses gems with native extensions and gems for other platforms than "ruby": they
// would need a compiler inside the image. Start reading at [FindRuby], [ReadGem] and [Install].
package rubygems

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"strings"

	"mkbuild/internal/overlay"
)

// Install returns what `gem install --no-ri --no-rdoc` of gems leaves on the system of ruby, all of it
// root's:
//
//	GemDir/gems/<full name>/**                  the gem's files, 0644 or 0755
//	GemDir/specifications/<full name>.gemspec   0644
//	GemDir/{cache,doc}                          empty
//	/usr/local/bin/<executable>                 a wrapper, 0755; none for what [Gem.MissingExecutables] lists
//
// RubyGems also keeps a copy of each .gem file in cache, for `gem pristine`. It is left out: in an
// initrd it would cost memory on every machine that boots. The directories build_info, extensions and
// plugins of RubyGems 2 and 3 are for gems that are refused here, and are made when they are needed.
//
// It fails with an error of class [fail.Usage] when the gems, together with those that come with the
// image's Ruby, lack a runtime dependency, when one is not made for this Ruby or RubyGems, and when two
// have a command of the same name.
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
			continue // made by an earlier gem, or on the way to a file
		}
		if err := out.PutBelow(home, e); err != nil {
			return fmt.Errorf("install %s: %w", g.File, err)
		}
	}
	return stageWrappers(out, ruby, g, root)
}

// maxScript bounds an executable of a gem that gets a wrapper.
const maxScript = 16 << 20

// MissingExecutables returns the files that the gem lists as its executables and does not pack:
// "bin/run". `gem install` warns of each and gives it no command, and so does [Install].
func (g *Gem) MissingExecutables() []string {
	var out []string
	for _, name := range g.Metadata.Executables {
		if g.executable(name) == nil {
			out = append(out, path.Join(g.Metadata.BinDir, name))
		}
	}
	return out
}

// executable returns the file in the gem that its executable name runs, or nil.
func (g *Gem) executable(name string) *overlay.Entry {
	if e, err := g.Files.Lookup(path.Join(g.Metadata.BinDir, name)); err == nil && e.IsRegular() {
		return e
	}
	return nil
}

// stageWrappers makes the gem's executables executable and adds a wrapper for each to /usr/local/bin,
// which finds the gem through RubyGems and loads the file.
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

// shebangOptions are the words after the interpreter in the first line of a gem's script.
var shebangOptions = regexp.MustCompile(`^#!.*?ruby\S*((?:[ \t]+[!-~]+)+)[ \t]*\r?$`)

// rubyOptions returns what a script wants to pass to Ruby, such as " -w", to be kept in the wrapper.
func rubyOptions(script []byte) string {
	line, _, _ := bytes.Cut(script[:min(len(script), 256)], []byte("\n"))
	m := shebangOptions.FindSubmatch(line)
	if m == nil {
		return ""
	}
	return " " + strings.Join(strings.Fields(string(m[1])), " ")
}

// wrapper returns the program that `gem install` writes for an executable: it takes a version as
// "_1.2.3_" in its first argument, activates the gem and loads the real file. RubyGems itself looks at
// the third line and at the first line that begins with "gem" or "load Gem.", to see that a wrapper may
// be replaced and whose it is. A prerelease counts for ">= 0" no more than for `gem install`: hence ">= 0.a".
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
