package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Mirrored returns the text of a mkbuild.yaml for dir, a mirror that holds every input. It asks for the
// same image, with folders of the mirror as sources; the user's own files are named from there. Secrets
// are not written: a value of server.cfg that looks like one, and stood in the configuration itself, is
// taken from the environment. notes says, in sentences, what the mirror does not hold.
func Mirrored(c *Config, dir string) (text []byte, notes []string, err error) {
	all, err := c.members()
	if err != nil {
		return nil, nil, err
	}
	all["mirrors"] = []string{"."}
	point(all, "rubygems", "url", "archives/rubygems-{version}.tgz")
	point(all, "mcollective", "url", "archives/mcollective-{version}.tgz")
	point(all, "gems", "source", "archives")
	m := mirrored{dir: dir}
	m.gems(all)
	m.server(all, c)
	m.own(all, c)
	text, err = yaml.Marshal(all)
	if err != nil {
		return nil, nil, fmt.Errorf("render configuration: %w", err)
	}
	return text, m.notes, nil
}

// point gives a section one source, where there is such a section.
func point(all map[string]any, section, key, source string) {
	if m, ok := all[section].(map[string]any); ok {
		m[key] = source
	}
}

type mirrored struct {
	dir   string
	notes []string
}

// gems drops the places of single gems: all of them are in the mirror's one folder.
func (m *mirrored) gems(all map[string]any) {
	gems, _ := all["gems"].(map[string]any)
	list, _ := gems["install"].([]any)
	for _, g := range list {
		if gem, ok := g.(map[string]any); ok {
			delete(gem, "url")
		}
	}
}

// server writes the values of server.cfg, or where they are taken from.
func (m *mirrored) server(all map[string]any, c *Config) {
	mco, ok := all["mcollective"].(map[string]any)
	if !ok || c.MCollective == nil {
		return
	}
	out := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(c.MCollective.Server)) {
		v := c.MCollective.Server[key]
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
			m.notes = append(m.notes, fmt.Sprintf("it does not hold the secret of mcollective.server.%s: set %s where you build from it", key, name))
		default:
			out[key] = v.text.Reveal()
		}
	}
	mco["server"] = out
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

// own names the user's files from the mirror's folder.
func (m *mirrored) own(all map[string]any, c *Config) {
	overlay, _ := all["overlay"].([]any)
	for i, o := range overlay {
		if o, ok := o.(map[string]any); ok {
			o["source"] = m.path(c.Overlay[i].Source, "overlay")
		}
	}
	if client, ok := all["client"].(map[string]any); ok && c.Client.CA != "" {
		client["ca"] = m.path(c.Client.CA, "client.ca")
	}
	if ssh, ok := all["openssh"].(map[string]any); ok && len(c.OpenSSH.AuthorizedKeys) > 0 {
		keys := []string{}
		for _, k := range c.OpenSSH.AuthorizedKeys {
			if !strings.ContainsAny(k, " \t\n") { // no key is without a blank
				k = m.path(c.OpenSSH.KeyFile(k), "openssh.authorized_keys")
			}
			keys = append(keys, k)
		}
		ssh["authorized_keys"] = keys
	}
	settings(all, c, m)
}

// settings notes client settings that look secret: they are not written either.
func settings(all map[string]any, c *Config, m *mirrored) {
	client, _ := all["client"].(map[string]any)
	s, _ := client["settings"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(c.Client.Settings)) {
		if looksSecret(key, c.Client.Settings[key]) {
			delete(s, key)
			m.notes = append(m.notes, fmt.Sprintf("it does not hold the secret of client.settings.%s: add it to a copy of the mirror's mkbuild.yaml, or build with your own and --mirror", key))
		}
	}
}

// path names a file of the user's own from the mirror's folder.
func (m *mirrored) path(p, where string) string {
	m.notes = append(m.notes, fmt.Sprintf("it does not hold %s (%s): that stays a file of your own", p, where))
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
