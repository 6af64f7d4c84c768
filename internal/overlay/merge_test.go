package overlay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/fail"
)

// from marks entries with an origin.
func from(origin string, entries ...Entry) []Entry {
	for i := range entries {
		entries[i].Origin = origin
	}
	return entries
}

func owned(e Entry, uid, gid uint32) Entry {
	e.UID, e.GID = uid, gid
	return e
}

func linked(group string, e Entry) Entry {
	e.HardLink = group
	return e
}

func device(name string, major, minor uint32) Entry {
	return Entry{Path: name, Mode: TypeChar | 0o600, Major: major, Minor: minor}
}

// stockBase resembles the root of a core.gz.
func stockBase(t testing.TB) *Tree {
	return treeOf(t, from("core.gz",
		Dir(".", 0o755), Dir("bin", 0o755), File("bin/busybox", 0o4755, []byte("busybox")), Symlink("bin/mount", "busybox"),
		Dir("opt", 0o2775), owned(Dir("tmp", 0o1777), 0, 0), Dir("usr", 0o755), Dir("usr/local", 0o755),
		owned(Dir("usr/local/tce.installed", 0o775), 0, 50), Dir("usr/lib", 0o755), Symlink("lib64", "usr/lib"),
		Symlink("dangling", "var/new"), Symlink("tofile", "bin/busybox"), Symlink("loop", "loop"), Dir("empty", 0o700),
		Dir("dev", 0o755), device("dev/null", 1, 3),
		linked("i", File("one", 0o644, []byte("1"))), linked("i", File("two", 0o644, []byte("1"))),
	)...)
}

func TestAddFirstWins(t *testing.T) {
	tests := []struct {
		name      string
		layer     []Entry
		conflicts []string // "path kept"
		added     string   // without the repeated base directories' lines
	}{
		{"new file in a base directory repeats the directory",
			[]Entry{Dir("opt", 0o755), File("opt/f", 0o640, []byte("x"))}, nil,
			". 40755 0:0\nopt 42775 0:0\nopt/f 100640 0:0 \"x\"\n"},
		{"missing parents are made",
			[]Entry{owned(File("a/b/f", 0o644, nil), 1001, 50)}, nil,
			". 40755 0:0\na 40755 0:0\na/b 40755 0:0\na/b/f 100644 1001:50 \"\"\n"},
		{"the root of a layer is ignored", []Entry{owned(Dir(".", 0o777), 1001, 50)}, nil, ". 40755 0:0\n"},
		{"directories merge in silence",
			[]Entry{owned(Dir("tmp", 0o755), 1001, 50), owned(Dir("usr/local/tce.installed", 0o700), 1, 1)}, nil, ". 40755 0:0\n"},
		{"what the base has stays", []Entry{File("bin/busybox", 0o755, []byte("other")), File("bin/mount", 0o755, []byte("real"))},
			[]string{"bin/busybox core.gz", "bin/mount core.gz"}, ". 40755 0:0\n"},
		{"the same again is no conflict",
			[]Entry{owned(File("bin/busybox", 0o4755, []byte("busybox")), 7, 7), Symlink("bin/mount", "busybox"), device("dev/null", 1, 3)},
			nil, ". 40755 0:0\n"},
		{"another mode is a conflict", []Entry{File("bin/busybox", 0o755, []byte("busybox"))}, []string{"bin/busybox core.gz"}, ". 40755 0:0\n"},
		{"another device number is a conflict", []Entry{device("dev/null", 1, 5)}, []string{"dev/null core.gz"}, ". 40755 0:0\n"},
		{"a symlinked directory is followed",
			[]Entry{Dir("lib64", 0o700), File("lib64/x.so", 0o644, nil)}, nil,
			". 40755 0:0\nusr 40755 0:0\nusr/lib 40755 0:0\nusr/lib/x.so 100644 0:0 \"\"\n"},
		{"both names of a symlinked directory in one layer",
			[]Entry{File("lib64/x", 0o644, []byte("1")), File("usr/lib/x", 0o644, []byte("2"))}, []string{"usr/lib/x ext"},
			". 40755 0:0\nusr 40755 0:0\nusr/lib 40755 0:0\nusr/lib/x 100644 0:0 \"1\"\n"},
		{"a dangling symlink is followed",
			[]Entry{Dir("dangling", 0o700), File("dangling/f", 0o644, nil)}, nil,
			". 40755 0:0\nvar 40755 0:0\nvar/new 40700 0:0\nvar/new/f 100644 0:0 \"\"\n"},
		{"a directory where a file is", []Entry{Dir("bin/busybox", 0o755), Dir("bin/busybox/d", 0o755), File("bin/busybox/d/f", 0o644, nil)},
			[]string{"bin/busybox core.gz", "bin/busybox/d/f core.gz"}, ". 40755 0:0\n"},
		{"a directory where a symlink to a file is", []Entry{Dir("tofile", 0o755), File("tofile/f", 0o644, nil)},
			[]string{"tofile core.gz", "bin/busybox/f core.gz"}, ". 40755 0:0\n"},
		{"a file below a file", []Entry{File("one/f", 0o644, nil)}, []string{"one/f core.gz"}, ". 40755 0:0\n"},
		{"a file where a directory is", []Entry{File("opt", 0o644, nil), Symlink("usr/local", "/mnt")},
			[]string{"opt core.gz", "usr/local core.gz"}, ". 40755 0:0\n"},
		{"a symlink loop", []Entry{Dir("loop", 0o755), File("loop/f", 0o644, nil)},
			[]string{"loop core.gz", "loop/f core.gz"}, ". 40755 0:0\n"},
		{"hard links survive a skipped member",
			[]Entry{linked("i", File("bin/busybox", 0o755, []byte("h"))), linked("i", File("n1", 0o755, []byte("h"))), linked("i", File("n2", 0o755, []byte("h")))},
			[]string{"bin/busybox core.gz"}, ". 40755 0:0\nn1 100755 0:0 \"h\" group 1\nn2 100755 0:0 \"h\" group 1\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base := stockBase(t)
			before := describe(t, base)
			l := NewLayers(base)
			conflicts, err := l.AddFirstWins(treeOf(t, from("ext", tt.layer...)...))
			testkit.Must(t, err)
			var got []string
			for _, c := range conflicts {
				got = append(got, c.Path+" "+c.Kept)
				if c.Skipped != "ext" || c.Reason == "" {
					t.Errorf("conflict %+v", c)
				}
			}
			if !slices.Equal(got, tt.conflicts) {
				t.Errorf("conflicts %q, want %q", got, tt.conflicts)
			}
			if got := describe(t, l.Added()); got != tt.added {
				t.Errorf("added\n%swant\n%s", got, tt.added)
			}
			if describe(t, base) != before {
				t.Error("the base given to NewLayers was changed")
			}
		})
	}
}

func TestEarlierLayerWins(t *testing.T) {
	l := NewLayers(stockBase(t))
	for i, want := range []int{0, 1, 0} {
		origin := fmt.Sprintf("ext%d", i%2)
		layer := treeOf(t, from(origin, Dir("d", 0o755+uint32(i)), linked("g", File("d/f", 0o644, []byte(origin))),
			linked("g", File(origin, 0o644, []byte(origin))))...)
		conflicts, err := l.AddFirstWins(layer)
		testkit.Must(t, err)
		testkit.Must(t, l.AddLastWins(&Tree{}))
		if len(conflicts) != want || want == 1 && conflicts[0] != (Conflict{"d/f", "ext0", "ext1", "already there"}) {
			t.Errorf("layer %d: conflicts %v", i, conflicts)
		}
	}
	// ext0 and ext1 both call their group "g": they must not become one file.
	want := ". 40755 0:0\nd 40755 0:0\nd/f 100644 0:0 \"ext0\" group 1\next0 100644 0:0 \"ext0\" group 1\next1 100644 0:0 \"ext1\" group 2\n"
	if got := describe(t, l.Added()); got != want {
		t.Errorf("added\n%swant\n%s", got, want)
	}
}

func TestAddLastWins(t *testing.T) {
	tests := []struct {
		name  string
		layer []Entry
		added string
	}{
		{"a file replaces a file", []Entry{owned(File("bin/busybox", 0o755, []byte("new")), 1, 2)},
			". 40755 0:0\nbin 40755 0:0\nbin/busybox 100755 1:2 \"new\"\n"},
		{"a file replaces a symlink and not its target", []Entry{File("bin/mount", 0o755, []byte("new"))},
			". 40755 0:0\nbin 40755 0:0\nbin/mount 100755 0:0 \"new\"\n"},
		{"the same file adds nothing", []Entry{File("bin/busybox", 0o4755, []byte("busybox"))}, ". 40755 0:0\n"},
		{"the same file with another owner is added", []Entry{owned(File("bin/busybox", 0o4755, []byte("busybox")), 0, 50)},
			". 40755 0:0\nbin 40755 0:0\nbin/busybox 104755 0:50 \"busybox\"\n"},
		{"directories keep their mode", []Entry{owned(Dir("tmp", 0o700), 5, 5), File("tmp/f", 0o644, nil)},
			". 40755 0:0\ntmp 41777 0:0\ntmp/f 100644 0:0 \"\"\n"},
		{"an empty directory gives way", []Entry{Symlink("empty", "/usr")}, ". 40755 0:0\nempty 120777 0:0 -> /usr\n"},
		{"a directory replaces a file", []Entry{Dir("one", 0o711), File("one/f", 0o644, nil)},
			". 40755 0:0\none 40711 0:0\none/f 100644 0:0 \"\"\n"},
		{"a symlinked directory is followed", []Entry{Dir("lib64", 0o700), File("lib64/x", 0o644, nil)},
			". 40755 0:0\nusr 40755 0:0\nusr/lib 40755 0:0\nusr/lib/x 100644 0:0 \"\"\n"},
		{"hard links over names of the base become files",
			[]Entry{linked("g", File("bin/busybox", 0o755, []byte("n"))), linked("g", File("bin/b2", 0o755, []byte("n"))), linked("g", File("bin/b3", 0o755, []byte("n")))},
			". 40755 0:0\nbin 40755 0:0\nbin/b2 100755 0:0 \"n\" group 1\nbin/b3 100755 0:0 \"n\" group 1\nbin/busybox 100755 0:0 \"n\"\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := NewLayers(stockBase(t))
			testkit.Must(t, l.AddLastWins(treeOf(t, from("user", tt.layer...)...)))
			if got := describe(t, l.Added()); got != tt.added {
				t.Errorf("added\n%swant\n%s", got, tt.added)
			}
		})
	}
}

func TestAddLastWinsOverALayer(t *testing.T) {
	l := NewLayers(stockBase(t))
	_, err := l.AddFirstWins(treeOf(t, from("ext", File("f", 0o644, []byte("ext")))...))
	testkit.Must(t, err)
	testkit.Must(t, l.AddLastWins(treeOf(t, from("user", File("f", 0o600, []byte("user")))...)))
	if got, want := describe(t, l.Added()), ". 40755 0:0\nf 100600 0:0 \"user\"\n"; got != want {
		t.Errorf("added\n%swant\n%s", got, want)
	}
}

func TestAddLastWinsClashes(t *testing.T) {
	tests := []struct {
		name string
		e    Entry
		path string // and the beginning of the reason
	}{
		{"a file for a directory with files", File("bin", 0o644, nil), "bin"},
		{"a symlink for a directory with files", Symlink("usr", "x"), "usr"},
		{"a file below a file", File("bin/busybox/f", 0o644, nil), "bin/busybox/f"},
		{"a file in a symlink loop", File("loop/f", 0o644, nil), "loop/f"},
		{"one name of a hard link", File("one", 0o644, []byte("other")), "one: it is a hard link of two,"},
		{"a device renumbered", device("dev/null", 1, 5), "dev/null"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := NewLayers(stockBase(t)).AddLastWins(treeOf(t, from("user", tt.e)...))
			path, reason, _ := strings.Cut(tt.path, ":")
			want := "replace " + path + " of core.gz with that of user:" + reason
			if err == nil || !strings.HasPrefix(err.Error(), want) || fail.ClassOf(err) != fail.Usage || !strings.Contains(fail.HintOf(err), "`target`") {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

func TestMerged(t *testing.T) {
	base := stockBase(t)
	testkit.Must(t, base.Put(owned(Dir(".", 0o777), 1001, 50)))
	l := NewLayers(base)
	_, err := l.AddFirstWins(treeOf(t, from("ext", File("opt/f", 0o644, nil))...))
	testkit.Must(t, err)
	merged := l.Merged()
	if merged.Len() != base.Len()+1 || merged.Get("opt/f") == nil {
		t.Errorf("%d entries, the base has %d", merged.Len(), base.Len())
	}
	if root := merged.Get("."); root.Mode != TypeDir|0o755 || root.UID != 0 || root.GID != 0 {
		t.Errorf("root is %o %d:%d", root.Mode, root.UID, root.GID)
	}
	if root := l.Added().Get("."); root.Mode != TypeDir|0o755 || root.UID != 0 {
		t.Errorf("added root is %o", root.Mode)
	}
}

func TestLayersWithoutBase(t *testing.T) {
	l := NewLayers(nil)
	_, err := l.AddFirstWins(treeOf(t, File("a/f", 0o644, nil)))
	testkit.Must(t, err)
	if got, want := describe(t, l.Added()), "a 40755 0:0\na/f 100644 0:0 \"\"\n"; got != want {
		t.Errorf("added\n%swant\n%s", got, want)
	}
	if l.Merged().Get(".") == nil {
		t.Error("merged has no root")
	}
}

// A base may lack directories above existing ones: archives come from anywhere.
func TestBaseWithoutParents(t *testing.T) {
	many := treeOf(t, slices.Concat(from("one", File("a/x", 0o644, nil)), from("two", File("a/y", 0o644, nil)), from("none", File("a/z", 0o644, nil)))...)
	if got := NewLayers(many).Merged().Get("a").Origin; got != "one" {
		t.Errorf("a directory that is missing is said to come from %s, not from what is first in it", got)
	}
	l := NewLayers(treeOf(t, Dir("a/b", 0o700)))
	if got, want := describe(t, l.Merged()), ". 40755 0:0\na 40755 0:0\na/b 40700 0:0\n"; got != want {
		t.Errorf("merged\n%swant\n%s", got, want)
	}
	_, err := l.AddFirstWins(treeOf(t, File("a/b/c/f", 0o644, nil)))
	testkit.Must(t, err)
	want := "a 40755 0:0\na/b 40700 0:0\na/b/c 40755 0:0\na/b/c/f 100644 0:0 \"\"\n"
	if got := describe(t, l.Added()); got != want {
		t.Errorf("added\n%swant\n%s", got, want)
	}
}

func TestLayersReportUnreadableContent(t *testing.T) {
	broken := errors.New("broken")
	bad := File("bin/busybox", 0o4755, []byte("BUSYBOX"))
	bad.Open = func() (io.ReadCloser, error) { return nil, broken }
	if _, err := NewLayers(stockBase(t)).AddFirstWins(treeOf(t, bad)); !errors.Is(err, broken) {
		t.Errorf("first wins: got %v", err)
	}
	bad.Open = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("short")), nil }
	if err := NewLayers(stockBase(t)).AddLastWins(treeOf(t, bad)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("last wins: got %v", err)
	}
}

func TestSameFileLooksAtAll(t *testing.T) {
	a := bytes.Repeat([]byte("a"), 100_000)
	b := bytes.Clone(a)
	b[99_999] = 'b'
	for _, other := range [][]byte{a, b} {
		x, y := File("f", 0o644, a), File("f", 0o644, other)
		if got, err := sameFile(&x, &y); err != nil || got != bytes.Equal(a, other) {
			t.Errorf("got %v, %v", got, err)
		}
	}
}
