package config

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// URLs is one URL or a list of them, tried in order.
type URLs []string

// UnmarshalYAML accepts a string or a list of strings.
func (u *URLs) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*u = URLs{n.Value}
		if n.Tag == "!!null" {
			*u = nil
		}
		return nil
	}
	var list []string
	if err := n.Decode(&list); err != nil {
		return err
	}
	*u = list
	return nil
}

// Secret is a string that prints REDACTED when it is formatted or marshalled.
type Secret string

// String hides the value.
func (Secret) String() string { return "REDACTED" }

// GoString hides the value from %#v.
func (Secret) GoString() string { return "REDACTED" }

// MarshalText hides the value from JSON and YAML.
func (Secret) MarshalText() ([]byte, error) { return []byte("REDACTED"), nil }

// Reveal returns the value itself, to write it into an image.
func (s Secret) Reveal() string { return string(s) }

// Value is the value of a server.cfg key: in mkbuild.yaml, or read from a file or an environment variable during
// the build, so that mkbuild.yaml needs no secret.
type Value struct {
	text Secret
	file string
	env  string
}

// String hides the value: fmt does not call the methods of unexported fields.
func (Value) String() string { return "REDACTED" }

// GoString hides the value from %#v.
func (Value) GoString() string { return "REDACTED" }

// MarshalText hides the value from JSON and YAML.
func (Value) MarshalText() ([]byte, error) { return []byte("REDACTED"), nil }

// Text returns a Value that holds s itself.
func Text(s string) Value { return Value{text: Secret(s)} }

// UnmarshalYAML accepts a scalar, {file: PATH} or {env: NAME}.
func (v *Value) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*v = Value{text: Secret(n.Value)}
		return nil
	}
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
		return fmt.Errorf("line %d: want a value, {file: PATH} or {env: NAME}", n.Line)
	}
	switch key, val := n.Content[0].Value, n.Content[1].Value; key {
	case "file":
		*v = Value{file: val}
	case "env":
		*v = Value{env: val}
	default:
		return fmt.Errorf("line %d: unknown key %q, want file or env", n.Line, key)
	}
	return nil
}

// Sources are the sources of [Value.Resolve]: files and environment.
type Sources struct {
	ReadFile func(name string) ([]byte, error)
	Getenv   func(name string) string
}

// Resolve returns the value from its source.
func (v Value) Resolve(src Sources) (Secret, error) {
	switch {
	case v.env != "":
		s := Secret(src.Getenv(v.env))
		if s == "" {
			return "", fmt.Errorf("environment variable %s is empty", v.env)
		}
		return s, nil
	case v.file != "":
		b, err := src.ReadFile(v.file)
		if err != nil {
			return "", err
		}
		return Secret(strings.TrimRight(string(b), "\r\n")), nil
	}
	return v.text, nil
}
