package config

import (
	"bytes"
	"cmp"
	_ "embed" // for Template
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"mkbuild/internal/fail"
	"mkbuild/internal/signing"
	"mkbuild/internal/yamlerr"
)

// Template is the commented mkbuild.yaml that `mkbuild init` writes. The defaults come from it, so they cannot
// differ.
//
//go:embed default.yaml
var Template []byte

// Mistake returns the error of a mistake in the configuration. where is the place, such as "mkbuild.yaml:12" or
// "release"; next is what to type next, and may be empty.
func Mistake(where, what, next string) error {
	return fail.New(fail.Usage, "config "+where+": "+what, cmp.Or(next, "`mkbuild init -` prints every key with its explanation"))
}

// Default returns the built-in configuration.
func Default() Config {
	var c Config
	if err := decode(Template, &c); err != nil {
		panic("config: built-in default.yaml: " + err.Error()) // a test loads it: cannot happen in a release
	}
	return c
}

// Parse reads a config file over the defaults. name is its path: messages name it, and
// relative paths inside it are taken from its folder.
func Parse(name string, text []byte) (Config, error) {
	c := Default()
	if err := decode(text, &c); err != nil {
		return Config{}, positioned(name, err)
	}
	c.relocate(filepath.Dir(name))
	return c, nil
}

func decode(text []byte, c *Config) error {
	var doc, second yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(doc.Content) > 0 {
		if err := checkShape(doc.Content[0], reflect.TypeFor[Config](), ""); err != nil {
			return err
		}
		if err := doc.Decode(c); err != nil {
			return err
		}
	}
	if err := d.Decode(&second); !errors.Is(err, io.EOF) {
		return errors.New("line 1: more than one document in the file")
	}
	return nil
}

// positioned turns the decoder's first error into "file:line: what".
func positioned(name string, err error) error {
	if e, ok := errors.AsType[*shapeError](err); ok {
		return Mistake(fmt.Sprintf("%s:%d", name, e.line), e.what, e.hint)
	}
	line, what, ok := yamlerr.Position(err)
	next := ""
	switch {
	case strings.HasSuffix(err.Error(), "cannot start any token"):
		what, next = "the line is indented with a tab, or a value begins with @, ` or %", "indent with spaces; put quotes around a value that begins with @, ` or %"
	case strings.Contains(what, "already defined"):
		next = "remove one of the two lines"
	}
	if !ok {
		return Mistake(name, strings.TrimPrefix(err.Error(), "yaml: "), next)
	}
	return Mistake(fmt.Sprintf("%s:%d", name, line), what, next)
}

// ParseSettings reads settings of mk-client from a file: the lines below client.settings in mkbuild.yaml, or the
// same as a flat JSON object.
func ParseSettings(name string, text []byte) (map[string]string, error) {
	var out map[string]string
	what := ""
	if err := yaml.Unmarshal(text, &out); err != nil {
		what = fmt.Sprintf("not a list of settings: %v", err)
	} else if len(out) == 0 {
		what = "it holds no settings"
	}
	if what != "" {
		return nil, Mistake(name, what, "write it as below client.settings in mkbuild.yaml, for example: server: razor.example:8150")
	}
	return out, nil
}

// EachFile calls fn with every path of the configuration and its key, except authorized keys. isURL says that it
// may be a URL instead.
func (c *Config) EachFile(fn func(key, path string, isURL bool)) {
	c.eachPath(func(key, p string, isURL bool) string {
		fn(key, p, isURL)
		return p
	})
}

// eachPath replaces the paths of [Config.EachFile] by the results of fn.
func (c *Config) eachPath(fn func(key, p string, isURL bool) string) {
	put := func(key string, p *string, isURL bool) {
		if *p != "" {
			*p = fn(key, *p, isURL)
		}
	}
	urls := func(key string, list URLs) {
		for i := range list {
			put(key, &list[i], true)
		}
	}
	urls("mirrors", c.Mirrors)
	if c.ISO != nil {
		put("iso", &c.ISO.URL, true)
	}
	urls("gems.source", c.Gems.Source)
	if c.RubyGems != nil {
		urls("rubygems.url", c.RubyGems.URL)
	}
	if c.MCollective != nil {
		urls("mcollective.url", c.MCollective.URL)
		for name, v := range c.MCollective.Server {
			if v != nil {
				put("mcollective.server."+name, &v.file, false)
			}
		}
	}
	for _, g := range c.Gems.Install {
		urls("gems.install", g.URL)
	}
	for i := range c.Overlay {
		put("overlay", &c.Overlay[i].Source, false)
	}
	put("client.ca", &c.Client.CA, false)
	for i, k := range c.ExtensionKeys {
		if !signing.IsKey(k) {
			put("extension_keys", &c.ExtensionKeys[i], false)
		}
	}
}

// relocate makes the paths of a config file absolute: they are relative to its folder.
func (c *Config) relocate(dir string) {
	c.OpenSSH.dir = dir
	c.eachPath(func(_, p string, isURL bool) string {
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

// ExpandHome replaces the "~" of every path that begins with "~/" by the user's home folder, as a shell does.
func (c *Config) ExpandHome(home string) {
	expand := func(p string) string {
		if rest, ok := strings.CutPrefix(p, "~/"); ok {
			return filepath.Join(home, rest)
		}
		return p
	}
	c.eachPath(func(_, p string, _ bool) string { return expand(p) })
	for i, k := range c.OpenSSH.AuthorizedKeys {
		c.OpenSSH.AuthorizedKeys[i] = expand(k) // no key begins so
	}
}
