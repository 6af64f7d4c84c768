package main

import (
	"errors"
	"os"
	"path/filepath"
	"sort"

	"mkbuild/internal/config"
	"mkbuild/internal/profile"
	"mkbuild/internal/ui"
)

// authorizedKeys returns the public keys for dev and debug: the configured ones, else the
// user's own.
func authorizedKeys(c *config.Config, sink ui.Sink) ([]string, error) {
	if !c.HasSSH() {
		return nil, nil
	}
	if len(c.OpenSSH.AuthorizedKeys) == 0 {
		return ownKeys(sink)
	}
	var out []string
	for _, s := range c.OpenSSH.AuthorizedKeys {
		keys, err := namedKeys(c, s)
		if err != nil {
			return nil, err
		}
		out = append(out, keys...)
	}
	if len(out) == 0 {
		return nil, noKeys("the named files hold none")
	}
	return out, nil
}

// namedKeys takes one entry of openssh.authorized_keys: keys, or a file of keys.
func namedKeys(c *config.Config, entry string) ([]string, error) {
	if profile.IsKeyText(entry) {
		return profile.ParseKeys([]byte(entry), "in openssh.authorized_keys")
	}
	name := c.OpenSSH.KeyFile(entry)
	text, err := os.ReadFile(name) //nolint:gosec // the user's own choice
	if err != nil {
		return nil, &usageError{"read authorized keys: " + err.Error(), "name a file of public keys in openssh.authorized_keys"}
	}
	return profile.ParseKeys(text, name)
}

// ownKeys returns the keys in the user's ~/.ssh/*.pub. Nobody named these files, so one that
// holds something else, such as a PGP key, is no mistake: it is left out with a warning.
func ownKeys(sink ui.Sink) ([]string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, noKeys(err.Error())
	}
	pattern := filepath.Join(home, ".ssh", "*.pub")
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		return nil, noKeys("no " + pattern)
	}
	sort.Strings(found)
	var out []string
	for _, name := range found {
		keys, err := ownFile(name)
		if err != nil {
			sink.Event(ui.Event{Level: ui.Warning, Step: "profile", Item: filepath.Base(name), Text: "left out: " + err.Error()})
			continue
		}
		out = append(out, keys...)
	}
	if len(out) == 0 {
		return nil, noKeys("none of " + pattern + " holds one")
	}
	return out, nil
}

// ownFile reads a file that a pattern found: anything may be there, a pipe too.
func ownFile(name string) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a file")
	}
	text, err := os.ReadFile(name) //nolint:gosec // the user's own key
	if err != nil {
		return nil, err
	}
	return profile.ParseKeys(text, name)
}

func noKeys(why string) error {
	return &usageError{"find a public key for the ssh server: " + why, "make one with `ssh-keygen -t rsa`, or name some in mkbuild.yaml: openssh: {authorized_keys: [id_rsa.pub]}"}
}
