package rubygems

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/overlay"
)

// sourceTree is a source archive of RubyGems with its top folder stripped.
func sourceTree(t *testing.T, version string, extra ...string) *overlay.Tree {
	t.Helper()
	tree := &overlay.Tree{}
	files := append([]string{
		"setup.rb", "README.rdoc", "History.txt", "test/test_gem.rb", "bin/update_rubygems", "bin/gem", "lib/rubygems.rb",
		"lib/ubygems.rb", "lib/rubygems/version.rb", "lib/rubygems/ssl_certs/ca.pem", "lib/rubygems/ssl_certs/.document",
		"lib/rubygems/LICENSE.txt", "lib/rbconfig/datadir.rb", "bundler/lib/bundler.rb",
	}, extra...)
	for _, f := range files {
		text := "# " + f + "\n"
		switch f {
		case "lib/rubygems.rb":
			text = "module Gem\n" + versionLine(version) + "end\n"
		case "bin/gem", "exe/gem":
			text = "#!/usr/bin/env ruby\nrequire 'rubygems'\n"
		}
		e := overlay.File(f, 0o600, []byte(text))
		e.UID, e.MTime, e.Origin = 501, 1325376000, "rubygems-"+version+".tgz"
		testkit.Must(t, tree.Put(e))
	}
	return tree
}

// versionLine returns the line of a version in its lib/rubygems.rb.
func versionLine(version string) string {
	switch v := newVersion(version); {
	case v.Compare(newVersion("1.3.5")) < 0:
		return "  RubyGemsPackageVersion = RubyGemsVersion\n"
	case v.Compare(newVersion("1.6.0")) < 0:
		return "  SOME_VERSION = RUBY_VERSION =~ /^1\\.9\\.2/\n  RubyGemsVersion = VERSION = '" + version + "'\n"
	case v.Compare(newVersion("3.0.0")) < 0:
		return "  VERSION = '" + version + "'\n"
	}
	return "  VERSION = \"" + version + "\".freeze\n"
}

func TestStageRubyGems(t *testing.T) {
	t.Parallel()
	const plain = `f 0755 0:0 usr/local/bin/gem
d 0755 0:0 usr/local/lib/ruby/site_ruby/1.8
d 0755 0:0 usr/local/lib/ruby/site_ruby/1.8/rbconfig
f 0644 0:0 usr/local/lib/ruby/site_ruby/1.8/rbconfig/datadir.rb
d 0755 0:0 usr/local/lib/ruby/site_ruby/1.8/rubygems
f 0644 0:0 usr/local/lib/ruby/site_ruby/1.8/rubygems.rb
f 0644 0:0 usr/local/lib/ruby/site_ruby/1.8/rubygems/version.rb
f 0644 0:0 usr/local/lib/ruby/site_ruby/1.8/ubygems.rb
`
	with := func(more ...string) string {
		s := plain
		for _, m := range more {
			s = strings.Replace(s, "f 0644 0:0 usr/local/lib/ruby/site_ruby/1.8/rubygems/version.rb\n",
				m+"f 0644 0:0 usr/local/lib/ruby/site_ruby/1.8/rubygems/version.rb\n", 1)
		}
		return s
	}
	const (
		license = "f 0644 0:0 usr/local/lib/ruby/site_ruby/1.8/rubygems/LICENSE.txt\n"
		certs   = "d 0755 0:0 usr/local/lib/ruby/site_ruby/1.8/rubygems/ssl_certs\n"
		dotFile = "f 0644 0:0 usr/local/lib/ruby/site_ruby/1.8/rubygems/ssl_certs/.document\n"
		pem     = "f 0644 0:0 usr/local/lib/ruby/site_ruby/1.8/rubygems/ssl_certs/ca.pem\n"
	)
	tests := map[string]string{
		"1.3.5": plain, "1.3.7": plain, "1.5.3": plain, "1.6.0": plain, "1.8.15": plain, "1.8.23.2": plain, "1.8.24": with(certs, pem), "2.0.0": plain, "2.0.0.rc.2": plain, "2.0.2": with(certs, pem),
		"3.1.6": with(certs, pem), "3.2.0.rc.1": with(license, certs, dotFile, pem), "3.3.15": with(license, certs, dotFile, pem),
	}
	for version, want := range tests {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			tree, err := StageRubyGems(ruby18(), sourceTree(t, version), version)
			testkit.Must(t, err)
			if got := listing(tree); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			b, err := tree.Get("usr/local/bin/gem").Content(1 << 10)
			if want := "#!/usr/local/bin/ruby\nrequire 'rubygems'\n"; err != nil || string(b) != want {
				t.Errorf("gem: got %q, %v, want %q", b, err, want)
			}
		})
	}
}

// TestStageRubyGemsBefore135 has the version in a separate file.
func TestStageRubyGemsBefore135(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{"1.3.1": "", "1.3.4": "lib/rubygems/rubygems_version.rb is version \"1.3.4\""} {
		src := sourceTree(t, "1.3.1")
		testkit.Must(t, src.Put(overlay.File("lib/rubygems/rubygems_version.rb", 0o644, []byte("module Gem\n  RubyGemsVersion = '"+given+"'\nend\n"))))
		tree, err := StageRubyGems(ruby18(), src, "1.3.1")
		if want == "" && (err != nil || tree.Get("usr/local/lib/ruby/site_ruby/1.8/rubygems/rubygems_version.rb") == nil) ||
			want != "" && (!errors.Is(err, ErrNotRubyGems) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", given, err, want)
		}
	}
}

func TestStageRubyGemsFromExe(t *testing.T) {
	t.Parallel()
	src := sourceTree(t, "3.5.0", "exe/gem")
	src.Remove("bin")
	src.Remove("bin/gem")
	tree, err := StageRubyGems(ruby18(), src, "3.5.0")
	if err != nil || tree.Get("usr/local/bin/gem") == nil {
		t.Errorf("got %v, want /usr/local/bin/gem out of exe", err)
	}
}

func TestStageRubyGemsErrors(t *testing.T) {
	t.Parallel()
	noGem, noLib := sourceTree(t, "1.8.15"), sourceTree(t, "1.8.15")
	noGem.Remove("bin/gem")
	noLib.Remove("lib/rubygems.rb")
	device := sourceTree(t, "1.8.15")
	testkit.Must(t, device.Put(overlay.Entry{Path: "lib/x.rb", Mode: overlay.TypeChar}))
	tests := []struct {
		name, version, want string
		src                 *overlay.Tree
	}{
		{"no version", "1.3.1", "neither lib/rubygems.rb nor lib/rubygems/rubygems_version.rb gives a VERSION", sourceTree(t, "1.3.1")},
		{"other version", "1.8.15", `rubygems-1.8.24.tgz: not the source of RubyGems: lib/rubygems.rb is version "1.8.24"`, sourceTree(t, "1.8.24")},
		{"no gem", "1.8.15", "neither bin/gem nor exe/gem", noGem},
		{"no library", "1.8.15", "lib/rubygems.rb", noLib},
		{"device", "1.8.15", "lib/x.rb is no regular file", device},
		{"bad version", "../x", "malformed version", sourceTree(t, "1.8.15")},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tree, err := StageRubyGems(ruby18(), tc.src, tc.version)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, %v, want %q", tree, err, tc.want)
			}
		})
	}
	if _, err := StageRubyGems(ruby18(), noGem, "1.8.15"); !errors.Is(err, ErrNotRubyGems) {
		t.Errorf("got %v, want ErrNotRubyGems", err)
	}
}

// TestStagedRubyGemsLoads stages this machine's RubyGems and loads it with Ruby's own disabled.
func TestStagedRubyGemsLoads(t *testing.T) {
	t.Parallel()
	bin := testkit.Tool(t, "ruby")
	said := strings.Split(testkit.Run(t, "ruby", "-e", "puts Gem::VERSION, $LOADED_FEATURES.grep(/\\/rubygems\\.rb$/)"), "\n")
	version, lib := said[0], filepath.Dir(said[1])
	src := &overlay.Tree{}
	add := func(name, file string) {
		b, err := os.ReadFile(file)
		if err == nil {
			err = src.Put(overlay.File(name, 0o644, b))
		}
		testkit.Must(t, err)
	}
	add("lib/rubygems.rb", filepath.Join(lib, "rubygems.rb"))
	add("bin/gem", testkit.Tool(t, "gem"))
	err := filepath.WalkDir(filepath.Join(lib, "rubygems"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(lib, p)
		if d.Name() != "operating_system.rb" { // Debian's own directories
			add("lib/"+filepath.ToSlash(rel), p)
		}
		return err
	})
	testkit.Must(t, err)
	ruby := realRuby(t)
	tree, err := StageRubyGems(ruby, src, version)
	testkit.Must(t, err)
	dir := t.TempDir()
	write(t, tree, dir)
	site := filepath.Join(dir, ruby.SiteLib)
	got := testkit.Run(t, bin, "--disable-gems", "-I", site, "-e", "require 'rubygems'; puts Gem::VERSION, $\".grep(/rubygems\\/specification.rb/)")
	if want := version + "\n" + site + "/rubygems/specification.rb\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	got = inStage(t, filepath.Join(dir, "none"), bin, "--disable-gems", "-I", site, filepath.Join(dir, binDir, "gem"), "--version")
	if got != version+"\n" {
		t.Errorf("staged gem --version: got %q, want %q", got, version)
	}
}
