package config

import (
	"slices"
	"strings"
	"testing"
)

func TestFollowRelease(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		changed    string // what is said of it, joined
		check      func(Config) bool
	}{
		{"the defaults' own release", "", "", func(c Config) bool { return slices.Contains(c.Extensions, "libssl-0.9.8") && c.RubyGems != nil }},
		{"another point release", "release: 4.7.7\n", "", func(c Config) bool { return slices.Contains(c.Extensions, "libssl-0.9.8") && len(c.Picks) == 1 }},
		{"all left alone", "release: 10.0\n", "extensions ruby bash dmidecode scsi-KERNEL util-linux firmware-broadcom_bnx2 firmware-broadcom_bnx2x; nothing picked out of util-linux; RubyGems as Ruby brings it along; the gem hocon 1.3.1, thor 1.2.1, facter 4.10.0; no MCollective",
			func(c Config) bool {
				return c.RubyGems == nil && c.MCollective == nil && len(c.Picks) == 0 && len(c.Gems.Install) == 3
			}},
		{"extensions of one's own", "release: 10.0\nextensions: [ruby, lshw]\n", "nothing picked out of util-linux; RubyGems as Ruby brings it along; the gem hocon 1.3.1, thor 1.2.1, facter 4.10.0; no MCollective",
			func(c Config) bool { return slices.Equal(c.Extensions, []string{"ruby", "lshw"}) && len(c.Picks) == 0 }},
		{"no extensions", "release: 10.0\nextensions: []\n", "RubyGems as", func(c Config) bool { return len(c.Extensions) == 0 }},
		{"picks of one's own", "release: 10.0\npick: [{extension: util-linux, files: [usr/local/bin/lsblk]}]\n", "extensions ruby", func(c Config) bool { return len(c.Picks) == 1 }},
		{"gems of one's own", "release: 8.0\nrubygems: {version: 3.0.0}\ngems: {install: [{name: facter, version: 1.7.6}]}\n", "no MCollective",
			func(c Config) bool { return c.RubyGems.Version == "3.0.0" && c.Gems.Install[0].Version == "1.7.6" }},
		{"before Facter 4", "release: 9.0\n", "the gem facter 2.5.7", func(c Config) bool { return len(c.Gems.Install) == 1 }},
		{"MCollective is wanted", "release: 14.0\nmcollective: {server: {a: b}}\n", "MCollective 2.12.5",
			func(c Config) bool {
				return c.MCollective.Version == "2.12.5" && c.MCollective.Server["a"] != nil && strings.HasSuffix(c.MCollective.Sources()[0], "mcollective-2.12.5.tgz")
			}},
		{"a version of MCollective", "release: 14.0\nmcollective: {version: 2.0.0}\n", "extensions", func(c Config) bool { return c.MCollective.Version == "2.0.0" }},
		{"gems at boot", "release: 14.0\ngems: {mode: boot}\n", "RubyGems as", func(c Config) bool { return c.Validate() == nil }},
		{"5.x calls it ruby-2.0", "release: 5.2\n", "extensions ruby-2.0 ", func(c Config) bool { return c.Validate() == nil }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := parsed(t, "mk.yaml", tc.text)
			_, changed := FollowRelease(&c)
			if got := strings.Join(changed, "; "); !strings.Contains(got, tc.changed) || tc.changed == "" && got != "" {
				t.Errorf("says %q, want %q", got, tc.changed)
			}
			if tc.check != nil && !tc.check(c) {
				t.Errorf("got %+v", c)
			}
			if _, again := FollowRelease(&c); len(again) != 0 {
				t.Errorf("a second time it changes %q", again)
			}
		})
	}
}

// The file that init writes names every default. What stands in it as it was written gives way, too.
func TestFollowReleaseWithTheWrittenTemplate(t *testing.T) {
	written := parsed(t, "mk.yaml", string(Template))
	written.Release = "10.0"
	series, _ := FollowRelease(&written)
	if !slices.Equal(written.Extensions, series.Extensions) || written.RubyGems != nil || written.MCollective != nil {
		t.Errorf("got %+v", written)
	}
}
