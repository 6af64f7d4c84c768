package rubygems

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/overlay"
)

// The forms of rbconfig.rb by mkconfig.rb of four Rubies, reduced to the lines that are read.
const (
	rbconfig18 = `module Config
  RUBY_VERSION == "1.8.7" or
    raise "ruby lib version (1.8.7) doesn't match executable version (#{RUBY_VERSION})"

  TOPDIR = File.dirname(__FILE__).chomp!("/lib/ruby/1.8/i686-linux")
  DESTDIR = TOPDIR && TOPDIR[/\A[a-z]:/i] || '' unless defined? DESTDIR
  CONFIG = {}
  CONFIG["DESTDIR"] = DESTDIR
  CONFIG["MAJOR"] = "1"
  CONFIG["MINOR"] = "8"
  CONFIG["TEENY"] = "7"
  CONFIG["INSTALL"] = '/usr/bin/install -c'
  CONFIG["prefix"] = (TOPDIR || DESTDIR + "/usr/local")
  CONFIG["EXEEXT"] = ""
  CONFIG["ruby_install_name"] = "ruby"
  CONFIG["exec_prefix"] = "$(prefix)"
  CONFIG["bindir"] = "$(exec_prefix)/bin"
  CONFIG["libdir"] = "$(exec_prefix)/lib"
  CONFIG["ruby_version"] = "$(MAJOR).$(MINOR)"
  CONFIG["rubylibdir"] = "$(libdir)/ruby/$(ruby_version)"
  CONFIG["sitedir"] = "$(libdir)/ruby/site_ruby"
  CONFIG["sitelibdir"] = "$(sitedir)/$(ruby_version)"
  CONFIG["topdir"] = File.dirname(__FILE__)
  MAKEFILE_CONFIG = {}
`
	rbconfig19 = `module RbConfig
  RUBY_VERSION == "1.9.3" or
    raise "ruby lib version (1.9.3) doesn't match executable version (#{RUBY_VERSION})"
  TOPDIR = File.dirname(__FILE__).chomp!("/lib/ruby/1.9.1/i686-linux")
  CONFIG["MAJOR"] = "1"
  CONFIG["MINOR"] = "9"
  CONFIG["TEENY"] = "1"
  CONFIG["prefix"] = (TOPDIR || DESTDIR + "/opt/wrong")
  CONFIG["ruby_install_name"] = "ruby"
  CONFIG["EXEEXT"] = ""
  CONFIG["exec_prefix"] = "$(prefix)"
  CONFIG["bindir"] = "${exec_prefix}/bin"
  CONFIG["libdir"] = "$(exec_prefix)/lib"
  CONFIG["rubylibprefix"] = "$(libdir)/$(RUBY_BASE_NAME)"
  CONFIG["RUBY_BASE_NAME"] = "ruby"
  CONFIG["ruby_version"] = "1.9.1"
  CONFIG["sitedir"] = "$(rubylibprefix)/site_ruby"
  CONFIG["sitelibdir"] = "$(sitedir)/$(ruby_version)"
`
)

func rubyTree(t *testing.T, rbconfigPath, rbconfig, bin string) *overlay.Tree {
	t.Helper()
	tree := &overlay.Tree{}
	for _, e := range []overlay.Entry{
		overlay.File(rbconfigPath, 0o644, []byte(rbconfig)), overlay.File(bin, 0o755, []byte("ELF")),
	} {
		e.Origin = "ruby.tcz"
		testkit.Must(t, tree.Put(e))
	}
	return tree
}

func TestFindRuby(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, path, text, bin string
		want                  Ruby
	}{
		{
			"1.8", "usr/local/lib/ruby/1.8/i686-linux/rbconfig.rb", rbconfig18, "usr/local/bin/ruby",
			Ruby{
				Bin: "/usr/local/bin/ruby", Version: "1.8", Release: "1.8.7", RubyLibPrefix: "/usr/local/lib/ruby",
				SiteLib: "/usr/local/lib/ruby/site_ruby/1.8", GemDir: "/usr/local/lib/ruby/gems/1.8",
			},
		},
		{
			"1.8 moved", "opt/r/lib/ruby/1.8/i686-linux/rbconfig.rb", rbconfig18, "opt/r/bin/ruby",
			Ruby{
				Bin: "/opt/r/bin/ruby", Version: "1.8", Release: "1.8.7", RubyLibPrefix: "/opt/r/lib/ruby",
				SiteLib: "/opt/r/lib/ruby/site_ruby/1.8", GemDir: "/opt/r/lib/ruby/gems/1.8",
			},
		},
		{
			"1.8 with its file elsewhere", "usr/lib/rbconfig.rb", rbconfig18, "usr/local/bin/ruby",
			Ruby{
				Bin: "/usr/local/bin/ruby", Version: "1.8", Release: "1.8.7", RubyLibPrefix: "/usr/local/lib/ruby",
				SiteLib: "/usr/local/lib/ruby/site_ruby/1.8", GemDir: "/usr/local/lib/ruby/gems/1.8",
			},
		},
		{
			"1.9", "usr/local/lib/ruby/1.9.1/i686-linux/rbconfig.rb", rbconfig19, "usr/local/bin/ruby",
			Ruby{
				Bin: "/usr/local/bin/ruby", Version: "1.9.1", Release: "1.9.3", RubyLibPrefix: "/usr/local/lib/ruby",
				SiteLib: "/usr/local/lib/ruby/site_ruby/1.9.1", GemDir: "/usr/local/lib/ruby/gems/1.9.1",
			},
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := FindRuby(rubyTree(t, tc.path, tc.text, tc.bin))
			testkit.Must(t, err)
			if got.Bin != tc.want.Bin || got.Version != tc.want.Version || got.Release != tc.want.Release ||
				got.RubyLibPrefix != tc.want.RubyLibPrefix || got.SiteLib != tc.want.SiteLib || got.GemDir != tc.want.GemDir {
				t.Errorf("got  %+v\nwant %+v", *got, tc.want)
			}
		})
	}
}

func TestFindRubyErrors(t *testing.T) {
	t.Parallel()
	const at, bin = "usr/local/lib/ruby/1.8/i686-linux/rbconfig.rb", "usr/local/bin/ruby"
	two := rubyTree(t, at, rbconfig18, bin)
	testkit.Must(t, two.Put(overlay.File("opt/r/lib/ruby/1.8/i686-linux/rbconfig.rb", 0o644, []byte(rbconfig18))))
	testkit.Must(t, two.Put(overlay.File("opt/r/bin/ruby", 0o755, nil)))
	tests := []struct {
		name, want string
		tree       *overlay.Tree
	}{
		{"none", "ruby.tcz: no Ruby installation: there is no rbconfig.rb", rubyTree(t, "x", "", bin)},
		{"empty tree", "the image", &overlay.Tree{}},
		{"no interpreter", "interpreter /usr/local/bin/ruby is missing", rubyTree(t, at, rbconfig18, "usr/bin/ruby")},
		{"two", "several", two},
		{"loop", "no bindir", rubyTree(t, at, strings.Replace(rbconfig18, `"$(exec_prefix)/bin"`, `"/$(bindir)$(bindir)"`, 1), bin)},
		{
			"hostile name", "#! line",
			rubyTree(t, at, strings.Replace(rbconfig18, `= "ruby"`, `= "ruby -e evil"`, 1), "usr/local/bin/ruby -e evil"),
		},
		{
			"hostile version", "ruby_version",
			rubyTree(t, at, strings.Replace(rbconfig18, `"$(MAJOR).$(MINOR)"`, `"../../../etc"`, 1), bin),
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r, err := FindRuby(tc.tree)
			if !errors.Is(err, ErrNoRuby) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %+v, %v, want ErrNoRuby with %q", r, err, tc.want)
			}
		})
	}
}

// TestFindRubyLikeRuby reads the rbconfig.rb of a real Ruby and compares the result with that Ruby's own.
func TestFindRubyLikeRuby(t *testing.T) {
	t.Parallel()
	testkit.Tool(t, "ruby")
	said := strings.Split(testkit.Run(t, "ruby", "-rrbconfig", "-e", `
		c = RbConfig::CONFIG
		puts $LOADED_FEATURES.grep(/rbconfig\.rb$/), RbConfig.ruby, c["ruby_version"], RUBY_VERSION, c["rubylibprefix"], c["sitelibdir"]
	`), "\n")
	text, err := os.ReadFile(said[0])
	testkit.Must(t, err)
	tree := rubyTree(t, said[0][1:], string(text), said[1][1:])
	spec := filepath.Join(said[4], "gems", said[2], "specifications/default/json-2.6.1.gemspec")[1:]
	testkit.Must(t, tree.Put(overlay.File(spec, 0o644, nil)))
	got, err := FindRuby(tree)
	testkit.Must(t, err)
	for i, s := range []string{got.Bin, got.Version, got.Release, got.RubyLibPrefix, got.SiteLib} {
		if s != said[i+1] {
			t.Errorf("got %q, Ruby says %q", s, said[i+1])
		}
	}
	for _, dir := range strings.Fields(testkit.Run(t, "ruby", "--disable-gems", "-e", "puts $LOAD_PATH")) {
		if !slices.Contains(got.LoadPath, dir) {
			t.Errorf("Ruby looks into %s, which is missing in %q", dir, got.LoadPath)
		}
	}
	if len(got.Gems) != 1 || got.Gems[0].String() != "json-2.6.1" {
		t.Errorf("default gems: got %v, want json-2.6.1", got.Gems)
	}
}

func TestProvides(t *testing.T) {
	t.Parallel()
	tree := rubyTree(t, "usr/local/lib/ruby/1.8/i686-linux/rbconfig.rb", rbconfig18, "usr/local/bin/ruby")
	for _, name := range []string{
		"usr/local/lib/ruby/1.8/singleton.rb", "usr/local/lib/ruby/1.8/i686-linux/digest/md5.so", "usr/local/lib/ruby/site_ruby/1.8/rubygems.rb",
		"usr/local/lib/ruby/gems/1.8/gems/baked-1/lib/baked.rb", "usr/local/lib/ruby/1.8/rss/stomp.rb", "home/tc/lib/elsewhere.rb",
	} {
		testkit.Must(t, tree.Put(overlay.File(name, 0o644, nil)))
	}
	testkit.Must(t, tree.Put(overlay.Symlink("usr/local/lib/ruby/1.8/linked.rb", "singleton.rb")))
	testkit.Must(t, tree.Put(overlay.Symlink("usr/local/lib/ruby/1.8/dangling.rb", "gone.rb")))
	testkit.Must(t, tree.Put(overlay.Dir("usr/local/lib/ruby/1.8/folder.rb", 0o755)))
	testkit.Must(t, tree.Put(overlay.Dir("usr/local/lib/ruby/gems/1.8/gems/baked-1", 0o755)))
	gems := []*Gem{
		mustGem(t, meta("later", "1"), gemFile{name: "lib/later/part.rb"}, gemFile{name: "ext/inner.rb"}),
		mustGem(t, strings.Replace(meta("odd", "1"), "- lib\n", "- code\n", 1), gemFile{name: "code/odd.rb"}, gemFile{name: "lib/stomp.rb"}),
	}
	ruby, err := FindRuby(tree)
	testkit.Must(t, err)
	for feature, want := range map[string]bool{
		"singleton": true, "digest/md5": true, "rubygems": true, "baked": true, "linked": true, "later/part": true, "odd": true,
		"stomp": false, "elsewhere": false, "dangling": false, "folder": false, "inner": false, "digest": false, "thread": false, "": false,
	} {
		if got := ruby.Provides(tree, gems, feature); got != want {
			t.Errorf("%q: got %v, want %v", feature, got, want)
		}
	}
	if ruby.Release = "1.9.3"; !ruby.Provides(tree, nil, "thread") || ruby.Provides(tree, nil, "later/part") {
		t.Error("1.9 has thread inside, and no gem")
	}
}

func FuzzRbconfig(f *testing.F) {
	f.Add(rbconfig18)
	f.Add(rbconfig19)
	f.Add("CONFIG[\"a\"] = \"$(b)$(b)\"\nCONFIG[\"b\"] = \"$(a)${c}$$\"")
	f.Fuzz(func(t *testing.T, text string) {
		c := parseRbconfig(text, "/usr/local/lib/ruby/1.8/i686-linux")
		for key := range c.values {
			if v := c.get(key); len(v) > maxExpanded && len(v) > len(c.values[key]) {
				t.Errorf("%s expands to %d bytes", key, len(v))
			}
		}
	})
}
