package main

import (
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

const rbconfigText = `module RbConfig
  TOPDIR = File.dirname(__FILE__).chomp!("/lib/i386-linux-gnu/ruby/3.1.0")
  CONFIG["prefix"] = (TOPDIR || DESTDIR + "/usr")
  CONFIG["ruby_install_name"] = "$(RUBY_BASE_NAME)3.1"
  CONFIG["RUBY_INSTALL_NAME"] = "$(RUBY_BASE_NAME)3.1"
  CONFIG["sitearchdir"] = "$(DESTDIR)/usr/local/lib/i386-linux-gnu/site_ruby"
  CONFIG["sitelibdir"] = "$(sitedir)/$(ruby_version)"
  CONFIG["sitedir"] = "$(DESTDIR)/usr/local/lib/site_ruby"
  CONFIG["rubyarchdir"] = "$(rubyarchprefix)/$(ruby_version)"
end
`

func TestMoveRuby(t *testing.T) {
	got, err := moveRuby(rbconfigText, "i386-linux-gnu")
	testkit.Must(t, err)
	for _, want := range []string{
		`TOPDIR = File.dirname(__FILE__).chomp!("/lib/ruby/3.1.0/i386-linux-gnu")`,
		`CONFIG["prefix"] = (TOPDIR || DESTDIR + "/usr/local")`,
		`CONFIG["sitedir"] = "$(rubylibprefix)/site_ruby"`,
		`CONFIG["sitelibdir"] = "$(sitedir)/$(ruby_version)"`,
		`CONFIG["ruby_install_name"] = "$(RUBY_BASE_NAME)"`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no %s in:\n%s", want, got)
		}
	}
}

func TestMoveRubyRefusesAnotherFile(t *testing.T) {
	for _, drop := range []string{"TOPDIR = File", `CONFIG["prefix"]`, `CONFIG["sitedir"]`} {
		if _, err := moveRuby(strings.Replace(rbconfigText, drop, "X", 1), "i386-linux-gnu"); err == nil {
			t.Errorf("a file without %s is taken", drop)
		}
	}
}

func TestKeepStdlib(t *testing.T) {
	for name, want := range map[string]bool{
		"json.rb": true, "rubygems.rb": false, "rubygems/version.rb": false, "bundler/cli.rb": false, "rdoc/rubygems_hook.rb": true,
	} {
		if got := keepStdlib(name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}
