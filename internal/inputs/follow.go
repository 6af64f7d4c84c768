package inputs

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/rubygems"
	"mkbuild/internal/tcz"
)

// general are the default extensions of every release but 4.x x86, whose extensions Razor's documents name. The
// mirror decides among alternatives. util-linux goes in whole: from 5.x on it holds the libraries of lscpu and
// sfdisk. OpenSSL is a dependency.
func general() []string {
	return []string{
		"ruby | ruby-2.2 | ruby-2.1 | ruby-2.0 | ruby-1.9 | -", "bash", "dmidecode | -", "lshw | -", "scsi-KERNEL", "util-linux | -",
		"firmware-broadcom_bnx2 | firmware-bnx2 | -", "firmware-broadcom_bnx2x | -",
	}
}

// followRelease replaces the default extensions and picks of 4.5.2 if the release is not of 4.x x86. The user's
// changes stay. It returns a remark for each replacement.
func followRelease(c *config.Config) (changed []string) {
	if s := tcz.SeriesOf(c.Release, c.Arch); s.Major == 4 && s.Arch == "x86" {
		return nil
	}
	def := config.Default()
	if slices.Equal(c.Extensions, def.Extensions) {
		c.Extensions = general()
		changed = append(changed, "extensions "+strings.Join(c.Extensions, ", "))
	}
	if reflect.DeepEqual(c.Picks, def.Picks) {
		c.Picks = nil
		changed = append(changed, "no files picked from util-linux")
	}
	return changed
}

// followRuby replaces the defaults, which are for Ruby 1.8, if the image has another Ruby. release is "2.5.3", or
// "" for an image without Ruby. The user's changes stay. It returns a remark for each group of values that it
// replaced. Without Ruby, asking for RubyGems, gems or MCollective is an error.
func followRuby(c *config.Config, release string) (changed []string, err error) {
	def := config.Default()
	own := struct{ rubygems, gems, mco bool }{
		!reflect.DeepEqual(c.RubyGems, def.RubyGems), !reflect.DeepEqual(c.Gems.Install, def.Gems.Install), !reflect.DeepEqual(c.MCollective, def.MCollective),
	}
	switch {
	case release == "" && own.mco && c.MCollective != nil:
		return nil, config.Mistake("mcollective", "MCollective needs Ruby, and no extension of the image is Ruby", rubyHint)
	case release == "" && own.rubygems && c.RubyGems != nil:
		return nil, config.Mistake("rubygems", "RubyGems needs Ruby, and no extension of the image is Ruby", rubyHint)
	case release == "" && own.gems && len(c.Gems.Install) > 0:
		return nil, config.Mistake("gems.install", "gems need Ruby, and no extension of the image is Ruby", rubyHint)
	case release == "":
		if wantsRuby(c) {
			changed = []string{"no RubyGems, no gems, no MCollective"}
		}
		c.RubyGems, c.Gems.Install, c.MCollective = nil, nil, nil
		return changed, nil
	}
	version, err := rubygems.ParseVersion(release)
	if err != nil {
		return nil, fmt.Errorf("config gems: ruby release: %w", err)
	}
	if own.rubygems && c.RubyGems == nil && !own.gems && len(c.Gems.Install) > 0 {
		c.Gems.Install, own.gems = nil, true // as the comment at the key says
		changed = append(changed, "no gems, since rubygems is null")
	}
	if olderThan(version, "1.9") {
		return changed, nil
	}
	if !own.rubygems {
		c.RubyGems = nil
		changed = append(changed, "Ruby's own RubyGems")
	}
	if !own.gems {
		c.Gems.Install = modernGems(version)
		changed = append(changed, "the gem "+named(c.Gems.Install))
	}
	return append(changed, modernMCO(c, own.mco)...), nil
}

func wantsRuby(c *config.Config) bool {
	return c.RubyGems != nil || len(c.Gems.Install) > 0 || c.MCollective != nil
}

const rubyHint = "add ruby to `extensions` in mkbuild.yaml, or do without: `rubygems: null`, `gems: {install: []}` and `mcollective: null`"

// modernMCO replaces MCollective 1.2.1, which is for Ruby 1.8. The project has ended: an image gets the last
// release, and only on request.
func modernMCO(c *config.Config, wanted bool) []string {
	def := config.Default().MCollective
	switch {
	case !wanted:
		c.MCollective = nil
		return []string{"no MCollective"}
	case c.MCollective == nil || c.MCollective.Version != def.Version || c.MCollective.SHA256 != "":
		return nil
	}
	const last = "2.12.5"
	m := *c.MCollective
	m.Version = last
	c.MCollective = &m
	return []string{"MCollective " + last}
}

// modernGems returns the gems for Rubies that include RubyGems and JSON. Facter 2.5.7 is the last without
// dependencies, but calls methods that Ruby 3.2 dropped. Facter 4 needs Ruby 2.5.
func modernGems(ruby rubygems.Version) []config.Gem {
	if olderThan(ruby, "2.5") {
		return []config.Gem{{Name: "facter", Version: "2.5.7"}}
	}
	return []config.Gem{{Name: "hocon", Version: "1.3.1"}, {Name: "thor", Version: "1.2.1"}, {Name: "facter", Version: "4.10.0"}}
}

func olderThan(v rubygems.Version, other string) bool {
	o, err := rubygems.ParseVersion(other)
	return err == nil && v.Compare(o) < 0
}

func named(gems []config.Gem) string {
	names := make([]string, len(gems))
	for i, g := range gems {
		names[i] = g.Name + " " + g.Version
	}
	return strings.Join(names, ", ")
}
