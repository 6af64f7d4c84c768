package needed

import (
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/ext"
	"mkbuild/internal/overlay"
)

// TestReadelf compares a real program with readelf, with section headers and without: Tiny Core's files often lack
// them.
func TestReadelf(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no ELF files on this system")
	}
	name := testkit.Tool(t, "bash")
	b, err := os.ReadFile(name)
	testkit.Must(t, err)
	out := testkit.Run(t, "readelf", "-ldW", name)
	interp := regexp.MustCompile(`program interpreter: ([^\]]+)\]`).FindStringSubmatch(out)
	var libs []string
	for _, m := range regexp.MustCompile(`\(NEEDED\).*\[([^\]]+)\]`).FindAllStringSubmatch(out, -1) {
		libs = append(libs, m[1])
	}
	if interp == nil || len(libs) == 0 {
		t.Fatalf("readelf says nothing of %s", name)
	}
	stripped := slices.Clone(b)
	clear(stripped[0x28:0x30]) // e_shoff of ELF64
	clear(stripped[0x3a:0x40]) // e_shentsize, e_shnum, e_shstrndx
	for what, content := range map[string][]byte{"whole": b, "no sections": stripped} {
		o, err := Read(content)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if o.Interp != interp[1] || !slices.Equal(o.Needs, libs) {
			t.Errorf("%s: %q %q; readelf says %q %q", what, o.Interp, o.Needs, interp[1], libs)
		}
	}
}

// TestMissing tests a program that needs libfoo, which needs libbar, with one change each.
func TestMissing(t *testing.T) {
	file := func(p, content string) overlay.Entry { return overlay.File(p, 0o755, []byte(content)) }
	foo, bar := ext.ELF(64, "", "libbar.so.2"), ext.ELF(64, "")
	const fooAt, barAt = "usr/local/lib/libfoo.so.1", "lib/libbar.so.2"
	for name, tt := range map[string]struct {
		without string
		with    []overlay.Entry
		want    string
	}{
		"complete":              {"", nil, ""},
		"no interpreter":        {"lib/ld.so", nil, "/lib/ld.so, needed by /bin/prog"},
		"no library":            {fooAt, nil, "libfoo.so.1, needed by /bin/prog"},
		"no library's library":  {barAt, nil, "libbar.so.2, needed by /usr/local/lib/libfoo.so.1"},
		"text for a library":    {"", []overlay.Entry{file(fooAt, "text")}, "libfoo.so.1, needed by /bin/prog"},
		"for another machine":   {"", []overlay.Entry{file(fooAt, ext.ELF(32, ""))}, "libfoo.so.1, needed by /bin/prog"},
		"elsewhere":             {fooAt, []overlay.Entry{file("srv/lib/libfoo.so.1", foo)}, "libfoo.so.1, needed by /bin/prog"},
		"behind a link":         {fooAt, []overlay.Entry{file("srv/foo", foo), overlay.Symlink(fooAt, "/srv/foo")}, ""},
		"behind a broken link":  {fooAt, []overlay.Entry{overlay.Symlink(fooAt, "/srv/foo")}, "libfoo.so.1, needed by /bin/prog"},
		"by its path":           {"", []overlay.Entry{file("bin/p", ext.ELF(64, "", "/lib/libbar.so.2", "/no/lib.so"))}, "/no/lib.so, needed by /bin/p"},
		"truncated":             {"", []overlay.Entry{file("bin/p", foo[:len(foo)-40])}, ""},
		"many programs":         {barAt, []overlay.Entry{file("a", foo), file("b", foo), file("c", foo)}, "libbar.so.2, needed by /a, /b, /c, …"},
		"elsewhere, ld.so.conf": {fooAt, []overlay.Entry{file("srv/lib/libfoo.so.1", foo), overlay.Dir("etc/ld.so.conf.d", 0o755), file("etc/ld.so.conf", "# c\ninclude ld.so.conf.d/*.conf\n"), file("etc/ld.so.conf.d/a.conf", "/srv/lib # ours\n")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tree := &overlay.Tree{}
			base := []overlay.Entry{file("bin/prog", ext.ELF(64, "/lib/ld.so", "libfoo.so.1")), file("lib/ld.so", bar), file(fooAt, foo), file(barAt, bar)}
			base = slices.DeleteFunc(base, func(e overlay.Entry) bool { return e.Path == tt.without })
			for _, e := range append(base, tt.with...) {
				testkit.Must(t, tree.Put(e))
			}
			var got []string
			for _, l := range Missing(tree) {
				got = append(got, l.String())
			}
			if strings.Join(got, "; ") != tt.want {
				t.Errorf("missing %q, want %q", got, tt.want)
			}
		})
	}
}

func TestExpand(t *testing.T) {
	for in, want := range map[string]string{"$ORIGIN/../lib": "/usr/local/bin/../lib", "${ORIGIN}": "/usr/local/bin", "/x": "/x"} {
		if got := expand(in, "usr/local/bin/ruby"); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// FuzzObject reads damaged programs: no panic, no result of absurd size.
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
