package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"mkbuild/internal/fail"
)

// Mistake returns the error of a mistake in a config file or flag. where is the place, such as
// "mkbuild.yaml:12" or "--release"; next is what to type next, and may be empty.
func Mistake(where, what, next string) error {
	return fail.New(fail.Usage, "config "+where+": "+what, cmp.Or(next, "mkbuild init writes a mkbuild.yaml with every key explained"))
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
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var second yaml.Node
	if err := d.Decode(&second); !errors.Is(err, io.EOF) {
		return errors.New("line 1: more than one document in the file")
	}
	return nil
}

// linePrefix matches yaml.v3's positions; the library has no typed ones.
var linePrefix = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?line (\d+): (.*)$`)

var unknownField = regexp.MustCompile(`^field (\S+) not found in type \S+$`)

// positioned turns the decoder's first complaint into "file:line: what".
func positioned(name string, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: unmarshal errors:\n")
	first, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	m := linePrefix.FindStringSubmatch(first)
	if m == nil {
		return Mistake(name, strings.TrimPrefix(first, "yaml: "), "")
	}
	what := m[2]
	if f := unknownField.FindStringSubmatch(what); f != nil {
		what = fmt.Sprintf("unknown key %q", f[1])
	}
	return Mistake(name+":"+m[1], what, "")
}
