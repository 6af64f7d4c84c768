package rubygems

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/overlay"
)

// ErrNoRuby is returned for a tree without a usable Ruby.
var ErrNoRuby = fail.New(fail.Usage, "no Ruby installation",
	"add ruby to `extensions` in mkbuild.yaml, or leave out what needs it: `rubygems: null`, `mcollective: null`")

// ErrNoRbconfig is the cause if the tree has no rbconfig.rb.
var ErrNoRbconfig = errors.New("there is no rbconfig.rb")

// Ruby is an interpreter inside an image, according to its rbconfig.rb. All paths are absolute paths of the booted
// image.
type Ruby struct {
	// Bin is the interpreter: "/usr/local/bin/ruby".
	Bin string
	// Version is the version in the names of its library directories, CONFIG["ruby_version"]: "1.8".
	Version string
	// Release is RUBY_VERSION: "1.8.7".
	Release string
	// RubyLibPrefix holds libraries of all versions: "/usr/local/lib/ruby".
	RubyLibPrefix string
	// SiteLib is setup.rb's target for a library: "/usr/local/lib/ruby/site_ruby/1.8".
	SiteLib string
	// GemDir is RubyGems' default directory: "/usr/local/lib/ruby/gems/1.8".
	GemDir string
	// LoadPath are its library directories: "/usr/local/lib/ruby/1.8/i686-linux".
	LoadPath []string
	// RubyGems is the version of RubyGems in the image. If it is empty, required_rubygems_version of gems is not
	// checked.
	RubyGems string
	// Gems are the gems already in GemDir of the tree: the default gems of Ruby 2.x and later.
	Gems []Spec
}

// FindRuby finds the one Ruby in t, the tree of a ruby extension or of a whole image. It fails with [ErrNoRuby] if
// t has no rbconfig.rb that names an interpreter of the same tree, or has several of them.
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
		ruby.LoadPath = append(ruby.LoadPath, "/"+path.Dir(e.Path)) // of the libraries in C
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
	return nil, fmt.Errorf("find ruby in %s: %w: %w", origins(t), ErrNoRuby, ErrNoRbconfig)
}

// rubyOf turns a configuration into a Ruby, like Gem.default_dir and setup.rb.
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
	for _, key := range []string{
		"sitelibdir", "sitearchdir", "sitedir", "vendorlibdir", "vendorarchdir", "vendordir", "rubylibdir", "rubyarchdir", "archdir",
	} {
		if dir := c.dir(key); dir != "" && !slices.Contains(r.LoadPath, dir) {
			r.LoadPath = append(r.LoadPath, dir)
		}
	}
	r.GemDir = path.Join(r.RubyLibPrefix, "gems", r.Version)
	r.Gems = presentGems(t, r.GemDir)
	return r, nil
}

// builtIn are libraries without a file: the interpreter of Ruby 1.9 and later contains them.
var builtIn = []string{"thread", "enumerator", "rational", "complex", "fiber"}

// Provides reports whether `require feature` ("stomp", "digest/md5") finds a file on the booted system: in Ruby's
// own directories, in a gem inside t, the whole image, or in one of gems, which are installed later. It does not
// check the requirements of that file.
func (r *Ruby) Provides(t *overlay.Tree, gems []*Gem, feature string) bool {
	in := func(t *overlay.Tree, dir string) bool {
		for _, ext := range []string{".rb", ".so"} {
			if e, err := t.Lookup(path.Join(dir, feature+ext)); err == nil && e.IsRegular() {
				return true
			}
		}
		return false
	}
	for _, dir := range r.LoadPath {
		if in(t, dir) {
			return true
		}
	}
	for _, home := range t.Children(strings.TrimPrefix(r.GemDir, "/") + "/gems") {
		if in(t, home.Path+"/lib") {
			return true
		}
	}
	for _, g := range gems {
		for _, dir := range g.Metadata.RequirePaths {
			if in(g.Files, dir) {
				return true
			}
		}
	}
	return !strings.HasPrefix(r.Release, "1.8") && slices.Contains(builtIn, feature)
}

// shebangPath is a path that is valid in a #! line of the kernel and a single word in a shell.
var shebangPath = regexp.MustCompile(`^/[A-Za-z0-9._/+-]{1,120}$`)

// specFile is the name of a specification: "json-2.6.1.gemspec".
var specFile = regexp.MustCompile(`^(.+?)-([0-9][0-9A-Za-z.]*)(-[0-9a-z_-]+)?\.gemspec$`)

// presentGems lists the specifications in a tree, including the default gems.
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

// origins names the sources of t's entries, for errors.
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

// Limits on expanding an rbconfig.rb.
const (
	maxRbconfig    = 1 << 20 // bytes of the file; real ones are 10 to 20 KiB
	maxExpandDepth = 32      // nested $(name)
	maxExpansions  = 1000    // $(name) in one value, over all levels
	maxExpanded    = 4096    // bytes of one value: PATH_MAX
)

var (
	topdirForm  = regexp.MustCompile(`(?m)^\s*TOPDIR\s*=\s*File\.dirname\(__FILE__\)\.chomp!\("([^"\n]*)"\)`)
	configForm  = regexp.MustCompile(`^\s*CONFIG\["(\w+)"\]\s*=(.*)$`)
	prefixForm  = regexp.MustCompile(`^\(\s*TOPDIR\s*\|\|\s*DESTDIR\s*\+\s*"([^"]*)"\s*\)$`)
	releaseForm = regexp.MustCompile(`ruby lib version \(([0-9.]+)\)`)
	nameForm    = regexp.MustCompile(`\$\$|\$\((\w+)\)|\$\{(\w+)\}`)
	escapeForm  = regexp.MustCompile(`\\(.)`)
)

// rbconfig is the CONFIG hash of an rbconfig.rb with unexpanded values.
type rbconfig struct {
	values  map[string]string
	release string // the file's RUBY_VERSION: "1.8.7"
}

// parseRbconfig reads the assignments of an rbconfig.rb in directory dir, an absolute path inside the image. Ruby's
// mkconfig.rb writes one assignment a line, since 1.8:
//
//	TOPDIR = File.dirname(__FILE__).chomp!("/lib/ruby/1.8/i686-linux")
//	CONFIG["prefix"] = (TOPDIR || DESTDIR + "/usr/local")
//	CONFIG["sitelibdir"] = "$(sitedir)/$(ruby_version)"
//
// TOPDIR is the file's directory without that suffix: a relocated Ruby finds its prefix this way. Other computed
// values are skipped. DESTDIR is empty on a running system.
func parseRbconfig(text, dir string) rbconfig {
	c := rbconfig{values: map[string]string{"DESTDIR": ""}}
	if m := releaseForm.FindStringSubmatch(text); m != nil {
		c.release = m[1]
	}
	topdir := ""
	if m := topdirForm.FindStringSubmatch(text); m != nil && m[1] != "" {
		topdir, _ = strings.CutSuffix(dir, m[1])
		if topdir == dir {
			topdir = ""
		}
	}
	for line := range strings.Lines(text) {
		m := configForm.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		key, value := m[1], strings.TrimSpace(m[2])
		if p := prefixForm.FindStringSubmatch(value); p != nil {
			c.values[key] = p[1]
			if topdir != "" {
				c.values[key] = topdir
			}
		} else if literal, ok := rubyLiteral(value); ok {
			c.values[key] = literal
		}
	}
	return c
}

// rubyLiteral reads a quoted Ruby string without interpolation.
func rubyLiteral(s string) (string, bool) {
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '"' && s[0] != '\'' {
		return "", false
	}
	body := s[1 : len(s)-1]
	if s[0] == '"' && strings.Contains(strings.ReplaceAll(body, `\#`, ""), "#{") {
		return "", false
	}
	return escapeForm.ReplaceAllString(body, "$1"), true
}

// get returns a value with $(name) and ${name} expanded; unknown names stay, as in RbConfig.expand.
func (c rbconfig) get(key string) string {
	left := maxExpansions
	return c.expand(c.values[key], 0, &left)
}

// expand works level by level; left bounds the growth of values that refer to each other.
func (c rbconfig) expand(s string, depth int, left *int) string {
	if depth > maxExpandDepth || len(s) > maxExpanded {
		return s
	}
	out := nameForm.ReplaceAllStringFunc(s, func(ref string) string {
		if ref == "$$" {
			return "$"
		}
		value, ok := c.values[ref[2:len(ref)-1]]
		if *left--; !ok || *left < 0 {
			return ref
		}
		return c.expand(value, depth+1, left)
	})
	return out[:min(len(out), maxExpanded)]
}

// dir returns a value that is an absolute directory, or "".
func (c rbconfig) dir(key string) string {
	p := c.get(key)
	if !strings.HasPrefix(p, "/") || strings.ContainsAny(p, "\x00\n$") {
		return ""
	}
	return path.Clean(p)
}
