package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"mkbuild/internal/cmdline"

	"go.yaml.in/yaml/v3"
)

// redacted replaces a secret.
const redacted = "REDACTED"

// Public returns the configuration for publication with an image: the members of mkbuild.yaml that affect the
// image's content, as JSON with sorted keys. It leaves out mirrors, URLs, paths of the building machine, names of
// outputs, and public keys, which are mostly in files. Every value of server.cfg, and each client setting and
// kernel argument that looks like a secret, reads REDACTED. [Parse] reads the result.
func (c *Config) Public() (json.RawMessage, error) {
	public := *c
	public.Boot.Append = RedactArguments(c.Boot.Append)
	public.Client.Settings = maps.Clone(c.Client.Settings)
	for key, v := range c.Client.Settings {
		if looksSecret(key, v) {
			public.Client.Settings[key] = redacted
		}
	}
	all, err := public.members()
	if err != nil {
		return nil, err
	}
	prune(all, "")
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(all); err != nil {
		return nil, fmt.Errorf("render configuration: %w", err)
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// members returns the configuration as the maps and lists of its text.
func (c *Config) members() (map[string]any, error) {
	text, err := yaml.Marshal(c) // secrets marshal as REDACTED
	if err != nil {
		return nil, fmt.Errorf("render configuration: %w", err)
	}
	var all map[string]any
	if err := yaml.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("render configuration: %w", err)
	}
	return all, nil
}

// prune drops the keys, at every depth, of places: the image's content does not depend on them.
func prune(v any, under string) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			switch {
			case slices.Contains([]string{"mirrors", "url", "source", "ca", "authorized_keys", "extension_keys", "pxe", "cache"}, key), key == "name" && under == "image":
				delete(v, key)
			case key != "server" && key != "settings": // the keys inside these are the user's
				prune(value, key)
			}
		}
	case []any:
		for _, item := range v {
			prune(item, under)
		}
	}
}

// RedactArguments hides the values of kernel arguments that look like secrets.
func RedactArguments(args string) string {
	var out []string
	for _, a := range cmdline.Split(args) {
		if a.Valued && looksSecret(a.Name, a.Value) {
			a.Text = a.Name + "=" + redacted
		}
		out = append(out, a.Text)
	}
	return strings.Join(out, " ")
}

// HasSecrets reports whether some client setting looks like a secret.
func (c *Client) HasSecrets() bool {
	for key, v := range c.Settings {
		if looksSecret(key, v) {
			return true
		}
	}
	return false
}

// looksSecret goes by a key's name, and by a password inside a URL.
func looksSecret(key, value string) bool {
	key = strings.ToLower(key)
	for _, word := range []string{"password", "passwd", "passphrase", "secret", "psk", "token", "credential", "private", "apikey", "api_key", "api-key"} {
		if strings.Contains(key, word) && key != "mcollective.allow_sample_secrets" {
			return true
		}
	}
	u, err := url.Parse(value)
	return err == nil && u.User != nil
}

// Restore returns the configuration behind public, a result of [Config.Public]. The parts that public leaves out
// come from c: mirrors, URLs, keys, the sources of the user's own files, and secrets. It fails with a [Mistake]
// if c lacks one.
func (c *Config) Restore(public []byte) (Config, error) {
	out, err := Parse("the manifest", public)
	if err != nil {
		return Config{}, err
	}
	out.Mirrors, out.OpenSSH, out.Client.CA, out.Image.Name = c.Mirrors, c.OpenSSH, c.Client.CA, c.Image.Name
	out.ExtensionKeys = c.ExtensionKeys
	out.PXE = c.PXE
	out.Cache = c.Cache
	out.restoreURLs(c)
	for _, part := range []func(*Config) error{out.restoreServer, out.restoreSettings, out.restoreArguments, out.restoreOverlay} {
		if err := part(c); err != nil {
			return Config{}, err
		}
	}
	return out, nil
}

func (c *Config) restoreURLs(from *Config) {
	if c.ISO != nil && from.ISO != nil {
		c.ISO.URL = from.ISO.URL
	}
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

// lacking is the error of a missing secret or file.
func lacking(where, what string) error {
	return Mistake(where, what+" is neither in the manifest nor in the configuration", "name the configuration that the image was built with: --config FILE")
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
