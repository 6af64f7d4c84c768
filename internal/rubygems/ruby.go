// Package rubygems computes what RubyGems' own programs would leave behind on a running system:
// the library that `ruby setup.rb` installs, and the gems that `gem install` unpacks. The results
// are trees of entries for an image. Nothing is executed: a gem's metadata is data of a stranger,
// and no Ruby is needed where the image is made.
//
// The package refuses gems with native extensions and gems for other platforms than "ruby": they
// would need a compiler inside the image.
package rubygems

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"mkbuild/internal/overlay"
)

// binDir is where commands of an image's own additions go: TCL's /usr/local/bin, which is also the
// bindir of its ruby.tcz.
const binDir = "usr/local/bin"

// ErrNoRuby says that a tree holds no usable Ruby.
var ErrNoRuby = errors.New("no Ruby installation")

// Ruby is an interpreter inside an image, as its rbconfig.rb describes it. All paths are absolute
// ones of the booted image.
type Ruby struct {
	// Bin is the interpreter: "/usr/local/bin/ruby".
	Bin string
	// Version names the directories of its libraries, CONFIG["ruby_version"]: "1.8".
	Version string
	// Release is RUBY_VERSION: "1.8.7".
	Release string
	// RubyLibPrefix holds libraries of all versions: "/usr/local/lib/ruby".
	RubyLibPrefix string
	// SiteLib is where setup.rb puts a library: "/usr/local/lib/ruby/site_ruby/1.8".
	SiteLib string
	// GemDir is RubyGems' default directory: "/usr/local/lib/ruby/gems/1.8".
	GemDir string
	// RubyGems is the version of RubyGems in the image. When it is empty,
	// required_rubygems_version of gems is not checked.
	RubyGems string
	// Gems are those that GemDir of the tree already has: the default gems of Ruby 2.x and later.
	Gems []Spec
}

// Spec names one gem of one version.
type Spec struct {
	Name    string
	Version Version
}

// String returns the gem's full name: "facter-1.7.6".
func (s Spec) String() string { return s.Name + "-" + s.Version.String() }

// FindRuby finds the one Ruby in t, which is the tree of a ruby extension or of a whole image. It
// fails with [ErrNoRuby] when t has no rbconfig.rb that names an interpreter of the same tree, and
// when there are several of them.
func FindRuby(t *overlay.Tree) (*Ruby, error) {
	var found []*Ruby
	var problems []string
	for _, e := range t.Entries() {
		if path.Base(e.Path) != "rbconfig.rb" || !e.IsRegular() || e.Size > maxRbconfig {
			continue
		}
		b, err := e.Content(maxRbconfig)
		if err != nil {
			return nil, fmt.Errorf("find ruby: %w", err)
		}
		ruby, err := rubyOf(t, parseRbconfig(string(b), "/"+path.Dir(e.Path)))
		if err != nil {
			problems = append(problems, fmt.Sprintf("/%s: %v", e.Path, err))
			continue
		}
		found = append(found, ruby)
	}
	return oneRuby(t, found, problems)
}

func oneRuby(t *overlay.Tree, found []*Ruby, problems []string) (*Ruby, error) {
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fmt.Errorf("find ruby in %s: %w: there are several: %s and %s",
			origins(t), ErrNoRuby, found[0].Bin, found[1].Bin)
	case len(problems) > 0:
		return nil, fmt.Errorf("find ruby in %s: %w: %s", origins(t), ErrNoRuby, problems[0])
	}
	return nil, fmt.Errorf("find ruby in %s: %w: there is no rbconfig.rb", origins(t), ErrNoRuby)
}

// rubyOf turns a configuration into a Ruby, following Gem.default_dir and setup.rb.
func rubyOf(t *overlay.Tree, c rbconfig) (*Ruby, error) {
	r := &Ruby{
		Version:       c.get("ruby_version"),
		Release:       c.release,
		RubyLibPrefix: c.dir("rubylibprefix"),
		SiteLib:       c.dir("sitelibdir"),
	}
	if libdir := c.dir("libdir"); r.RubyLibPrefix == "" && libdir != "" {
		r.RubyLibPrefix = libdir + "/ruby" // Ruby 1.8
	}
	if r.Release == "" {
		r.Release = c.get("MAJOR") + "." + c.get("MINOR") + "." + c.get("TEENY")
	}
	if _, err := ParseVersion(r.Release); err != nil {
		return nil, fmt.Errorf("ruby release: %w", err)
	}
	name := c.get("ruby_install_name")
	if c.dir("bindir") == "" || name == "" || strings.Contains(name, "/") {
		return nil, errors.New("no bindir and ruby_install_name")
	}
	r.Bin = path.Join(c.dir("bindir"), name+c.get("EXEEXT"))
	if r.RubyLibPrefix == "" || r.SiteLib == "" || !safeName.MatchString(r.Version) {
		return nil, errors.New("no libdir, sitelibdir and ruby_version")
	}
	if !shebangPath.MatchString(r.Bin) {
		return nil, fmt.Errorf("interpreter %q cannot stand in a #! line", r.Bin)
	}
	if e, err := t.Lookup(strings.TrimPrefix(r.Bin, "/")); err != nil || !e.IsRegular() {
		return nil, fmt.Errorf("its interpreter %s is missing", r.Bin)
	}
	r.GemDir = path.Join(r.RubyLibPrefix, "gems", r.Version)
	r.Gems = presentGems(t, r.GemDir)
	return r, nil
}

// shebangPath is what the kernel reads from a #! line as one path, and a shell as one word.
var shebangPath = regexp.MustCompile(`^/[A-Za-z0-9._/+-]{1,120}$`)

// specFile is the name of a specification: "json-2.6.1.gemspec".
var specFile = regexp.MustCompile(`^(.+?)-([0-9][0-9A-Za-z.]*)(-[0-9a-z_-]+)?\.gemspec$`)

// presentGems lists the specifications in a tree, the default gems among them.
func presentGems(t *overlay.Tree, gemDir string) []Spec {
	var out []Spec
	dir := strings.TrimPrefix(gemDir, "/") + "/specifications"
	for _, d := range []string{dir, dir + "/default"} {
		for _, e := range t.Children(d) {
			m := specFile.FindStringSubmatch(path.Base(e.Path))
			if m == nil {
				continue
			}
			if v, err := ParseVersion(m[2]); err == nil {
				out = append(out, Spec{Name: m[1], Version: v})
			}
		}
	}
	return out
}

// origins names where the entries of t come from, for errors.
func origins(t *overlay.Tree) string {
	var names []string
	for _, e := range t.Entries() {
		if e.Origin != "" && !slices.Contains(names, e.Origin) {
			names = append(names, e.Origin)
		}
	}
	if len(names) == 0 {
		return "the image"
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
