package overlay

import (
	"errors"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

// treeOf builds a tree of entries.
func treeOf(t testing.TB, entries ...Entry) *Tree {
	t.Helper()
	tree := &Tree{}
	for _, e := range entries {
		testkit.Must(t, tree.Put(e))
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
		{"AppleDouble next to it", []Entry{File("._a-1", 0o644, nil), Dir("a-1", 0o755), File("a-1/._f", 0o644, nil)}, "._f 100644 0:0 \"\"\n"},
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

func TestInstalled(t *testing.T) {
	got, err := treeOf(t, owned(Dir(".", 0o777), 7, 7), owned(Dir("d", 0o2700), 7, 7), linked("g", File("d/f", 0o600, []byte("x"))),
		linked("g", File("x", 0o4711, []byte("x"))), Symlink("d/up", "../x")).Installed()
	testkit.Must(t, err)
	want := "d 40755 0:0\nd/f 100644 0:0 \"x\"\nd/up 120777 0:0 -> ../x\nx 100755 0:0 \"x\"\n"
	if got := describe(t, got); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for _, tt := range []struct {
		name string
		in   []Entry
		want error
	}{
		{"link out", []Entry{Symlink("a/l", "../../x")}, ErrPath},
		{"link to the root", []Entry{Symlink("l", "/etc")}, ErrPath},
		{"link that climbs late", []Entry{Symlink("l", "a/b/../..")}, ErrPath},
		{"file through a link", []Entry{Symlink("l", "d"), File("l/x", 0o644, nil)}, ErrPath},
		{"device", []Entry{device("d", 1, 3)}, ErrType},
		{"pipe", []Entry{{Path: "p", Mode: TypeFIFO | 0o600}}, ErrType},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := treeOf(t, from("a.tgz", tt.in...)...).Installed(); !errors.Is(err, tt.want) || !strings.HasPrefix(err.Error(), "a.tgz: ") {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func TestPutBelow(t *testing.T) {
	tree := treeOf(t, Dir("usr/lib/a", 0o700))
	testkit.Must(t, tree.PutBelow("/usr/lib", File("usr/lib/a/b/f", 0o644, nil)))
	testkit.Must(t, tree.PutBelow("opt/gems", File("opt/gems/f", 0o644, nil)))
	want := "opt/gems 40755 0:0\nopt/gems/f 100644 0:0 \"\"\nusr/lib/a 40700 0:0\nusr/lib/a/b 40755 0:0\nusr/lib/a/b/f 100644 0:0 \"\"\n"
	if got := describe(t, tree); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
