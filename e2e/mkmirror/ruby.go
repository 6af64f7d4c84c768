package main

import (
	"fmt"
	"regexp"
	"strings"

	"mkbuild/internal/overlay"
)

// rubyVersion is the version in the names of Ruby's library directories.
const rubyVersion = "3.1.0"

const (
	rubyLib  = "usr/local/lib/ruby/" + rubyVersion
	rubyGems = "usr/local/lib/ruby/gems/" + rubyVersion
)

// fillRuby arranges Debian's Ruby like Tiny Core's: everything below /usr/local/lib/ruby, with links from the
// compiled-in paths of Debian's interpreter. It omits Bundler, and RubyGems if its own archive must provide it, as
// for Ruby 1.8.
func fillRuby(b *builder, m *mirror) {
	triplet := m.pool.platform.triplet
	rubyArch := rubyLib + "/" + triplet
	b.take("ruby3.1", "usr/bin/ruby3.1", "usr/local/bin/ruby", 0o755)
	b.put(overlay.Symlink("usr/local/bin/ruby3.1", "ruby"))
	b.takeTree("libruby3.1", "usr/lib/ruby/"+rubyVersion, rubyLib, keepStdlib)
	b.takeTree("libruby3.1", "usr/lib/"+triplet+"/ruby/"+rubyVersion, rubyArch, func(name string) bool {
		return name != "rbconfig.rb"
	})
	b.takeTree("libruby3.1", "usr/lib/ruby/gems/"+rubyVersion+"/specifications/default", rubyGems+"/specifications/default",
		func(name string) bool { return !strings.HasPrefix(name, "bundler-") })
	rubyConfig(b)
	if m.series.rubyGems {
		ownRubyGems(b)
	}
	for _, d := range []string{"", "/" + rubyVersion, "/" + rubyVersion + "/" + triplet} {
		b.put(overlay.Dir("usr/local/lib/ruby/site_ruby"+d, 0o755))
	}
	b.put(overlay.Dir("usr/local/lib/"+triplet, 0o755))
	b.put(overlay.Symlink("usr/local/lib/site_ruby", "ruby/site_ruby"))
	b.put(overlay.Symlink("usr/local/lib/"+triplet+"/site_ruby", "../ruby/site_ruby/"+rubyVersion+"/"+triplet))
	b.put(overlay.Symlink("usr/lib/ruby", "/usr/local/lib/ruby"))
	b.put(overlay.Symlink("usr/lib/"+triplet+"/ruby", "/usr/local/lib/ruby/"+triplet))
	b.put(overlay.Symlink("usr/local/lib/ruby/"+triplet+"/"+rubyVersion, "../"+rubyVersion+"/"+triplet))
}

// keepStdlib excludes RubyGems and Bundler.
func keepStdlib(name string) bool {
	top, _, _ := strings.Cut(name, "/")
	switch top {
	case "rubygems", "rubygems.rb", "bundler", "bundler.rb":
		return false
	}
	return true
}

// rubyConfig adds rbconfig.rb with the directories of this layout.
func rubyConfig(b *builder) {
	triplet := b.pool.platform.triplet
	from, to := "usr/lib/"+triplet+"/ruby/"+rubyVersion+"/rbconfig.rb", rubyLib+"/"+triplet+"/rbconfig.rb"
	b.edit("libruby3.1", from, to, 0o644, func(text string) (string, error) { return moveRuby(text, triplet) })
}

// ownRubyGems adds RubyGems to the standard library, because Ruby includes it since 1.9.
func ownRubyGems(b *builder) {
	b.takeTree("ruby-rubygems", "usr/lib/ruby/vendor_ruby", rubyLib, func(name string) bool {
		top, _, _ := strings.Cut(name, "/")
		return (top == "rubygems" || top == "rubygems.rb") && !strings.HasSuffix(name, "defaults/operating_system.rb") // Debian's own
	})
	b.edit("ruby-rubygems", "usr/bin/gem", "usr/local/bin/gem", 0o755, func(text string) (string, error) {
		return interpreter("/usr/local/bin/ruby", text), nil
	})
}

// interpreter changes the first line of a script.
func interpreter(program, text string) string {
	_, rest, _ := strings.Cut(text, "\n")
	return "#!" + program + "\n" + rest
}

var topdirLine = regexp.MustCompile(`(?m)^(\s*TOPDIR = File\.dirname\(__FILE__\)\.chomp!\()"[^"]*"`)

// moveRuby edits the text of Debian's rbconfig.rb. It fails if an expected line is missing, so that another Ruby
// package cannot pass unchanged.
func moveRuby(text, triplet string) (string, error) {
	if !topdirLine.MatchString(text) {
		return "", fmt.Errorf("edit rbconfig.rb: no TOPDIR")
	}
	text = topdirLine.ReplaceAllString(text, `${1}"/lib/ruby/`+rubyVersion+`/`+triplet+`"`)
	for _, change := range [][2]string{
		{"prefix", `(TOPDIR || DESTDIR + "/usr/local")`},
		{"sitedir", `"$(rubylibprefix)/site_ruby"`},
		{"sitearchdir", `"$(sitelibdir)/$(sitearch)"`},
		{"rubyarchdir", `"$(rubylibdir)/$(arch)"`},
		{"RUBY_INSTALL_NAME", `"$(RUBY_BASE_NAME)"`},
		{"ruby_install_name", `"$(RUBY_BASE_NAME)"`},
	} {
		line := regexp.MustCompile(`(?m)^(\s*CONFIG\["` + change[0] + `"\]\s*=\s*).*$`)
		if !line.MatchString(text) {
			return "", fmt.Errorf("edit rbconfig.rb: no CONFIG[%q]", change[0])
		}
		text = line.ReplaceAllString(text, "${1}"+strings.ReplaceAll(change[1], "$", "$$"))
	}
	return text, nil
}
