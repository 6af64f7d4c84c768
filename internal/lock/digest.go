package lock

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"mkbuild/internal/config"
)

// selection is the part of a configuration that selects inputs, in hashed form. Its members and their order are
// part of [Schema].
type selection struct {
	Release, Arch       string
	Extensions, Missing []string
	Picks               []string
	RubyGems            []string
	MCollective         []string
	Gems                [][]string
	ISO                 []string `json:",omitempty"`
}

// Digest returns the SHA-256, in hex, of the part of a configuration that selects inputs. It does not depend on
// the sources of files (the lock's hashes decide), the profile (a lock covers all), the order of lists, or
// settings that do not select inputs.
func Digest(c *config.Config) string {
	dev := *c
	dev.Profile = "dev" // with openssh
	s := selection{
		Release: c.Release, Arch: c.Arch,
		Extensions: names(dev.AllExtensions()), Missing: names(c.Missing),
	}
	for _, p := range c.Picks {
		s.Picks = append(s.Picks, p.Extension)
	}
	s.Picks = names(s.Picks)
	if c.Edition != "" {
		s.ISO = []string{c.Edition}
	}
	if c.ISO != nil {
		s.ISO = []string{c.ISO.Name(), strings.ToLower(c.ISO.SHA256)}
	}
	if c.RubyGems != nil {
		s.RubyGems = []string{c.RubyGems.Version, strings.ToLower(c.RubyGems.SHA256)}
	}
	if c.MCollective != nil {
		s.MCollective = []string{c.MCollective.Version, strings.ToLower(c.MCollective.SHA256)}
	}
	for _, g := range c.Gems.Install {
		s.Gems = append(s.Gems, []string{g.Name, g.Version, strings.ToLower(g.SHA256)})
	}
	slices.SortFunc(s.Gems, slices.Compare)
	text, _ := json.Marshal(s) // strings always marshal
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// names returns extensions as a set: without ".tcz" and blanks around alternatives, sorted, each once.
func names(list []string) []string {
	out := []string{}
	for _, entry := range list {
		var parts []string
		for part := range strings.SplitSeq(entry, "|") {
			parts = append(parts, strings.TrimSuffix(strings.TrimSpace(part), ".tcz"))
		}
		out = append(out, strings.Join(parts, "|"))
	}
	slices.Sort(out)
	return slices.Compact(out)
}
