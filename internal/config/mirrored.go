package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"mkbuild/internal/signing"
)

// Mirrored returns the text of a mkbuild.yaml for dir, a mirror with every input. It describes the same image,
// with folders of the mirror as sources and paths of the user's own files relative to it. Secrets are not
// written: a value of server.cfg in the configuration itself that looks like one is read from the environment
// instead. notes lists, in sentences, what the mirror lacks.
func Mirrored(c *Config, dir string) (text []byte, notes []string, err error) {
	m := mirrored{dir: dir}
	out := m.config(*c)
	all, err := out.members()
	if err != nil {
		return nil, nil, err
	}
	if mco, ok := all["mcollective"].(map[string]any); ok {
		mco["server"] = m.server(c.MCollective.Server)
	}
	if text, err = yaml.Marshal(all); err != nil {
		return nil, nil, fmt.Errorf("render configuration: %w", err)
	}
	return text, m.notes, nil
}

// mirrored is the configuration of a mirror under way.
type mirrored struct {
	dir   string
	notes []string
}

// config names every source from the mirror's folder.
func (m *mirrored) config(c Config) Config {
	c.Mirrors, c.Gems.Source = URLs{"."}, URLs{"archives"}
	if c.ISO != nil {
		c.ISO = &ISO{"archives/" + c.ISO.Name(), c.ISO.SHA256}
	}
	c.Cache = Cache{}
	if c.RubyGems != nil {
		c.RubyGems = &Archive{c.RubyGems.Version, URLs{"archives/rubygems-{version}.tgz"}, c.RubyGems.SHA256}
	}
	if c.MCollective != nil {
		mco := *c.MCollective
		mco.URL = URLs{"archives/mcollective-{version}.tgz"}
		c.MCollective = &mco
	}
	c.Gems.Install = slices.Clone(c.Gems.Install)
	for i := range c.Gems.Install {
		c.Gems.Install[i].URL = nil // all are in one folder
	}
	c.Overlay = slices.Clone(c.Overlay)
	for i := range c.Overlay {
		c.Overlay[i].Source = m.path(c.Overlay[i].Source, "overlay")
	}
	if c.Client.CA != "" {
		c.Client.CA = m.path(c.Client.CA, "client.ca")
	}
	keys := slices.Clone(c.OpenSSH.AuthorizedKeys)
	for i, k := range keys {
		if !strings.ContainsAny(k, " \t\n") { // every key has a blank
			keys[i] = m.path(c.OpenSSH.KeyFile(k), "openssh.authorized_keys")
		}
	}
	c.OpenSSH.AuthorizedKeys = keys
	c.ExtensionKeys = slices.Clone(c.ExtensionKeys)
	for i, k := range c.ExtensionKeys {
		if !signing.IsKey(k) {
			c.ExtensionKeys[i] = m.path(k, "extension_keys")
		}
	}
	c.Client.Settings = m.settings(c.Client.Settings)
	return c
}

// path names a file of the user's own from the mirror's folder.
func (m *mirrored) path(p, where string) string {
	m.notes = append(m.notes, fmt.Sprintf("it does not contain %s (%s): provide your own file", p, where))
	abs, err := filepath.Abs(p)
	if err != nil {
		return p
	}
	dir, err := filepath.Abs(m.dir)
	if err != nil {
		return p
	}
	rel, err := filepath.Rel(dir, abs)
	if err != nil {
		return p
	}
	return filepath.ToSlash(rel)
}

// settings leaves out client settings that look secret.
func (m *mirrored) settings(all map[string]string) map[string]string {
	out := maps.Clone(all)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if looksSecret(key, all[key]) {
			delete(out, key)
			m.notes = append(m.notes, fmt.Sprintf("it does not contain the secret of client.settings.%s: add it to a copy of the mirror's mkbuild.yaml, or build with your own and --mirror", key))
		}
	}
	return out
}

// server returns the values of server.cfg, or their sources.
func (m *mirrored) server(values map[string]*Value) map[string]any {
	out := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		v := values[key]
		switch {
		case v == nil:
			out[key] = nil
		case v.env != "":
			out[key] = map[string]string{"env": v.env}
		case v.file != "":
			out[key] = map[string]string{"file": m.path(v.file, "mcollective.server."+key)}
		case looksSecret(key, v.text.Reveal()):
			name := envName(key)
			out[key] = map[string]string{"env": name}
			m.notes = append(m.notes, fmt.Sprintf("it does not contain the secret of mcollective.server.%s: set %s for a build from it", key, name))
		default:
			out[key] = v.text.Reveal()
		}
	}
	return out
}

// envName makes an environment variable's name of a key: MKBUILD_PLUGIN_PSK.
func envName(key string) string {
	return "MKBUILD_" + strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(key))
}
