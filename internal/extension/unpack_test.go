package extension

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/ext"
)

func unpack(t testing.TB, b []byte, lim Limits) (string, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "gen")
	testkit.Must(t, os.Mkdir(dir, 0o700))
	return dir, Unpack(t.Context(), bytes.NewReader(b), int64(len(b)), dir, lim)
}

func TestUnpackKeepsExecutableBitsOnly(t *testing.T) {
	for mode, want := range map[uint32]fs.FileMode{
		ext.File | 0o755: 0o755, ext.File | 0o644: 0o644, ext.File | 0o700: 0o700, ext.File | 0o777: 0o755, ext.File | 0o666: 0o644,
		ext.File | 0o4755: 0o755, ext.File | 0o2755: 0o755, ext.File | 0o6777: 0o755, ext.File | 0o1755: 0o755, ext.File: 0o600, 0: 0o644,
		ext.Dir | 0o7777: fs.ModeDir | 0o755,
	} {
		name := "bin/x"
		if mode&ext.Dir != 0 {
			name += "/"
		}
		dir, err := unpack(t, ext.Zip(t, ext.Item(name, "", mode)), DefaultLimits())
		if err != nil {
			t.Fatalf("mode %o: %v", mode, err)
		}
		if fi, err := os.Stat(filepath.Join(dir, "bin/x")); err != nil || fi.Mode() != want {
			t.Errorf("mode %o became %v, want %v; %v", mode, fi.Mode(), want, err)
		}
	}
}

// refusal is an archive that must be refused before anything is written.
type refusal struct {
	name  string
	kind  Kind
	items []ext.Member
}

func refusals() []refusal {
	file := func(name string) ext.Member { return ext.Item(name, "x", ext.File|0o644) }
	link := func(name, target string) ext.Member { return ext.Item(name, target, ext.Link|0o777) }
	dir := func(name string) ext.Member { return ext.Item(name, "", ext.Dir|0o755) }
	var list []refusal
	add := func(kind Kind, name string, items ...ext.Member) {
		list = append(list, refusal{name, kind, items})
	}
	for _, name := range []string{
		"../evil", "bin/../../evil", "/etc/passwd", `bin\tool`, `..\evil`, "a\x00b", "a//b", "./a", "a/.",
		"", "/", "a\nb", "\xff\xfe", strings.Repeat("d/", 16) + "f", strings.Repeat("n", 256),
	} {
		add(Name, fmt.Sprintf("name %.20q", name), ext.Item("bin/ok", "x", ext.File|0o755), file(name))
	}
	add(Special, "fifo", ext.Item("p", "", ext.FIFO|0o644))
	add(Special, "character device", ext.Item("p", "", 0o020644))
	add(Special, "block device", ext.Item("p", "", 0o060644))
	add(Special, "socket", ext.Item("p", "", 0o140644))
	add(Format, "duplicate", file("a"), file("a"))
	add(Format, "file and directory of one name", file("a"), dir("a/"))
	add(Name, "member below a file", file("a"), file("a/b"))
	add(Name, "member below a link", link("a", "b"), dir("b/"), file("a/c"))
	add(Link, "absolute link", link("a", "/etc/passwd"))
	add(Link, "escaping link", link("bin/a", "../../x"))
	add(Link, "link to the parent through a link", link("p/q/s", ".."), link("p/q/t", "s/../../x"))
	add(Link, "links in a circle", link("a", "b"), link("b", "a"))
	add(Link, "link through itself", link("a", "a/b"))
	add(Link, "empty link", link("a", ""))
	add(Link, "link with a NUL", link("a", "b\x00c"))
	add(Link, "long link", link("a", strings.Repeat("x/", 600)))
	add(Link, "link with a slash at the end", link("a/", "b"))
	add(Link, "41 links in a row", chain(41, 0)...)
	add(Wrapped, "wrapping directory", file("mk-ext/bin/tool"), file("mk-ext/lib/ruby/facter/x.rb"))
	add(Wrapped, "wrapping directory of macOS", file("mk-ext/facts.d/x.txt"), file("__MACOSX/mk-ext/._x"))
	return list
}

// chain makes n links to a file, each through the next, with a number of detours.
func chain(n, detours int) []ext.Member {
	items := []ext.Member{ext.Item("bin/x", "x", ext.File|0o755), ext.Item(fmt.Sprint("l", n), "bin", ext.Link|0o777)}
	for i := range n - 1 {
		items = append(items, ext.Item(fmt.Sprint("l", i+1), strings.Repeat("bin/../", detours)+fmt.Sprint("l", i+2), ext.Link|0o777))
	}
	return items
}

func TestUnpackRefuses(t *testing.T) {
	for _, tt := range refusals() {
		t.Run(tt.name, func(t *testing.T) {
			dir, err := unpack(t, ext.Zip(t, tt.items...), DefaultLimits())
			if why, ok := errors.AsType[*Error](err); !ok || why.Kind != tt.kind {
				t.Errorf("got %v", err)
			}
			if left, _ := os.ReadDir(dir); len(left) != 0 {
				t.Errorf("%d files were written before the refusal", len(left))
			}
			if up, _ := os.ReadDir(filepath.Dir(dir)); len(up) != 1 {
				t.Error("something escaped")
			}
		})
	}
}

// TestUnpackRefusesDamage changes the bytes of archives.
func TestUnpackRefusesDamage(t *testing.T) {
	good := ext.Zip(t, ext.Item("bin/x", strings.Repeat("hello ", 100), ext.File|0o755))
	central := bytes.Index(good, []byte("PK\x01\x02"))
	two := ext.Zip(t, ext.Item("a", "same", ext.File|0o644), ext.Item("b", "same", ext.File|0o644))
	second := bytes.LastIndex(two, []byte("PK\x01\x02"))
	for _, tt := range []struct {
		name string
		kind Kind
		zip  []byte
		edit func([]byte)
	}{
		{"zero bytes", NotZip, nil, nil},
		{"garbage", NotZip, []byte("<html>not found</html>"), nil},
		{"cut off", NotZip, good[:len(good)/2], nil},
		{"flipped", Damaged, good, func(b []byte) { b[40] ^= 0xff }},
		{"checksum", Damaged, good, func(b []byte) { binary.LittleEndian.PutUint32(b[central+16:], 0xdeadbeef) }},
		{"size", NotZip, good, func(b []byte) { binary.LittleEndian.PutUint32(b[central+24:], 5) }},
		{"encrypted", Format, good, func(b []byte) { b[central+8] |= 1 }},
		{"overlap", Format, two, func(b []byte) { binary.LittleEndian.PutUint32(b[second+42:], 0) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := bytes.Clone(tt.zip)
			if tt.edit != nil {
				tt.edit(b)
			}
			_, err := unpack(t, b, DefaultLimits())
			if why, ok := errors.AsType[*Error](err); !ok || why.Kind != tt.kind {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestUnpackTakes(t *testing.T) {
	for name, names := range map[string][]string{
		"one library": {"lib/ruby/facter/x.rb"}, "bin in bin": {"bin/bin/x"}, "other names": {"share/doc/x"},
		"two tops": {"share/bin/x", "README"}, "nothing": nil,
	} {
		var items []ext.Member
		for _, n := range names {
			items = append(items, ext.Item(n, "", 0))
		}
		if _, err := unpack(t, ext.Zip(t, items...), DefaultLimits()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestUnpackLimits: each limit holds, including the archive's own directory, which archive/zip would load
// completely.
func TestUnpackLimits(t *testing.T) {
	big := strings.Repeat("0", 3<<20)
	var many []ext.Member
	for i := range 3000 {
		many = append(many, ext.Item(fmt.Sprintf("%s%d/%s", strings.Repeat("n", 200), i, strings.Repeat("x", i%250)), "", 0))
	}
	for name, tt := range map[string]struct {
		lim   func(*Limits)
		items []ext.Member
	}{
		"archive size": {func(l *Limits) { l.Compressed = 10 }, []ext.Member{ext.Item("a", "x", 0)}},
		"total size":   {func(l *Limits) { l.Total, l.Ratio = 3<<20, 5000 }, []ext.Member{ext.Item("a", big, 0), ext.Item("b", big, 0)}},
		"file size":    {func(l *Limits) { l.File, l.Ratio = 1<<20, 5000 }, []ext.Member{ext.Item("a", big, 0)}},
		"members":      {func(l *Limits) { l.Count = 1 }, []ext.Member{ext.Item("a", "", 0), ext.Item("b", "", 0)}},
		"ratio":        {func(l *Limits) { l.Ratio = 100 }, []ext.Member{ext.Item("a", big, 0)}},
		"directory":    {func(l *Limits) { l.Count = 10 }, many},
	} {
		lim := DefaultLimits()
		tt.lim(&lim)
		_, err := unpack(t, ext.Zip(t, tt.items...), lim)
		if why, ok := errors.AsType[*Error](err); !ok || why.Kind != Limit {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestUnpackKeepsLinksInsideTheTree(t *testing.T) {
	dir, err := unpack(t, ext.Zip(t, append(chain(maxHops, 1),
		ext.Item("lib/libx.so", "libx.so.1", ext.Link|0o777), ext.Item("lib/libx.so.1", "elf", ext.File|0o755),
		ext.Item("bin/up", "../lib/libx.so", ext.Link|0o777), ext.Item("bin/none", "nowhere", ext.Link|0o777))...), DefaultLimits())
	testkit.Must(t, err)
	for name, want := range map[string]string{"bin/up": "elf", "l1/x": "x"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("through %s: %q, %v", name, got, err)
		}
	}
}

// TestLinksTakeLinearTime has links of many components through each other, and links to ever longer missing paths.
// Walking them again for each link would take minutes.
func TestLinksTakeLinearTime(t *testing.T) {
	items := chain(5000, 140)
	for i := range 4000 {
		items = append(items, ext.Item(fmt.Sprint("m", i), fmt.Sprint("m", i+1, strings.Repeat("/y", 500)), ext.Link|0o777))
	}
	b := ext.Zip(t, items...)
	start := time.Now()
	s, err := ReadZip("x.zip", bytes.NewReader(b), int64(len(b)), DefaultLimits())
	if err != nil || len(s.Refused) < 4000 {
		t.Errorf("%v, %d refused", err, len(s.Refused))
	}
	if d := time.Since(start); d > time.Minute {
		t.Errorf("took %s for %d bytes", d, len(b))
	}
}

// TestUnpackArchivesOfInfoZIP reads archives of the usual zip program.
func TestUnpackArchivesOfInfoZIP(t *testing.T) {
	testkit.Tool(t, "zip")
	src := ext.Tree{"bin/tool*": ext.Sh, "bin/alias -> tool": ""}.Write(t, t.TempDir())
	out := filepath.Join(t.TempDir(), "x.zip")
	testkit.Run(t, "sh", "-c", "cd "+src+" && zip -q -r -y "+out+" .")
	b, err := os.ReadFile(out)
	testkit.Must(t, err)
	dir, err := unpack(t, b, DefaultLimits())
	testkit.Must(t, err)
	if got, err := os.Readlink(filepath.Join(dir, "bin/alias")); err != nil || got != "tool" {
		t.Errorf("alias: %q, %v", got, err)
	}
	if fi, err := os.Stat(filepath.Join(dir, "bin/tool")); err != nil || fi.Mode() != 0o755 {
		t.Errorf("tool: %v, %v", fi, err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(ext.Zip(f))
	f.Add(ext.Zip(f, ext.Item("bin/x", "hello", ext.File|0o755), ext.Item("bin/l", "x", ext.Link|0o777)))
	f.Add(ext.Zip(f, ext.Item("../x", "hello", ext.File|0o755)))
	f.Add(ext.Zip(f, ext.Item("mk/bin/x", strings.Repeat("a", 4096), 0)))
	lim := Limits{Compressed: 1 << 20, Total: 1 << 20, File: 1 << 20, Count: 64, Ratio: 100, Depth: 8}
	f.Fuzz(func(t *testing.T, b []byte) {
		base := t.TempDir()
		dir := filepath.Join(base, "gen")
		testkit.Must(t, os.Mkdir(dir, 0o700))
		err := Unpack(t.Context(), bytes.NewReader(b), int64(len(b)), dir, lim)
		if left, _ := os.ReadDir(base); len(left) != 1 {
			t.Fatalf("something escaped: %v", left)
		}
		if err != nil {
			return
		}
		filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			fi, _ := d.Info()
			if fi.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0 || fi.Mode()&fs.ModeSymlink == 0 && fi.Mode().Perm()&0o022 != 0 {
				t.Errorf("%s has mode %v", p, fi.Mode())
			}
			return nil
		})
	})
}
