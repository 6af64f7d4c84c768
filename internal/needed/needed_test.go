package needed

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/overlay"
)

// hostELF reads a real dynamic program of this machine.
func hostELF(t *testing.T) (name string, b []byte) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("no ELF files on this system")
	}
	name = testkit.Tool(t, "bash")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return name, b
}

func put(t *testing.T, tree *overlay.Tree, es ...overlay.Entry) {
	t.Helper()
	for _, e := range es {
		if err := tree.Put(e); err != nil {
			t.Fatal(err)
		}
	}
}

// dynamicOf is readelf's answer: interpreter and libraries.
func dynamicOf(t *testing.T, name string) (interp string, libs []string) {
	t.Helper()
	out := testkit.Run(t, "readelf", "-ldW", name)
	if m := regexp.MustCompile(`program interpreter: ([^\]]+)\]`).FindStringSubmatch(out); m != nil {
		interp = m[1]
	}
	for _, m := range regexp.MustCompile(`\(NEEDED\).*\[([^\]]+)\]`).FindAllStringSubmatch(out, -1) {
		libs = append(libs, m[1])
	}
	return interp, libs
}

// TestReadelf compares with readelf, with section headers and without: Tiny Core's files often
// have none.
func TestReadelf(t *testing.T) {
	name, b := hostELF(t)
	interp, libs := dynamicOf(t, name)
	if interp == "" || len(libs) == 0 {
		t.Fatalf("readelf says nothing of %s", name)
	}
	stripped := slices.Clone(b)
	for _, at := range []int{0x28, 0x3a, 0x3c, 0x3e} { // e_shoff and the three counts, ELF64
		n := 2
		if at == 0x28 {
			n = 8
		}
		clear(stripped[at : at+n])
	}
	for what, content := range map[string][]byte{"whole": b, "no sections": stripped} {
		o, err := Read(content)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if o.Interp != interp || !slices.Equal(o.Needs, libs) {
			t.Errorf("%s: %q %q; readelf says %q %q", what, o.Interp, o.Needs, interp, libs)
		}
	}
}

func TestMissing(t *testing.T) {
	name, b := hostELF(t)
	interp, libs := dynamicOf(t, name)
	elf32 := slices.Clone(b)
	binary.LittleEndian.PutUint16(elf32[18:], 3) // e_machine: EM_386
	for what, test := range map[string]struct {
		edit func(*overlay.Tree)
		want []string
	}{
		"complete":            {func(*overlay.Tree) {}, nil},
		"no interpreter":      {func(tr *overlay.Tree) { tr.Remove(interp[1:]) }, []string{interp}},
		"no library":          {func(tr *overlay.Tree) { tr.Remove("usr/local/lib/" + libs[0]) }, []string{libs[0]}},
		"text for a library":  {func(tr *overlay.Tree) { put(t, tr, overlay.File("usr/local/lib/"+libs[0], 0o755, []byte("text"))) }, []string{libs[0]}},
		"for another machine": {func(tr *overlay.Tree) { put(t, tr, overlay.File("usr/local/lib/"+libs[0], 0o755, elf32)) }, append(foreignNeeds(libs), libs[0])},
		"elsewhere":           {func(tr *overlay.Tree) { move(t, tr, libs[0], "srv/lib/"+libs[0]) }, []string{libs[0]}},
		"elsewhere, ld.so.conf": {func(tr *overlay.Tree) {
			move(t, tr, libs[0], "srv/lib/"+libs[0])
			put(t, tr, overlay.File("etc/ld.so.conf", 0o644, []byte("# c\ninclude ld.so.conf.d/*.conf\n")),
				overlay.Dir("etc/ld.so.conf.d", 0o755), overlay.File("etc/ld.so.conf.d/a.conf", 0o644, []byte("/srv/lib # ours\n")))
		}, nil},
		"behind a link": {func(tr *overlay.Tree) {
			move(t, tr, libs[0], "srv/lib/"+libs[0])
			put(t, tr, overlay.Symlink("usr/local/lib/"+libs[0], "/srv/lib/"+libs[0]))
		}, nil},
		"dangling link": {func(tr *overlay.Tree) { put(t, tr, overlay.Symlink("usr/local/lib/"+libs[0], "/srv/"+libs[0])) }, []string{libs[0]}},
		"truncated":     {func(tr *overlay.Tree) { put(t, tr, overlay.File("bin/b", 0o755, b[:512])) }, nil},
	} {
		t.Run(what, func(t *testing.T) {
			tree := hostTree(t, name, b, interp, libs)
			test.edit(tree)
			var got []string
			for _, l := range Missing(tree) {
				got = append(got, l.Name)
				if len(l.By) == 0 || !strings.HasPrefix(l.String(), l.Name+", needed by /") {
					t.Errorf("%v", l)
				}
			}
			slices.Sort(test.want)
			if !slices.Equal(got, test.want) {
				t.Errorf("missing %q, want %q", got, test.want)
			}
		})
	}
}

// foreignNeeds is what the first library, taken for another machine's, finds nowhere itself.
func foreignNeeds(libs []string) []string {
	for _, l := range libs {
		if strings.HasPrefix(l, "libc.so") {
			return []string{l}
		}
	}
	return nil
}

// hostTree is an image with the program and everything that it needs, directly or not; all
// libraries lie in usr/local/lib.
func hostTree(t *testing.T, name string, b []byte, interp string, libs []string) *overlay.Tree {
	t.Helper()
	tree := &overlay.Tree{}
	put(t, tree, overlay.File("bin/bash", 0o755, b))
	add := func(host, at string) []byte {
		content, err := os.ReadFile(host)
		if err != nil {
			t.Fatal(err)
		}
		put(t, tree, overlay.File(at, 0o755, content))
		return content
	}
	add(interp, interp[1:])
	out := testkit.Run(t, "ldd", name)
	for _, m := range regexp.MustCompile(`(?m)=> (/\S+)`).FindAllStringSubmatch(out, -1) {
		add(m[1], "usr/local/lib/"+filepath.Base(m[1]))
	}
	if tree.Get("usr/local/lib/"+libs[0]) == nil {
		t.Fatalf("ldd does not name %s:\n%s", libs[0], out)
	}
	add(interp, "usr/local/lib/"+filepath.Base(interp)) // the loader is a library, too
	return tree
}

func move(t *testing.T, tree *overlay.Tree, lib, to string) {
	t.Helper()
	e := *tree.Get("usr/local/lib/" + lib)
	tree.Remove(e.Path)
	e.Path = to
	put(t, tree, e)
}

func TestExpand(t *testing.T) {
	for in, want := range map[string]string{"$ORIGIN/../lib": "/usr/local/bin/../lib", "${ORIGIN}": "/usr/local/bin", "/x": "/x"} {
		if got := expand(in, "usr/local/bin/ruby"); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// FuzzObject feeds damaged programs: no panic, no answer of absurd size.
func FuzzObject(f *testing.F) {
	if b, err := os.ReadFile("/bin/true"); err == nil {
		f.Add(b)
	}
	f.Add([]byte(Magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, _ := Read(b); o != nil && len(o.Needs)+len(o.Defines) > 2*maxRecords+1 {
			t.Errorf("%d libraries, %d versions", len(o.Needs), len(o.Defines))
		}
	})
}
