package config

import (
	"reflect"
	"slices"
	"strings"

	"mkbuild/internal/tcz"
)

// Gems for Rubies that bring RubyGems and JSON along. Facter 2.5.7 is the last without dependencies and
// runs on Ruby 1.9 to 3.1; Ruby 3.2 dropped what it calls, so later lines get Facter 4, which needs Ruby
// 2.5, and /etc/os-release: Tiny Core has it since 9.x.
const (
	facterTwo, facterFour = "2.5.7", "4.10.0"
	firstWithFacterFour   = 10
	lastMCollective       = "2.12.5"
)

// FollowRelease puts the values of a release's own line in place of the defaults that were left
// alone: the built-in ones are those of 4.5.2, whose Ruby is 1.8. A value that somebody changed stays.
// It returns the line and a sentence for each group of values that it replaced.
func (c *Config) FollowRelease() (line tcz.Line, changed []string) {
	line = tcz.LineOf(c.Release, c.Arch)
	def := Default()
	if slices.Equal(c.Extensions, def.Extensions) && !slices.Equal(c.Extensions, line.Extensions) {
		c.Extensions = line.Extensions
		changed = append(changed, "extensions "+strings.Join(line.Extensions, " "))
	}
	if reflect.DeepEqual(c.Picks, def.Picks) && slices.Contains(line.Extensions, "util-linux") {
		// Picked out alone, lscpu and sfdisk would miss the libraries that lie beside them there.
		c.Picks = nil
		changed = append(changed, "nothing picked out of util-linux")
	}
	if line.OwnRubyGems() {
		changed = append(changed, c.modernRuby(line, def)...)
	}
	return line, changed
}

// modernRuby replaces what is for Ruby 1.8 alone.
func (c *Config) modernRuby(line tcz.Line, def Config) (changed []string) {
	if reflect.DeepEqual(c.RubyGems, def.RubyGems) {
		c.RubyGems = nil
		changed = append(changed, "RubyGems as Ruby brings it along")
	}
	if reflect.DeepEqual(c.Gems.Install, def.Gems.Install) {
		c.Gems.Install = modernGems(line.Major)
		changed = append(changed, "the gem "+named(c.Gems.Install))
	}
	switch {
	case c.MCollective == nil || c.MCollective.Version != def.MCollective.Version || c.MCollective.SHA256 != "":
	case reflect.DeepEqual(c.MCollective, def.MCollective):
		// 1.2.1 is for Ruby 1.8, and the project ended: nobody gets it who does not ask.
		c.MCollective = nil
		changed = append(changed, "no MCollective")
	default:
		m := *c.MCollective
		m.Version = lastMCollective
		c.MCollective = &m
		changed = append(changed, "MCollective "+lastMCollective)
	}
	return changed
}

func modernGems(major int) []Gem {
	if major < firstWithFacterFour {
		return []Gem{{Name: "facter", Version: facterTwo}}
	}
	return []Gem{{Name: "hocon", Version: "1.3.1"}, {Name: "thor", Version: "1.2.1"}, {Name: "facter", Version: facterFour}}
}

func named(gems []Gem) string {
	names := make([]string, len(gems))
	for i, g := range gems {
		names[i] = g.Name + " " + g.Version
	}
	return strings.Join(names, ", ")
}
