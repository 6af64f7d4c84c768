package yamlerr

import (
	"errors"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestPosition(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		line int
		what string
	}{
		"a: 1\nb: 2\nc: [1 2]\nd: [\"x\" \"y\"]\n": {4, "did not find expected ',' or ']'"},
		"a: 1\nb: {\"x\": 1 \"y\": 2}\n":           {2, "did not find expected ',' or '}'"},
		"a: 1\nb:\n  c: 1\n d: 2\n":                {4, "did not find expected key"},
		"a: 1\nb:\n\tc: 1\n":                       {3, "found character that cannot start any token"},
		"a: 1\nb: 2\nb c\nd: 1\n":                  {3, "could not find expected ':'"},
		"a: 1\nb: x\n":                             {2, `expected a whole number, found "x"`},
	} {
		var out map[string]int
		if text[len(text)-2] != 'x' {
			var n yaml.Node
			check(t, text, yaml.Unmarshal([]byte(text), &n), want.line, want.what)
			continue
		}
		check(t, text, yaml.Unmarshal([]byte(text), &out), want.line, want.what)
	}
	if _, _, ok := Position(errors.New("no position")); ok {
		t.Error("an error without a line has one")
	}
}

func check(t *testing.T, text string, err error, line int, what string) {
	t.Helper()
	if err == nil {
		t.Fatalf("%q is accepted", text)
	}
	if l, w, ok := Position(err); !ok || l != line || w != what {
		t.Errorf("%q: line %d, %q, %v; want line %d, %q", text, l, w, ok, line, what)
	}
}
