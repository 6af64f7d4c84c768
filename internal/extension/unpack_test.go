package extension

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

// item is one member of a test archive; mode holds Unix bits as stat(2) has them.
type item struct {
	name, body string
	mode       uint32
}

const (
	sIFREG = 0o100000
	sIFLNK = 0o120000
	sIFDIR = 0o040000
	sIFIFO = 0o010000
)

// makeZip packs items with Unix modes; a mode of 0 makes the member one of MS-DOS.
func makeZip(t testing.TB, items ...item) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, it := range items {
		h := &zip.FileHeader{Name: it.name, Method: zip.Deflate}
		if it.mode != 0 {
			h.CreatorVersion = 3 << 8
			h.ExternalAttrs = it.mode << 16
		}
		if strings.HasSuffix(it.name, "/") {
			h.Method = zip.Store
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(it.body)); err != nil && !strings.HasSuffix(it.name, "/") {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func unpack(t testing.TB, b []byte, lim Limits) (string, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "gen")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Unpack(t.Context(), bytes.NewReader(b), int64(len(b)), dir, lim)
	return dir, err
}

func TestUnpackKeepsExecutableBitsOnly(t *testing.T) {
	tests := []struct {
		mode uint32
		want fs.FileMode
	}{
		{sIFREG | 0o755, 0o755}, {sIFREG | 0o644, 0o644}, {sIFREG | 0o700, 0o700},
		{sIFREG | 0o777, 0o755}, {sIFREG | 0o666, 0o644}, {sIFREG | 0o4755, 0o755},
		{sIFREG | 0o2755, 0o755}, {sIFREG | 0o6777, 0o755}, {sIFREG | 0o1755, 0o755},
		{sIFREG, 0o600}, {0, 0o644},
	}
	for _, tt := range tests {
		dir, err := unpack(t, makeZip(t, item{"bin/x", "#!/bin/sh\n", tt.mode}), DefaultLimits())
		if err != nil {
			t.Fatalf("mode %o: %v", tt.mode, err)
		}
		fi, err := os.Stat(filepath.Join(dir, "bin/x"))
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode() != tt.want {
			t.Errorf("mode %o became %v, want %v", tt.mode, fi.Mode(), tt.want)
		}
	}
}

func TestUnpackStripsBitsOfDirectories(t *testing.T) {
	dir, err := unpack(t, makeZip(t, item{"share/", "", sIFDIR | 0o7777}), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(filepath.Join(dir, "share"))
	if err != nil || fi.Mode() != fs.ModeDir|0o755 {
		t.Errorf("got %v, %v; want drwxr-xr-x", fi.Mode(), err)
	}
}

func TestUnpackRefusesUnsafeNames(t *testing.T) {
	for _, name := range []string{
		"../evil", "bin/../../evil", "/etc/passwd", `bin\tool`, `..\evil`, "a\x00b", "a//b", "./a", "a/.",
		"", "/", "a\nb", "\xff\xfe", strings.Repeat("d/", 16) + "f", strings.Repeat("n", 256),
	} {
		dir, err := unpack(t, makeZip(t, item{"bin/ok", "x", sIFREG | 0o755}, item{name, "evil", sIFREG | 0o644}), DefaultLimits())
		var unsafe *UnsafeError
		if !errors.As(err, &unsafe) {
			t.Errorf("%q: got %v, want an UnsafeError", name, err)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("%q: %d files were written before the refusal", name, len(left))
		}
		if up, _ := os.ReadDir(filepath.Dir(dir)); len(up) != 1 {
			t.Errorf("%q: something escaped", name)
		}
	}
}

func TestUnpackRefusesUnsafeMembers(t *testing.T) {
	link := func(name, target string) item { return item{name, target, sIFLNK | 0o777} }
	file := func(name string) item { return item{name, "x", sIFREG | 0o644} }
	tests := []struct {
		name  string
		items []item
	}{
		{"fifo", []item{{"p", "", sIFIFO | 0o644}}},
		{"character device", []item{{"p", "", 0o020644}}},
		{"block device", []item{{"p", "", 0o060644}}},
		{"socket", []item{{"p", "", 0o140644}}},
		{"duplicate", []item{file("a"), file("a")}},
		{"file and directory of one name", []item{file("a"), {"a/", "", sIFDIR | 0o755}}},
		{"member below a file", []item{file("a"), file("a/b")}},
		{"member below a link", []item{link("a", "b"), {"b/", "", sIFDIR | 0o755}, file("a/c")}},
		{"absolute link", []item{link("a", "/etc/passwd")}},
		{"escaping link", []item{link("bin/a", "../../x")}},
		{"link to the parent through a link", []item{link("p/q/s", ".."), link("p/q/t", "s/../../x")}},
		{"links in a circle", []item{link("a", "b"), link("b", "a")}},
		{"empty link", []item{link("a", "")}},
		{"link with a NUL", []item{link("a", "b\x00c")}},
		{"long link", []item{link("a", strings.Repeat("x/", 600))}},
		{"link with a slash at the end", []item{link("a/", "b")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, err := unpack(t, makeZip(t, tt.items...), DefaultLimits())
			var unsafe *UnsafeError
			if !errors.As(err, &unsafe) {
				t.Errorf("got %v, want an UnsafeError", err)
			}
			if left, _ := os.ReadDir(dir); len(left) != 0 {
				t.Errorf("%d files were written before the refusal", len(left))
			}
		})
	}
}

func TestUnpackKeepsLinksInsideTheTree(t *testing.T) {
	dir, err := unpack(t, makeZip(t,
		item{"lib/libx.so", "libx.so.1", sIFLNK | 0o777}, item{"lib/libx.so.1", "elf", sIFREG | 0o755},
		item{"bin/up", "../lib/libx.so", sIFLNK | 0o777}, item{"bin/none", "nowhere", sIFLNK | 0o777}), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "bin/up"))
	if err != nil || string(got) != "elf" {
		t.Errorf("through the link: %q, %v", got, err)
	}
}

func TestUnpackLimits(t *testing.T) {
	big := strings.Repeat("0", 3<<20)
	tests := []struct {
		name string
		lim  func(*Limits)
		zip  []byte
	}{
		{"archive size", func(l *Limits) { l.Compressed = 10 }, makeZip(t, item{"a", "x", sIFREG | 0o644})},
		{"total size", func(l *Limits) { l.Total, l.Ratio = 3<<20, 5000 }, makeZip(t, item{"a", big, 0}, item{"b", big, 0})},
		{"file size", func(l *Limits) { l.File, l.Ratio = 1<<20, 5000 }, makeZip(t, item{"a", big, 0})},
		{"members", func(l *Limits) { l.Count = 1 }, makeZip(t, item{"a", "", 0}, item{"b", "", 0})},
		{"ratio", func(l *Limits) { l.Ratio = 100 }, makeZip(t, item{"a", big, 0})},
	}
	for _, tt := range tests {
		lim := DefaultLimits()
		tt.lim(&lim)
		_, err := unpack(t, tt.zip, lim)
		var over *LimitError
		if !errors.As(err, &over) {
			t.Errorf("%s: got %v, want a LimitError", tt.name, err)
		}
	}
}

func TestUnpackBoundsTheDirectoryItself(t *testing.T) {
	var items []item
	for i := range 3000 {
		items = append(items, item{strings.Repeat("n", 200) + string(rune('a'+i%26)) + "/" + strings.Repeat("x", i%250), "", 0})
	}
	lim := DefaultLimits()
	lim.Count = 10
	_, err := unpack(t, makeZip(t, items...), lim)
	var over *LimitError
	if !errors.As(err, &over) {
		t.Errorf("got %v, want a LimitError", err)
	}
}

func TestUnpackRefusesLyingAndDamagedArchives(t *testing.T) {
	good := makeZip(t, item{"bin/x", strings.Repeat("hello ", 100), sIFREG | 0o755})
	flipped := bytes.Clone(good)
	flipped[40] ^= 0xff
	crc := bytes.Clone(good)
	cd := bytes.Index(crc, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(crc[cd+16:], 0xdeadbeef)
	size := bytes.Clone(good)
	binary.LittleEndian.PutUint32(size[cd+24:], 5)
	for name, b := range map[string][]byte{
		"zero bytes": nil, "garbage": []byte("<html>not found</html>"), "truncated": good[:len(good)/2],
		"flipped": flipped, "crc": crc, "size": size,
	} {
		_, err := unpack(t, b, DefaultLimits())
		var sum *ChecksumError
		if !errors.Is(err, ErrNotZip) && !errors.As(err, &sum) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestUnpackRefusesEncryptedAndOverlapping(t *testing.T) {
	enc := makeZip(t, item{"a", "x", sIFREG | 0o644})
	cd := bytes.Index(enc, []byte("PK\x01\x02"))
	enc[cd+8] |= 1
	two := makeZip(t, item{"a", "same", sIFREG | 0o644}, item{"b", "same", sIFREG | 0o644})
	second := bytes.LastIndex(two, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(two[second+42:], 0)
	for name, b := range map[string][]byte{"encrypted": enc, "overlap": two} {
		_, err := unpack(t, b, DefaultLimits())
		var unsafe *UnsafeError
		if !errors.As(err, &unsafe) {
			t.Errorf("%s: got %v, want an UnsafeError", name, err)
		}
	}
}

func TestUnpackWrappingDirectory(t *testing.T) {
	tests := []struct {
		names   []string
		wrapped bool
	}{
		{[]string{"mk-ext/bin/tool", "mk-ext/lib/ruby/facter/x.rb"}, true},
		{[]string{"mk-ext/", "mk-ext/facts.d/x.txt", "__MACOSX/mk-ext/._x"}, true},
		{[]string{"lib/ruby/facter/x.rb"}, false},
		{[]string{"bin/bin/x"}, false},
		{[]string{"share/doc/x"}, false},
		{[]string{"share/bin/x", "README"}, false},
		{nil, false},
	}
	for _, tt := range tests {
		var items []item
		for _, n := range tt.names {
			items = append(items, item{n, "", 0})
		}
		_, err := unpack(t, makeZip(t, items...), DefaultLimits())
		if got := errors.Is(err, ErrWrapped); got != tt.wrapped || (!tt.wrapped && err != nil) {
			t.Errorf("%q: got %v, wrapped should be %v", tt.names, err, tt.wrapped)
		}
	}
}

// TestUnpackArchivesOfInfoZIP reads what the zip that people really use writes.
func TestUnpackArchivesOfInfoZIP(t *testing.T) {
	testkit.Tool(t, "zip")
	src := t.TempDir()
	os.MkdirAll(filepath.Join(src, "bin"), 0o755)
	os.WriteFile(filepath.Join(src, "bin/tool"), []byte("#!/bin/sh\n"), 0o755)
	os.Symlink("tool", filepath.Join(src, "bin/alias"))
	out := filepath.Join(t.TempDir(), "x.zip")
	testkit.Run(t, "sh", "-c", "cd "+src+" && zip -q -r -y "+out+" .")
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := unpack(t, b, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.Readlink(filepath.Join(dir, "bin/alias")); err != nil || got != "tool" {
		t.Errorf("alias: %q, %v", got, err)
	}
	if fi, err := os.Stat(filepath.Join(dir, "bin/tool")); err != nil || fi.Mode() != 0o755 {
		t.Errorf("tool: %v, %v", fi, err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(makeZip(f))
	f.Add(makeZip(f, item{"bin/x", "hello", sIFREG | 0o755}, item{"bin/l", "x", sIFLNK | 0o777}))
	f.Add(makeZip(f, item{"../x", "hello", sIFREG | 0o755}))
	f.Add(makeZip(f, item{"mk/bin/x", strings.Repeat("a", 4096), 0}))
	lim := Limits{Compressed: 1 << 20, Total: 1 << 20, File: 1 << 20, Count: 64, Ratio: 100, Depth: 8}
	f.Fuzz(func(t *testing.T, b []byte) {
		base := t.TempDir()
		dir := filepath.Join(base, "gen")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		_, err := Unpack(t.Context(), bytes.NewReader(b), int64(len(b)), dir, lim)
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
