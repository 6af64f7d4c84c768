package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"mkbuild/internal/fail"
)

// shapeError is an invalid value of a key in mkbuild.yaml, or an unknown key.
type shapeError struct {
	line       int
	what, hint string
}

func (e *shapeError) Error() string { return "line " + strconv.Itoa(e.line) + ": " + e.what }

// checkShape compares a document with the type that it is for. key is the path of n, "" at the top.
func checkShape(n *yaml.Node, t reflect.Type, key string) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	fits := n.Kind == yaml.ScalarNode
	switch kind := t.Kind(); {
	case fits && n.ShortTag() == "!!null":
		return nil // the zero value
	case t == reflect.TypeFor[Value]():
		return nil // describes its values itself
	case (t == reflect.TypeFor[URLs]() || t == reflect.TypeFor[ISO]()) && fits:
	case kind == reflect.Bool, kind == reflect.Int:
		fits = fits && n.Decode(reflect.New(t).Interface()) == nil
	case kind == reflect.Slice:
		fits = n.Kind == yaml.SequenceNode
	case kind == reflect.Struct, kind == reflect.Map:
		fits = n.Kind == yaml.MappingNode
	}
	if !fits {
		what := key + " takes " + takes(t)
		if key == "" {
			return &shapeError{n.Line, shown(n, key) + " is not KEY: VALUE", "for example: release: 4.5.2"}
		}
		hint := "`mkbuild init -` prints every key with its explanation"
		if n.Kind == yaml.ScalarNode && t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String {
			hint = "write a list: [" + n.Value + "]"
		}
		return &shapeError{n.Line, what + ", not " + shown(n, key), hint}
	}
	for i, inner := range n.Content {
		err := error(nil)
		switch {
		case t.Kind() == reflect.Slice:
			err = checkShape(inner, t.Elem(), key)
		case i%2 == 0:
		case n.Content[i-1].Value == "<<":
			err = checkShape(inner, t, key)
		case t.Kind() == reflect.Map:
			err = checkShape(inner, t.Elem(), key+"."+n.Content[i-1].Value)
		default:
			err = checkKey(n.Content[i-1], inner, t, key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkKey finds the field of a key and checks its value.
func checkKey(name, value *yaml.Node, t reflect.Type, key string) error {
	keys := keysOf(t)
	for i := range t.NumField() {
		if tagOf(t.Field(i)) == name.Value {
			return checkShape(value, t.Field(i).Type, strings.TrimPrefix(key+"."+name.Value, "."))
		}
	}
	e := &shapeError{line: name.Line, what: fmt.Sprintf("unknown key %q", name.Value)}
	if key != "" {
		e.what += " under " + key
	}
	if near := fail.Nearest(name.Value, keys); near != "" {
		e.hint = "did you mean " + near + "?"
	} else if home := homeOf(name.Value); home != "" {
		e.hint = fmt.Sprintf("%s belongs under %s:", name.Value, home)
	} else {
		e.hint = "there are " + strings.Join(keys, ", ") + "; `mkbuild init -` explains them"
	}
	return e
}

// homeOf returns the first top-level key with such a key below it.
func homeOf(name string) string {
	t := reflect.TypeFor[Config]()
	for i := range t.NumField() {
		below := t.Field(i).Type
		for below.Kind() == reflect.Pointer || below.Kind() == reflect.Slice {
			below = below.Elem()
		}
		if below.Kind() == reflect.Struct && slices.Contains(keysOf(below), name) {
			return tagOf(t.Field(i))
		}
	}
	return ""
}

func tagOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}

func keysOf(t reflect.Type) (keys []string) {
	for i := range t.NumField() {
		if name := tagOf(t.Field(i)); name != "" {
			keys = append(keys, name)
		}
	}
	return keys
}

// takes describes the values of a key of that type.
func takes(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Slice:
		if t == reflect.TypeFor[URLs]() {
			return "one address or a list of them"
		}
		if t.Elem().Kind() == reflect.Struct {
			return "a list of {" + strings.Join(keysOf(t.Elem()), ": …, ") + ": …}"
		}
		return "a list, such as [a, b]"
	case reflect.Struct:
		return "a mapping {" + strings.Join(keysOf(t), ": …, ") + ": …}"
	case reflect.Map:
		return "a mapping {NAME: VALUE, …}"
	}
	return "one value"
}

// shown is a value as the user wrote it, or its shape. Under mcollective it may be a secret.
func shown(n *yaml.Node, key string) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a mapping"
	}
	if strings.HasPrefix(key, "mcollective") {
		return "one value"
	}
	return strconv.Quote(n.Value)
}
