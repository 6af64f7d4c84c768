package razor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// yamlDoc walks a YAML document node by node, so that every complaint names its line. JSON is
// read the same way, being YAML.
type yamlDoc struct {
	file string
	kind error // the sentinel that errors wrap
}

// FileError is a complaint about a line of config.yaml or of the rules file.
type FileError struct {
	File string
	Line int // 0 when the complaint is about the whole file
	Msg  string
	kind error
}

func (e *FileError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Msg)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
}

// Unwrap gives [ErrConfig] or [ErrRules].
func (e *FileError) Unwrap() error { return e.kind }

func (d yamlDoc) errorf(n *yaml.Node, format string, args ...any) error {
	line := 0
	if n != nil {
		line = n.Line
	}
	return &FileError{File: d.file, Line: line, Msg: fmt.Sprintf(format, args...), kind: d.kind}
}

// parse reads one document; an empty file is an empty mapping.
func (d yamlDoc) parse(b []byte) (root *yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			root, err = nil, d.errorf(nil, "not YAML: %v", p)
		}
	}()
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return nil, d.errorf(nil, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 {
		return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}, nil
	}
	return doc.Content[0], nil
}

// resolve follows an alias. Aliases of aliases do not exist in YAML.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// mapping returns the entries of a map; null is an empty map.
func (d yamlDoc) mapping(n *yaml.Node, what string) (map[string]*yaml.Node, error) {
	n = resolve(n)
	m := map[string]*yaml.Node{}
	if isNull(n) {
		return m, nil
	}
	if n.Kind != yaml.MappingNode {
		return nil, d.errorf(n, "%s must be a map, not %s", what, kindName(n))
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := resolve(n.Content[i])
		if k.ShortTag() == "!!merge" {
			return nil, d.errorf(k, "%s: merge keys (<<) are not supported: write the keys out", what)
		}
		if k.Kind != yaml.ScalarNode {
			return nil, d.errorf(k, "%s: a key must be a string, not %s", what, kindName(k))
		}
		if _, dup := m[k.Value]; dup {
			return nil, d.errorf(k, "%s: key %q is there twice", what, k.Value)
		}
		m[k.Value] = resolve(n.Content[i+1])
	}
	return m, nil
}

// list returns the elements of a list; null is an empty list.
func (d yamlDoc) list(n *yaml.Node, what string) ([]*yaml.Node, error) {
	n = resolve(n)
	if isNull(n) {
		return nil, nil
	}
	if n.Kind != yaml.SequenceNode {
		return nil, d.errorf(n, "%s must be a list, not %s", what, kindName(n))
	}
	return n.Content, nil
}

// text returns a string; null is "".
func (d yamlDoc) text(n *yaml.Node, what string) (string, error) {
	n = resolve(n)
	if isNull(n) {
		return "", nil
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		return "", d.errorf(n, "%s must be a string, not %s", what, kindName(n))
	}
	return n.Value, nil
}

// texts returns a list of strings; a lone string is a list of one, as Ruby's Array() has it.
func (d yamlDoc) texts(n *yaml.Node, what string) ([]string, error) {
	n = resolve(n)
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
		return []string{n.Value}, nil
	}
	items, err := d.list(n, what)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(items))
	for _, it := range items {
		it = resolve(it)
		if it.Kind != yaml.ScalarNode || it.ShortTag() != "!!str" {
			return nil, d.errorf(it, "%s: every entry must be a string, not %s", what, kindName(it))
		}
		out = append(out, it.Value)
	}
	return out, nil
}

func (d yamlDoc) boolean(n *yaml.Node, what string) (bool, error) {
	n = resolve(n)
	if isNull(n) {
		return false, nil
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
		return false, d.errorf(n, "%s must be true or false, not %s", what, kindName(n))
	}
	return strings.EqualFold(n.Value, "true"), nil
}

func (d yamlDoc) integer(n *yaml.Node, what string) (int, error) {
	n = resolve(n)
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int" {
		i, err := strconv.Atoi(n.Value)
		if err == nil {
			return i, nil
		}
		if errors.Is(err, strconv.ErrRange) {
			return 0, d.errorf(n, "%s: %s is out of range", what, n.Value)
		}
	}
	return 0, d.errorf(n, "%s must be an integer, not %s", what, kindName(n))
}

// kindName describes what a node is, for people.
func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!str":
		return fmt.Sprintf("the string %q", clip(n.Value, 40))
	case "!!null":
		return "null"
	default:
		return clip(n.Value, 40)
	}
}

// clip shortens a text for a message, at a rune boundary.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && s[limit]&0xc0 == 0x80 {
		limit--
	}
	return s[:limit] + "…"
}
