package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Restore returns the configuration that public, a result of [Config.Public], was made of. What is
// left out there comes from c: mirrors, URLs, keys, the sources of the user's own files, and
// secrets. It fails with a [Mistake] where c does not have it.
func (c *Config) Restore(public []byte) (Config, error) {
	out, err := Parse("the manifest", public)
	if err != nil {
		return Config{}, err
	}
	out.Mirrors, out.OpenSSH, out.Client.CA, out.Image.Name = c.Mirrors, c.OpenSSH, c.Client.CA, c.Image.Name
	out.restoreURLs(c)
	for _, part := range []func(*Config) error{out.restoreServer, out.restoreSettings, out.restoreArguments, out.restoreOverlay} {
		if err := part(c); err != nil {
			return Config{}, err
		}
	}
	return out, nil
}

func (c *Config) restoreURLs(from *Config) {
	if c.RubyGems != nil && from.RubyGems != nil {
		c.RubyGems.URL = from.RubyGems.URL
	}
	if c.MCollective != nil && from.MCollective != nil {
		c.MCollective.URL = from.MCollective.URL
	}
	c.Gems.Source = from.Gems.Source
	for i := range c.Gems.Install {
		at := slices.IndexFunc(from.Gems.Install, func(g Gem) bool { return g.Name == c.Gems.Install[i].Name })
		if at >= 0 {
			c.Gems.Install[i].URL = from.Gems.Install[at].URL
		}
	}
}

// lacking says that a secret or a file is not where it has to come from.
func lacking(where, what string) error {
	return Mistake(where, what+" is not in the manifest, and not in the configuration", "name the configuration that the image was built with: --config FILE")
}

func (c *Config) restoreServer(from *Config) error {
	if c.MCollective == nil {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(c.MCollective.Server)) { // the same error every time
		if c.MCollective.Server[key] == nil {
			continue // a key that was taken out
		}
		var known *Value
		if from.MCollective != nil {
			known = from.MCollective.Server[key]
		}
		if known == nil {
			return lacking("mcollective.server."+key, "its value")
		}
		c.MCollective.Server[key] = known
	}
	return nil
}

func (c *Config) restoreSettings(from *Config) error {
	for _, key := range slices.Sorted(maps.Keys(c.Client.Settings)) {
		if c.Client.Settings[key] != redacted {
			continue
		}
		known, ok := from.Client.Settings[key]
		if !ok {
			return lacking("client.settings."+key, "its value")
		}
		c.Client.Settings[key] = known
	}
	return nil
}

func (c *Config) restoreArguments(from *Config) error {
	switch {
	case RedactArguments(from.Boot.Append) == c.Boot.Append:
		c.Boot.Append = from.Boot.Append
	case strings.Contains(c.Boot.Append, "="+redacted):
		return lacking("boot.append", "a value of "+c.Boot.Append)
	}
	return nil
}

func (c *Config) restoreOverlay(from *Config) error {
	for i := range c.Overlay {
		o := &c.Overlay[i]
		at := slices.IndexFunc(from.Overlay, func(u UserFiles) bool { return u.Target == o.Target && u.Owner == o.Owner })
		if i < len(from.Overlay) && from.Overlay[i].Target == o.Target {
			at = i // two may have one target
		}
		if at < 0 {
			return lacking(fmt.Sprintf("overlay of %s", o.Target), "its source")
		}
		o.Source = from.Overlay[at].Source
	}
	return nil
}
