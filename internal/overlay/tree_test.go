package overlay

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
)

func TestCleanPath(t *testing.T) {
	tests := []struct{ in, want string }{
		{"usr/bin", "usr/bin"}, {"./usr//bin/", "usr/bin"}, {"/etc", "etc"}, {"", "."}, {"/", "."}, {"./", "."},
		{"a/./b", "a/b"}, {"...", "..."}, {"a/..b", "a/..b"},
		{strings.Repeat("a", 4095), strings.Repeat("a", 4095)},
		{"..", ""}, {"a/../b", ""}, {"/..", ""}, {"a\x00b", ""}, {strings.Repeat("a", 4096), ""},
	}
	for _, tt := range tests {
		got, err := CleanPath(tt.in)
		if tt.want == "" {
			if !errors.Is(err, ErrPath) {
				t.Errorf("%.20q: got %q, %v; want ErrPath", tt.in, got, err)
			}
		} else if got != tt.want || err != nil {
			t.Errorf("%.20q: got %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestPutRefuses(t *testing.T) {
	for name, e := range map[string]Entry{
		"dot dot":       File("a/../b", 0o644, nil),
		"no type":       {Path: "a", Mode: 0o644},
		"empty target":  Symlink("a", ""),
		"NUL in target": Symlink("a", "b\x00c"),
	} {
		tree := &Tree{}
		if err := tree.Put(e); err == nil || tree.Len() != 0 {
			t.Errorf("%s: got %v, %d entries", name, err, tree.Len())
		}
	}
}

func TestEntriesOrder(t *testing.T) {
	tree := treeOf(t, Dir("a/b", 0o755), Dir("a-b", 0o755), Dir("+x", 0o755), Dir(".", 0o755), Dir("a", 0o755), Dir(".hidden", 0o755))
	var got []string
	for _, e := range tree.Entries() {
		got = append(got, e.Path)
	}
	if want := ". +x .hidden a a-b a/b"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var children []string
	for _, e := range tree.Children(".") {
		children = append(children, e.Path)
	}
	if want := "+x .hidden a a-b"; strings.Join(children, " ") != want {
		t.Errorf("children %q, want %q", children, want)
	}
}

func TestRemove(t *testing.T) {
	tree := treeOf(t, Dir("a", 0o755), Dir("a/b", 0o755), File("a/b/c", 0o644, nil), File("ab", 0o644, nil), File("f", 0o644, nil))
	tree.Remove("a")
	tree.Remove("f")
	tree.Remove("nothing")
	if got, want := describe(t, tree), "ab 100644 0:0 \"\"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCloneIsApart(t *testing.T) {
	tree := treeOf(t, File("f", 0o644, []byte("x")))
	c := tree.Clone()
	c.Get("f").Mode = TypeRegular | 0o600
	testkit.Must(t, c.Put(File("g", 0o644, nil)))
	if got, want := describe(t, tree), "f 100644 0:0 \"x\"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestResolve(t *testing.T) {
	tree := treeOf(t, Dir("usr", 0o755), Dir("usr/lib", 0o755), Symlink("lib", "usr/lib"), Symlink("usr/lib64", "lib"),
		Symlink("usr/abs", "/lib/x"), Symlink("usr/up", "../../../lib"), Symlink("a", "b"), Symlink("b", "a"),
		File("usr/lib/x", 0o644, []byte("x")))
	tests := []struct{ in, all, parent string }{
		{"lib/x", "usr/lib/x", "usr/lib/x"},
		{"lib", "usr/lib", "lib"},
		{"usr/lib64/x", "usr/lib/x", "usr/lib/x"},
		{"usr/abs", "usr/lib/x", "usr/abs"},
		{"usr/up/new/f", "usr/lib/new/f", "usr/lib/new/f"},
		{"nowhere/f", "nowhere/f", "nowhere/f"},
		{".", ".", "."},
		{"a/f", "", ""},
		{"a", "", "a"},
	}
	for _, tt := range tests {
		if got, err := tree.Resolve(tt.in); got != tt.all || (err != nil) != (tt.all == "") {
			t.Errorf("Resolve(%s) = %q, %v; want %q", tt.in, got, err, tt.all)
		}
		if got, err := tree.ResolveParent(tt.in); got != tt.parent || (err != nil) != (tt.parent == "") {
			t.Errorf("ResolveParent(%s) = %q, %v; want %q", tt.in, got, err, tt.parent)
		}
	}
	if e, err := tree.Lookup("/usr/abs"); err != nil || e.Path != "usr/lib/x" {
		t.Errorf("Lookup: %v, %v", e, err)
	}
	for in, want := range map[string]error{"usr/none": ErrNotExist, "../x": ErrPath, "a": nil} {
		if _, err := tree.Lookup(in); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("Lookup(%s): %v", in, err)
		}
	}
}

func TestContent(t *testing.T) {
	good := File("f", 0o644, []byte("1234"))
	long, short := good, good
	long.Size, short.Size = 3, 5
	failing := good
	failing.Open = func() (io.ReadCloser, error) { return nil, io.ErrClosedPipe }
	tests := []struct {
		name  string
		e     Entry
		limit int64
		want  string
		ok    bool
	}{
		{"whole", good, 4, "1234", true},
		{"empty", File("f", 0o644, nil), 0, "", true},
		{"never opened", Entry{Path: "f", Mode: TypeRegular}, 0, "", true},
		{"over the limit", good, 3, "", false},
		{"more than its size", long, 10, "", false},
		{"less than its size", short, 10, "", false},
		{"cannot open", failing, 10, "", false},
		{"directory", Dir("f", 0o755), 10, "", false},
		{"size without content", Entry{Path: "f", Mode: TypeRegular, Size: 3}, 10, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.e.Content(tt.limit)
			if string(got) != tt.want || (err == nil) != tt.ok {
				t.Errorf("got %q, %v", got, err)
			}
			var sb strings.Builder
			if err := tt.e.CopyTo(&sb); tt.ok && (err != nil || sb.String() != tt.want) {
				t.Errorf("CopyTo: %q, %v", sb.String(), err)
			}
		})
	}
}

// TestChainOfLinks: links of hundreds of parts, each through the next, resolve quickly.
func TestChainOfLinks(t *testing.T) {
	tree := &Tree{}
	for i := range 38 {
		err := tree.Put(Symlink(fmt.Sprintf("d/l%d", i), strings.Repeat(fmt.Sprintf("x/../l%d/../", i+1), 127)+"x"))
		if err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	for range 2000 {
		if _, err := tree.Resolve("d/l0"); err == nil {
			t.Fatal("followed to its end")
		}
	}
	if took := time.Since(begin); took > 5*time.Second { // two minutes without a bound
		t.Errorf("2000 look-ups took %s", took)
	}
}

// TestBounds: a look-up can follow at most 40 links and 256 parts, counted over all its links.
func TestBounds(t *testing.T) {
	tree := &Tree{}
	for i := range 41 {
		testkit.Must(t, tree.Put(Symlink(fmt.Sprint(i), fmt.Sprint(i+1))))
	}
	testkit.Must(t, tree.Put(Symlink("long", strings.Repeat("x/../", 64)+"short"))) // 1 and 129 parts
	testkit.Must(t, tree.Put(Symlink("short", strings.Repeat("y/../", 63)+"end")))  // 127
	for in, want := range map[string]string{
		"1": "41", "0": "", "long": "", "long/x": "", "short/x": "end/x",
		strings.Repeat("d/", 255) + "x": strings.Repeat("d/", 255) + "x", strings.Repeat("d/", 256) + "x": "",
	} {
		if got, err := tree.Resolve(in); got != want || (err != nil) != (want == "") {
			t.Errorf("%.20s: %.20q, %v", in, got, err)
		}
	}
}
