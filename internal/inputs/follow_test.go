package inputs

import (
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/config"
	"mkbuild/internal/fail"
)

func parsed(t *testing.T, text string) config.Config {
	t.Helper()
	c, err := config.Parse("mk.yaml", []byte(text))
	testkit.Must(t, err)
	return c
}

func TestFollowRelease(t *testing.T) {
	documents := func(c config.Config) bool { return slices.Contains(c.Extensions, "libssl-0.9.8") && len(c.Picks) == 1 }
	for _, tc := range []struct {
		name, text string
		changed    string // the messages about it, joined
		check      func(config.Config) bool
	}{
		{"the defaults' own release", "", "", documents},
		{"another point release", "release: 4.7.7\n", "", documents},
		{"the other architecture", "arch: x86_64\n", "extensions ruby | ruby-2.2 | ruby-2.1 | ruby-2.0 | ruby-1.9 | -, bash, ",
			func(c config.Config) bool { return len(c.Picks) == 0 }},
		{"all left alone", "release: 10.0\n", "firmware-broadcom_bnx2x | -; no files picked from util-linux",
			func(c config.Config) bool { return len(c.Picks) == 0 && c.Validate() == nil }},
		{"extensions of one's own", "release: 10.0\nextensions: [ruby, lshw]\n", "no files picked from util-linux",
			func(c config.Config) bool { return slices.Equal(c.Extensions, []string{"ruby", "lshw"}) }},
		{"no extensions", "release: 10.0\nextensions: []\n", "", func(c config.Config) bool { return len(c.Extensions) == 0 }},
		{"picks of one's own", "release: 10.0\npick: [{extension: util-linux, files: [usr/local/bin/lsblk]}]\n", "extensions ruby",
			func(c config.Config) bool { return len(c.Picks) == 1 }},
		{"the file that init writes", strings.Replace(string(config.Template), "release: 4.5.2", "release: 10.0", 1), "extensions ruby",
			func(c config.Config) bool { return len(c.Picks) == 0 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := parsed(t, tc.text)
			changed := followRelease(&c)
			if got := strings.Join(changed, "; "); !strings.Contains(got, tc.changed) || tc.changed == "" && got != "" && tc.name != "no extensions" {
				t.Errorf("says %q, want %q", got, tc.changed)
			}
			if !tc.check(c) {
				t.Errorf("got %+v", c)
			}
			if again := followRelease(&c); len(again) != 0 {
				t.Errorf("a second time it changes %q", again)
			}
		})
	}
}

func TestFollowRuby(t *testing.T) {
	const facter4 = "Ruby's own RubyGems; the gem hocon 1.3.1, thor 1.2.1, facter 4.10.0; no MCollective"
	for _, tc := range []struct {
		name, ruby, text string
		changed          string // the messages about it, joined
		check            func(config.Config) bool
	}{
		{"of the documents", "1.8.7", "", "", func(c config.Config) bool { return c.RubyGems.Version == "1.8.15" && len(c.Gems.Install) == 4 }},
		{"that of 10.x", "2.5.3", "", facter4, func(c config.Config) bool {
			return c.RubyGems == nil && c.MCollective == nil && len(c.Gems.Install) == 3
		}},
		{"that of 16.x", "3.3.1", "release: 4.5.2\n", facter4, nil},
		{"before Facter 4", "2.2.4", "", "Ruby's own RubyGems; the gem facter 2.5.7; no MCollective", nil},
		{"the first with RubyGems", "1.9.3", "release: 4.5.2\n", "Ruby's own RubyGems; the gem facter 2.5.7; no MCollective", nil},
		{"the file that init writes", "3.3.1", string(config.Template), facter4, nil},
		{"gems of one's own", "2.2.4", "rubygems: {version: 3.0.0}\ngems: {install: [{name: facter, version: 1.7.6}]}\n", "no MCollective",
			func(c config.Config) bool {
				return c.RubyGems.Version == "3.0.0" && c.Gems.Install[0].Version == "1.7.6"
			}},
		{"MCollective is wanted", "2.7.2", "mcollective: {server: {a: b}}\n", "; MCollective 2.12.5", func(c config.Config) bool {
			return c.MCollective.Server["a"] != nil && strings.HasSuffix(c.MCollective.Sources()[0], "mcollective-2.12.5.tgz")
		}},
		{"a version of MCollective", "2.7.2", "mcollective: {version: 2.0.0}\n", "facter 4.10.0", func(c config.Config) bool { return c.MCollective.Version == "2.0.0" }},
		{"rubygems: null", "1.8.7", "rubygems: null\n", "no gems, since rubygems is null", func(c config.Config) bool { return len(c.Gems.Install) == 0 && c.MCollective != nil }},
		{"rubygems: null, and gems", "2.7.2", "rubygems: null\ngems: {install: [{name: facter, version: 2.5.7}]}\n", "no MCollective",
			func(c config.Config) bool { return len(c.Gems.Install) == 1 }},
		{"none", "", "", "no RubyGems, no gems, no MCollective", func(c config.Config) bool {
			return c.RubyGems == nil && c.MCollective == nil && len(c.Gems.Install) == 0
		}},
		{"none, and nothing for it", "", "rubygems: null\nmcollective: null\ngems: {install: []}\n", "", func(c config.Config) bool { return len(c.Gems.Install) == 0 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := parsed(t, tc.text)
			changed, err := followRuby(&c, tc.ruby)
			testkit.Must(t, err)
			if got := strings.Join(changed, "; "); !strings.Contains(got, tc.changed) || tc.changed == "" && got != "" {
				t.Errorf("says %q, want %q", got, tc.changed)
			}
			if tc.check != nil && !tc.check(c) {
				t.Errorf("got %+v", c)
			}
			if again, err := followRuby(&c, tc.ruby); len(again) != 0 || err != nil {
				t.Errorf("a second time it changes %q, %v", again, err)
			}
		})
	}
}

func TestFollowRubyWithoutOne(t *testing.T) {
	for text, want := range map[string]string{
		"mcollective: {version: 2.12.5}\n":                                   "config mcollective: MCollective needs Ruby, ",
		"mcollective: {server: {a: b}}\n":                                    "config mcollective: ",
		"rubygems: {version: 3.0.0}\n":                                       "config rubygems: RubyGems needs Ruby, ",
		"gems: {install: [{name: stomp, version: 1.2.0}]}\nrubygems: null\n": "config gems.install: gems need Ruby, ",
	} {
		c := parsed(t, text)
		_, err := followRuby(&c, "")
		if err == nil || !strings.HasPrefix(err.Error(), want) || fail.ClassOf(err) != fail.Usage || !strings.Contains(fail.HintOf(err), "add ruby to `extensions`") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
