package overlay

import (
	"errors"
	"testing"
)

// treeOf builds a tree out of entries.
func treeOf(t testing.TB, entries ...Entry) *Tree {
	t.Helper()
	tree := &Tree{}
	for _, e := range entries {
		must(t, tree.Put(e))
	}
	return tree
}

func TestStripTop(t *testing.T) {
	tests := []struct {
		name string
		in   []Entry
		want string // "" means ErrNoTop
	}{
		{"explicit folder", []Entry{Dir(".", 0o700), Dir("a-1", 0o777), File("a-1/f", 0o644, nil)}, "f 100644 0:0 \"\"\n"},
		{"implied folder", []Entry{File("a-1/d/f", 0o644, nil)}, "d/f 100644 0:0 \"\"\n"},
		{"only one level", []Entry{File("a/a/f", 0o644, nil)}, "a/f 100644 0:0 \"\"\n"},
		{"empty folder", []Entry{Dir("a", 0o755)}, "-"},
		{"AppleDouble beside it", []Entry{File("._a-1", 0o644, nil), Dir("a-1", 0o755), File("a-1/._f", 0o644, nil)}, "._f 100644 0:0 \"\"\n"},
		{"AppleDouble alone", []Entry{File("._a-1", 0o644, nil)}, ""},
		{"two folders", []Entry{Dir("a", 0o755), Dir("b", 0o755)}, ""},
		{"folder and file", []Entry{Dir("a", 0o755), File("a.txt", 0o644, nil)}, ""},
		{"file", []Entry{File("a", 0o644, nil)}, ""},
		{"root only", []Entry{Dir(".", 0o755)}, ""},
		{"empty", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := treeOf(t, tt.in...).StripTop()
			switch {
			case tt.want == "":
				if !errors.Is(err, ErrNoTop) {
					t.Errorf("got %v; want ErrNoTop", err)
				}
			case err != nil:
				t.Error(err)
			case tt.want == "-" && got.Len() != 0, tt.want != "-" && describe(t, got) != tt.want:
				t.Errorf("got\n%swant\n%s", describe(t, got), tt.want)
			}
		})
	}
}
