package extension

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/ext"
)

var packTree = ext.Tree{
	"bin/tool*": ext.Sh, "bin/alias -> tool": "", "lib/libx.so -> libx.so.1": "", "lib/libx.so.1": "binary\x00",
	"lib/ruby/facter/x.rb": "Facter.add(:site_x) { setcode { 1 } }\n", "facts.d/näme.txt": "site_a=b\n",
	"share/zeros": strings.Repeat("\x00", 100000), "share/empty": "", ".git/HEAD": "ref", "share/.DS_Store": "x",
}

func source(t testing.TB, dir string) *Source {
	t.Helper()
	s, err := ReadDir(dir, DefaultLimits())
	testkit.Must(t, err)
	return s
}

func pack(t testing.TB, dir string) []byte {
	t.Helper()
	b, err := Pack(t.Context(), source(t, dir), DefaultLimits())
	testkit.Must(t, err)
	return b
}

// TestPackIsDeterministic: creation order, umask, times and the directory's name do not matter.
func TestPackIsDeterministic(t *testing.T) {
	want := pack(t, packTree.Write(t, t.TempDir()))
	names := slices.Sorted(maps.Keys(packTree))
	for round, umask := range []int{0o022, 0o077, 0o002} {
		dir := filepath.Join(t.TempDir(), fmt.Sprint("other", round))
		slices.Reverse(names)
		old := syscall.Umask(umask)
		for i, name := range names {
			(ext.Tree{name: packTree[name]}).Write(t, dir)
			plain, x := strings.CutSuffix(name, "*")
			if strings.Contains(plain, " -> ") {
				continue
			}
			mode := fs.FileMode(0o666)
			if x {
				mode = 0o777
			}
			p := filepath.Join(dir, plain)
			stamp := time.Unix(int64(round*1e8+i), 5)
			testkit.Must(t, errors.Join(os.Chmod(p, mode&^fs.FileMode(umask)), os.Chtimes(p, stamp, stamp)))
		}
		syscall.Umask(old)
		if got := pack(t, dir); !bytes.Equal(got, want) {
			t.Errorf("umask %o: other bytes", umask)
		}
	}
	changed := maps.Clone(packTree)
	changed["share/empty"] = "x"
	if bytes.Equal(pack(t, changed.Write(t, t.TempDir())), want) {
		t.Error("other content, the same bytes: the comparison proves nothing")
	}
}

// TestPackedBytesStay compares this release's bytes with the next one's: all machines fetch a changed file again.
func TestPackedBytesStay(t *testing.T) {
	got := pack(t, ext.Tree{"bin/x*": ext.Sh + strings.Repeat("echo hello\n", 20), "bin/y -> x": ""}.Write(t, t.TempDir()))
	const want = "13e72931b7904dfc45f2b808a25917e286b1be30c351ad670633b773322241a3"
	if sum := fmt.Sprintf("%x", sha256.Sum256(got)); sum != want {
		t.Errorf("sha256 %s, want %s", sum, want)
	}
}

func TestList(t *testing.T) {
	b := ext.Zip(t, ext.Item("bin/x", ext.Sh, ext.File|0o4755), ext.Item("bin/y", "x", ext.Link|0o777), ext.Item("../e", "x", ext.File|0o644), ext.Item("share/", "", ext.Dir|0o700))
	s, err := ReadZip("", bytes.NewReader(b), int64(len(b)), DefaultLimits())
	testkit.Must(t, err)
	l, err := List(t.Context(), s)
	want := []Row{
		{Path: "../e", Mode: "-rw-r--r--", Size: 1, Refused: "path is not clean"},
		{Path: "bin/x", Mode: "-rwxr-xr-x", Size: 10, SHA256: "a8076d3d28d21e02012b20eaf7dbf75409a6277134439025f282e368e3305abf"},
		{Path: "bin/y", Mode: "lrwxrwxrwx", Size: 1, Link: "x"},
		{Path: "share", Mode: "drwxr-xr-x"},
	}
	if err != nil || !slices.Equal(l.Members, want) {
		t.Errorf("got  %+v, %v\nwant %+v", l, err, want)
	}
}

// listing describes everything below dir except its content.
func listing(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		fi, err := d.Info()
		line := fi.Mode().String() + " " + p[len(dir)+1:]
		if to, err := os.Readlink(p); err == nil {
			line += " -> " + to
		}
		out = append(out, line)
		return err
	})
	testkit.Must(t, err)
	return out
}

// TestPackUnpack: the client and Info-ZIP unpack an archive of Pack to the same tree.
func TestPackUnpack(t *testing.T) {
	b := pack(t, packTree.Write(t, t.TempDir()))
	dir, err := unpack(t, b, DefaultLimits())
	testkit.Must(t, err)
	want := []string{
		"drwxr-xr-x bin", "Lrwxrwxrwx bin/alias -> tool", "-rwxr-xr-x bin/tool", "drwxr-xr-x facts.d", "-rw-r--r-- facts.d/näme.txt",
		"drwxr-xr-x lib", "Lrwxrwxrwx lib/libx.so -> libx.so.1", "-rw-r--r-- lib/libx.so.1", "drwxr-xr-x lib/ruby", "drwxr-xr-x lib/ruby/facter",
		"-rw-r--r-- lib/ruby/facter/x.rb", "drwxr-xr-x share", "-rw-r--r-- share/empty", "-rw-r--r-- share/zeros",
	}
	if got := listing(t, dir); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for name, want := range packTree {
		name = strings.TrimSuffix(name, "*")
		if got, err := os.ReadFile(filepath.Join(dir, name)); err == nil && string(got) != want {
			t.Errorf("%s: other content", name)
		}
	}
	testkit.Tool(t, "zipinfo")
	name := filepath.Join(t.TempDir(), "x.zip")
	testkit.WriteFile(t, name, string(b), 0o644)
	testkit.Run(t, "unzip", "-tqq", name)
	info := testkit.Run(t, "zipinfo", name)
	for _, want := range []string{"-rwxr-xr-x  2.0 unx", "drwxr-xr-x  2.0 unx", "lrwxrwxrwx  2.0 unx", "-rw-r--r--  2.0 unx", "80-Jan-01 00:00 bin/tool"} {
		if !strings.Contains(info, want) {
			t.Errorf("zipinfo does not say %q:\n%s", want, info)
		}
	}
	theirs := t.TempDir()
	testkit.Run(t, "unzip", "-q", name, "-d", theirs)
	if got := listing(t, theirs); !slices.Equal(got, want) {
		t.Errorf("unzip: %q\nwant   %q", got, want)
	}
}

func TestPackRefuses(t *testing.T) {
	fifo := ext.Tree{"bin/x*": ext.Sh}.Write(t, t.TempDir())
	testkit.Must(t, syscall.Mkfifo(filepath.Join(fifo, "bin/p"), 0o644))
	for want, dir := range map[string]string{
		"special file":     fifo,
		"absolute symlink": ext.Tree{"bin/l -> /bin/sh": ""}.Write(t, t.TempDir()),
		"symlink leaves":   ext.Tree{"bin/l -> ../../x": ""}.Write(t, t.TempDir()),
		"backslash":        ext.Tree{`bin/a\b`: ""}.Write(t, t.TempDir()),
		"wrapped":          ext.Tree{"e/bin/x*": ext.Sh}.Write(t, t.TempDir()),
		"deep":             ext.Tree{strings.Repeat("d/", 20) + "x": ""}.Write(t, t.TempDir()),
	} {
		_, err := Pack(t.Context(), source(t, dir), DefaultLimits())
		if _, ok := errors.AsType[*Error](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	if _, err := ReadDir(filepath.Join(fifo, "nowhere"), DefaultLimits()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
	if _, err := ReadDir(fifo, Limits{Count: 2, Depth: 9}); err == nil || !strings.Contains(err.Error(), "number of files exceeds 2") {
		t.Errorf("three files of two: %v", err)
	}
	dir := ext.Tree{"bin/x*": ext.Sh}.Write(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := source(t, dir)
	if _, err := Pack(ctx, s, DefaultLimits()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	ext.Tree{"bin/x*": ext.Sh + "more\n"}.Write(t, dir)
	if _, err := Pack(t.Context(), s, DefaultLimits()); err == nil || !strings.Contains(err.Error(), "changed") {
		t.Errorf("a file that grows meanwhile: %v", err)
	}
}

func TestPackDirTime(t *testing.T) {
	dir := ext.Tree{"bin/x*": ext.Sh, ".git/HEAD": "x"}.Write(t, t.TempDir())
	old, newest := time.Unix(1e9, 0), time.Unix(1.5e9, 0)
	for _, p := range []string{"bin/x", "bin", "."} {
		os.Chtimes(filepath.Join(dir, p), old, old)
	}
	os.Chtimes(filepath.Join(dir, "bin/x"), newest, newest)
	b, got, err := PackDir(t.Context(), dir, DefaultLimits())
	if err != nil || len(b) == 0 || !got.Equal(newest) {
		t.Errorf("got %v, %v; want %v", got, err, newest)
	}
}

func TestExecutableOnWindows(t *testing.T) {
	dir := ext.Tree{"script": ext.Sh, "elf": "\x7fELFx", "data": "x", "short": "#"}.Write(t, t.TempDir())
	s := source(t, dir)
	for i := range s.Files {
		f := &s.Files[i]
		if got, want := executableHere(f, "windows"), f.Path == "script" || f.Path == "elf"; got != want {
			t.Errorf("%s: %t", f.Path, got)
		}
	}
}

// FuzzShow reads hostile archives for `show` and `lint`: no panic, no more than the limits, and no refusal of an
// archive that Open accepts.
func FuzzShow(f *testing.F) {
	f.Add(ext.Zip(f))
	f.Add(ext.Zip(f, ext.Item("bin/x", "hello", ext.File|0o755), ext.Item("bin/l", "x", ext.Link|0o777)))
	f.Add(ext.Zip(f, ext.Item("../\x1b[31mx", "hello", ext.File|0o4755), ext.Item("a", "", ext.FIFO)))
	f.Add(ext.Zip(f, ext.Item("mk/bin/x", strings.Repeat("a", 4096), 0)))
	f.Add(pack(f, packTree.Write(f, f.TempDir())))
	lim := Limits{Compressed: 1 << 20, Total: 1 << 20, File: 1 << 20, Count: 64, Ratio: 100, Depth: 8}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, openErr := Open(bytes.NewReader(b), int64(len(b)), lim)
		s, err := ReadZip("x", bytes.NewReader(b), int64(len(b)), lim)
		if err != nil {
			if openErr == nil {
				t.Fatalf("Open takes it, ReadZip says %v", err)
			}
			return
		}
		if (openErr != nil) != (len(s.Refused) > 0) {
			t.Fatalf("Open says %v, ReadZip %v", openErr, s.Refused)
		}
		l, err := List(t.Context(), s)
		if err != nil || len(l.Members) > len(s.Files) {
			t.Fatalf("%d l, %v", len(l.Members), err)
		}
	})
}
