package mkclient

import (
	"path/filepath"
	"slices"
	"strings"
)

// factEnv is the environment of Facter and all its children: a fixed base and three search
// paths. An extension adds its directories in front of those three and can change nothing
// else; what RUBYOPT, LD_PRELOAD or FACTER_x the client itself may have inherited stays out.
// gen is the extension's directory, "" for none.
func (c *Client) factEnv(gen string) []string {
	env := []string{"HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh", "TERM=linux", "LANG=C.UTF-8"}
	add := func(name, sub, inherited string) {
		var parts []string
		if gen != "" {
			parts = append(parts, filepath.Join(gen, sub))
		}
		if inherited != "" {
			parts = append(parts, inherited)
		}
		if len(parts) > 0 {
			env = append(env, name+"="+strings.Join(parts, ":"))
		}
	}
	add("PATH", "bin", c.inheritedPath())
	add("LD_LIBRARY_PATH", "lib", lookupEnv(c.opt.Environ, "LD_LIBRARY_PATH"))
	add("RUBYLIB", "lib/ruby", lookupEnv(c.opt.Environ, "RUBYLIB"))
	return env
}

// inheritedPath is the PATH that the client was started with, and behind it what the fixed one
// has on top: init's is short.
func (c *Client) inheritedPath() string {
	var dirs []string
	for _, p := range []string{lookupEnv(c.opt.Environ, "PATH"), c.opt.Path} {
		for _, d := range filepath.SplitList(p) {
			if d != "" && !slices.Contains(dirs, d) {
				dirs = append(dirs, d)
			}
		}
	}
	return strings.Join(dirs, ":")
}

// lookupEnv finds a variable in a list like os.Environ; the last one counts.
func lookupEnv(environ []string, name string) (value string) {
	for _, kv := range environ {
		if n, v, ok := strings.Cut(kv, "="); ok && n == name {
			value = v
		}
	}
	return value
}
