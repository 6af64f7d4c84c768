package facts

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// parseSyck reads a mapping of Syck, the YAML library of Ruby 1.8, which differs from YAML 1.2: bytes that are
// not ASCII are written as "\\xC3\\xBC", a text with many of them, or with tabs, is !binary, and a plain 1e3 is a
// text. It also reads the output of Psych, of later Rubies.
func parseSyck(out []byte) (Facts, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(out, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("it is not a YAML mapping")
	}
	w := syckWalk{left: maxNodes}
	m, _ := w.value(doc.Content[0]).(map[string]any)
	if w.left < 0 {
		return nil, errors.New("it has too many values")
	}
	return m, nil
}

// maxNodes bounds the values of a document: an alias may expand to many.
const maxNodes = 100_000

type syckWalk struct{ left int }

func (w *syckWalk) value(n *yaml.Node) any {
	if w.left--; w.left < 0 {
		return nil
	}
	switch n.Kind {
	case yaml.AliasNode:
		return w.value(n.Alias)
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[syckText(n.Content[i])] = w.value(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, e := range n.Content {
			list = append(list, w.value(e))
		}
		return list
	}
	return syckScalar(n)
}

var (
	syckInt   = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,18})$`)
	syckFloat = regexp.MustCompile(`^-?[0-9]{1,18}\.[0-9]{1,18}$`)
)

// syckScalar is a text, unless Syck writes another type without quotes.
func syckScalar(n *yaml.Node) any {
	if n.Style != 0 || strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		return syckText(n)
	}
	switch {
	case n.Value == "true", n.Value == "false":
		return n.Value == "true"
	case n.Value == "", n.Value == "~", n.Value == "null":
		return nil
	case syckInt.MatchString(n.Value), syckFloat.MatchString(n.Value):
		return json.Number(n.Value)
	}
	return n.Value
}

// syckText decodes the bytes of a text.
func syckText(n *yaml.Node) string {
	if strings.HasSuffix(n.Tag, "binary") {
		if b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), "")); err == nil {
			return strings.ToValidUTF8(string(b), "?")
		}
	}
	if n.Style&yaml.DoubleQuotedStyle == 0 {
		return n.Value
	}
	b := make([]byte, 0, len(n.Value))
	for _, r := range n.Value {
		if r > 0xff {
			return n.Value // it was not escaped
		}
		b = append(b, byte(r))
	}
	if !utf8.Valid(b) {
		return n.Value // in Latin-1, which the first 256 characters are
	}
	return string(b)
}
