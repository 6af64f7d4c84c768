package config

import (
	"reflect"
	"slices"
	"strings"

	"mkbuild/internal/tcz"
)

// FollowRelease replaces the defaults, which are those of 4.5.2 with its Ruby 1.8, by the values of the
// release's own series. A value that the user changed stays. It returns the series and a remark for
// each group of values that it replaced.
func FollowRelease(c *Config) (series tcz.Series, changed []string) {
	series = tcz.SeriesOf(c.Release, c.Arch)
	def := Default()
	if slices.Equal(c.Extensions, def.Extensions) && !slices.Equal(c.Extensions, series.Extensions) {
		c.Extensions = series.Extensions
		changed = append(changed, "extensions "+strings.Join(series.Extensions, " "))
	}
	if reflect.DeepEqual(c.Picks, def.Picks) && slices.Contains(series.Extensions, "util-linux") {
		// Picked alone, lscpu and sfdisk would lack the libraries that the extension has for them.
		c.Picks = nil
		changed = append(changed, "nothing picked out of util-linux")
	}
	if series.OwnRubyGems {
		changed = append(changed, modernRuby(c, def, series.Major)...)
	}
	return series, changed
}

// modernRuby replaces the defaults that only suit Ruby 1.8.
func modernRuby(c *Config, def Config, major int) (changed []string) {
	if reflect.DeepEqual(c.RubyGems, def.RubyGems) {
		c.RubyGems = nil
		changed = append(changed, "RubyGems as Ruby brings it along")
	}
	if reflect.DeepEqual(c.Gems.Install, def.Gems.Install) {
		c.Gems.Install = modernGems(major)
		changed = append(changed, "the gem "+named(c.Gems.Install))
	}
	switch {
	case c.MCollective == nil || c.MCollective.Version != def.MCollective.Version || c.MCollective.SHA256 != "":
	case reflect.DeepEqual(c.MCollective, def.MCollective):
		// 1.2.1 is for Ruby 1.8, and the project has ended: only those who ask get it.
		c.MCollective = nil
		changed = append(changed, "no MCollective")
	default:
		const last = "2.12.5"
		m := *c.MCollective
		m.Version = last
		c.MCollective = &m
		changed = append(changed, "MCollective "+last)
	}
	return changed
}

// modernGems returns the gems for Rubies that bring RubyGems and JSON along. Facter 2.5.7 is the last
// without dependencies and runs on Ruby 1.9 to 3.1. Ruby 3.2 dropped what it calls, so later series get
// Facter 4, which needs Ruby 2.5 and /etc/os-release; Tiny Core has had that since 9.x.
func modernGems(major int) []Gem {
	if major < 10 {
		return []Gem{{Name: "facter", Version: "2.5.7"}}
	}
	return []Gem{{Name: "hocon", Version: "1.3.1"}, {Name: "thor", Version: "1.2.1"}, {Name: "facter", Version: "4.10.0"}}
}

func named(gems []Gem) string {
	names := make([]string, len(gems))
	for i, g := range gems {
		names[i] = g.Name + " " + g.Version
	}
	return strings.Join(names, ", ")
}
