package config

import (
	"path/filepath"
	"strings"
)

// eachPath replaces every path of the configuration, but those of authorized keys, by what fn
// makes of it. isURL says that it may be a URL instead.
func (c *Config) eachPath(fn func(p string, isURL bool) string) {
	put := func(p *string, isURL bool) {
		if *p != "" {
			*p = fn(*p, isURL)
		}
	}
	lists := []URLs{c.Mirrors, c.Gems.Source}
	if c.RubyGems != nil {
		lists = append(lists, c.RubyGems.URL)
	}
	if c.MCollective != nil {
		lists = append(lists, c.MCollective.URL)
		for _, v := range c.MCollective.Server {
			if v != nil {
				put(&v.file, false)
			}
		}
	}
	for _, g := range c.Gems.Install {
		lists = append(lists, g.URL)
	}
	for _, l := range lists {
		for i := range l {
			put(&l[i], true)
		}
	}
	for i := range c.Overlay {
		put(&c.Overlay[i].Source, false)
	}
	put(&c.Client.CA, false)
}

// relocate makes the paths of a config file absolute: they are relative to its folder.
func (c *Config) relocate(dir string) {
	c.OpenSSH.dir = dir
	c.eachPath(func(p string, isURL bool) string {
		if isURL && strings.Contains(p, "://") {
			return p
		}
		return under(dir, p)
	})
}

// under joins a relative path to dir and leaves "~/" for [Config.ExpandHome].
func under(dir, p string) string {
	if filepath.IsAbs(p) || strings.HasPrefix(p, "~/") {
		return p
	}
	return filepath.Join(dir, p)
}

// ExpandHome puts the user's home folder in place of the "~" of every path that begins with
// "~/", as a shell would do on the command line.
func (c *Config) ExpandHome(home string) {
	expand := func(p string) string {
		if rest, ok := strings.CutPrefix(p, "~/"); ok {
			return filepath.Join(home, rest)
		}
		return p
	}
	c.eachPath(func(p string, _ bool) string { return expand(p) })
	for i, k := range c.OpenSSH.AuthorizedKeys {
		c.OpenSSH.AuthorizedKeys[i] = expand(k) // no key begins so
	}
}
