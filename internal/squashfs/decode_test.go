package squashfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/sqfs"
)

// open opens an image in memory.
func open(b []byte) (*FS, error) { return Open(bytes.NewReader(b), int64(len(b))) }

// opened opens an image that must be valid.
func opened(t testing.TB, b []byte) *FS {
	t.Helper()
	f, err := open(b)
	testkit.Must(t, err)
	return f
}

// dump walks an image and describes every entry, regular files with their content.
func dump(f *FS) ([]string, error) {
	var out []string
	err := f.Walk(func(p string, in *Inode) error {
		line := fmt.Sprintf("%s %o %d:%d %d n%d %q %d,%d", p, in.Mode, in.UID, in.GID, in.MTime, in.Nlink, in.Target, in.Major, in.Minor)
		if in.IsRegular() {
			content, err := read(f, in)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d %.20q", in.Size, content)
		}
		out = append(out, line)
		return nil
	})
	return out, err
}

func read(f *FS, in *Inode) ([]byte, error) {
	r, err := f.OpenFile(in)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, 8<<20))
}

func small() []byte {
	return sqfs.Image([]sqfs.File{
		{Path: ".", Mode: sqfs.TypeDir | 0o777, UID: 1001, GID: 50, MTime: 7},
		sqfs.Reg("usr/a-b", 0o644, "dash"),
		sqfs.Reg("usr/a/x", 0o4755, strings.Repeat("0123456789abcdef", 1000)),
		sqfs.Symlink("usr/l", "../a"),
		{Path: "usr/again", HardLink: "usr/a/x"},
		{Path: "dev/sda", Mode: sqfs.TypeBlock | 0o660, GID: 6, Major: 8, Minor: 300},
		{Path: "dev/pipe", Mode: sqfs.TypeFIFO | 0o600},
		{Path: "dev/sock", Mode: sqfs.TypeSocket | 0o600},
		sqfs.Dir("opt", 0o2775),
		sqfs.Reg("opt/empty", 0o600, ""),
	})
}

func TestWalkGivesEveryType(t *testing.T) {
	t.Parallel()
	got, err := dump(opened(t, small()))
	testkit.Must(t, err)
	want := []string{
		`. 40777 1001:50 7 n5 "" 0,0`,
		`dev 40755 0:0 0 n2 "" 0,0`,
		`dev/pipe 10600 0:0 0 n1 "" 0,0`,
		`dev/sda 60660 0:6 0 n1 "" 8,300`,
		`dev/sock 140600 0:0 0 n1 "" 0,0`,
		`opt 42775 0:0 0 n2 "" 0,0`,
		`opt/empty 100600 0:0 0 n1 "" 0,0 0 ""`,
		`usr 40755 0:0 0 n3 "" 0,0`,
		`usr/a 40755 0:0 0 n2 "" 0,0`,
		`usr/a/x 104755 0:0 0 n2 "" 0,0 16000 "0123456789abcdef0123"`,
		`usr/a-b 100644 0:0 0 n1 "" 0,0 4 "dash"`,
		`usr/again 104755 0:0 0 n2 "" 0,0 16000 "0123456789abcdef0123"`,
		`usr/l 120777 0:0 0 n1 "../a" 0,0`,
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	change := func(off int, v ...byte) []byte {
		b := small()
		copy(b[off:], v)
		return b
	}
	tests := []struct {
		name string
		data []byte
		is   error
		text string
	}{
		{"empty", nil, ErrNotSquashfs, "empty"},
		{"other data", []byte("\x1f\x8b\x08 something"), ErrNotSquashfs, "starts with"},
		{"web page", []byte("\n<!DOCTYPE html>\n<html><body>404"), ErrNotSquashfs, "HTML page"},
		{"web page without doctype", []byte("<HTML><head>"), ErrNotSquashfs, "HTML page"},
		{"big-endian", change(0, 's', 'q', 's', 'h'), ErrUnsupported, "big-endian"},
		{"magic alone", []byte("hsqs"), ErrCorrupt, "truncated: 4 bytes"},
		{"version 3", change(28, 3), ErrUnsupported, "version 3.0"},
		{"block size 2048", change(12, 0, 8, 0, 0, 0, 0, 0, 0, 1, 0, 11), ErrCorrupt, "block size 2048"},
		{"block logarithm disagrees", change(22, 13), ErrCorrupt, "block size"},
		{"lzma", change(20, 2), ErrUnsupported, "lzma"},
		{"unknown compressor", change(20, 77), ErrUnsupported, "77"},
		{"no owners", change(26, 0), ErrCorrupt, "no owners"},
		{"owner table outside", change(48, 0xff, 0xff, 0xff), ErrCorrupt, "beyond the end"},
		{"uses no bytes", change(40, 0, 0, 0, 0), ErrCorrupt, "0 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := open(tt.data)
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %v with %q", err, tt.is, tt.text)
			}
		})
	}
}

func TestTruncatedNamesBothSizes(t *testing.T) {
	t.Parallel()
	b := small()
	used := binary.LittleEndian.Uint64(b[40:])
	for _, n := range []int{96, 97, 200, int(used) - 1} {
		_, err := open(b[:n])
		want := fmt.Sprintf("truncated: %d bytes of %d", n, used)
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), want) {
			t.Errorf("%d bytes: got %v, want %q", n, err, want)
		}
	}
	if _, err := open(b[:used]); err != nil {
		t.Errorf("without padding: %v", err)
	}
	if _, err := open(append(b, make([]byte, 10000)...)); err != nil {
		t.Errorf("with more padding: %v", err)
	}
}

// TestLyingReader shrinks the file after Open has read its size.
func TestLyingReader(t *testing.T) {
	t.Parallel()
	b := small()
	f := opened(t, b)
	f.image.r = bytes.NewReader(b[:100])
	f.image.blocks = cache[uint64, metaBlock]{limit: 1}
	if _, err := dump(f); err == nil {
		t.Error("no error from a reader that ends early")
	}
}

// sections returns the offsets of the inode and directory tables of an image by sqfs; their first block is stored
// raw, so a test can change its bytes.
func sections(b []byte) (inodes, dirs int) {
	le := binary.LittleEndian
	return int(le.Uint64(b[64:])) + 2, int(le.Uint64(b[72:])) + 2
}

func TestWalkRefuses(t *testing.T) {
	t.Parallel()
	two := []sqfs.File{sqfs.Reg("a", 0o644, ""), sqfs.Reg("b", 0o644, "")}
	rename := func(name string) func([]byte) {
		return func(b []byte) {
			_, dirs := sections(b)
			copy(b[dirs+20:], name)
		}
	}
	tests := []struct {
		name  string
		files []sqfs.File
		edit  func(b []byte)
		text  string
	}{
		{"a directory inside itself", []sqfs.File{sqfs.Dir("a/b", 0o755)}, func(b []byte) {
			// The listing of a comes first: 12 bytes of header, then the inode offset of b. Point it at
			// the root, which is the last inode.
			_, dirs := sections(b)
			binary.LittleEndian.PutUint16(b[dirs+12:], uint16(binary.LittleEndian.Uint64(b[32:])))
		}, "inside itself"},
		{"two dots", []sqfs.File{sqfs.Reg("ab", 0o644, "")}, rename(".."), "file name"},
		{"a dot and a slash", []sqfs.File{sqfs.Reg("ab", 0o644, "")}, rename("./"), "file name"},
		{"a slash", []sqfs.File{sqfs.Reg("ab", 0o644, "")}, rename("a/"), "file name"},
		{"a NUL", []sqfs.File{sqfs.Reg("ab", 0o644, "")}, rename("a\x00"), "file name"},
		{"two files of one name", two, func(b []byte) {
			_, dirs := sections(b)
			b[dirs+20+1+8] = 'a'
		}, "two files"},
		{"2^46 bytes in an image of a few hundred", []sqfs.File{sqfs.Reg("a", 0o644, "data")}, func(b []byte) {
			inodes, _ := sections(b)
			binary.LittleEndian.PutUint64(b[inodes+16+8:], 1<<46)
		}, "file of"},
		{"a deep tree", []sqfs.File{sqfs.Dir(strings.Repeat("d/", maxDepth)+"d", 0o755)}, func([]byte) {}, "deeper"},
		{"a wrong Adler-32 behind whole data", []sqfs.File{sqfs.Reg("a", 0o644, strings.Repeat("compressible ", 300))}, func(b []byte) {
			b[binary.LittleEndian.Uint64(b[64:])-1] ^= 1 // the inode table follows the only data block
		}, "block at"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := sqfs.Image(tt.files)
			tt.edit(b)
			if _, err := dump(opened(t, b)); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %q", err, tt.text)
			}
		})
	}
}

func TestWalkSortsWhatTheWriterDidNot(t *testing.T) {
	t.Parallel()
	b := sqfs.Image([]sqfs.File{sqfs.Reg("a", 0o644, ""), sqfs.Reg("b", 0o644, "")})
	_, dirs := sections(b)
	b[dirs+20], b[dirs+20+1+8] = 'z', 'y'
	got, err := dump(opened(t, b))
	if err != nil || len(got) != 3 || !strings.HasPrefix(got[1], "y ") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestWalkStopsAtCallersError(t *testing.T) {
	t.Parallel()
	f := opened(t, small())
	stop := errors.New("enough")
	calls := 0
	err := f.Walk(func(p string, _ *Inode) error {
		if calls++; p == "dev" {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || calls != 2 {
		t.Errorf("got %v after %d calls", err, calls)
	}
}

func TestOpenFileRefusesDirectory(t *testing.T) {
	t.Parallel()
	f := opened(t, small())
	root, err := f.inode(f.super.root)
	testkit.Must(t, err)
	if _, err := f.OpenFile(root); err == nil {
		t.Error("a directory was opened as a file")
	}
}

func TestReadAfterClose(t *testing.T) {
	t.Parallel()
	f := opened(t, small())
	err := f.Walk(func(_ string, in *Inode) error {
		if !in.IsRegular() || in.Size < 8192 {
			return nil
		}
		r, err := f.OpenFile(in)
		if err != nil {
			return err
		}
		b := make([]byte, 10)
		if _, err := io.ReadFull(r, b); err != nil || string(b) != "0123456789" {
			t.Errorf("got %q, %v", b, err)
		}
		_, _ = r.Close(), r.Close()
		if n, err := r.Read(b); n != 0 || err == nil || err == io.EOF {
			t.Errorf("read after close: got %d, %v", n, err)
		}
		return nil
	})
	testkit.Must(t, err)
}

func TestDecompressorPanicIsAnError(t *testing.T) {
	t.Parallel()
	boom := func(_, _ []byte) (int, error) { panic("index out of range") }
	if _, err := decompress(boom, nil, nil); err == nil || !strings.Contains(err.Error(), "index out of range") {
		t.Errorf("got %v", err)
	}
	tooLong := func(dst, _ []byte) (int, error) { return len(dst) + 1, nil }
	if _, err := decompress(tooLong, make([]byte, 4), nil); !errors.Is(err, errTooLong) {
		t.Errorf("got %v", err)
	}
}

func TestCacheForgetsOldest(t *testing.T) {
	t.Parallel()
	c := cache[int, string]{limit: 2}
	c.put(1, "a")
	c.put(2, "b")
	c.put(3, "c")
	c.put(3, "d")
	if _, ok := c.get(1); ok {
		t.Error("1 is still there")
	}
	if v, ok := c.get(2); !ok || v != "b" {
		t.Error("2 is gone")
	}
	if v, _ := c.get(3); v != "d" || len(c.items) != 2 || len(c.order) != 2 {
		t.Errorf("got %q, %d items", v, len(c.items))
	}
}

func TestDirectoryLimit(t *testing.T) {
	t.Parallel()
	f := opened(t, sqfs.Image([]sqfs.File{sqfs.Reg("a", 0o644, ""), sqfs.Reg("b", 0o644, "")}))
	root, err := f.inode(f.super.root)
	testkit.Must(t, err)
	if got, err := f.readDir(root.dir, 2); err != nil || len(got) != 2 {
		t.Errorf("within the limit: %v, %v", got, err)
	}
	if _, err := f.readDir(root.dir, 1); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "entries") {
		t.Errorf("beyond the limit: %v", err)
	}
}

// TestNamesLimit tests a walk that is near its limit of names.
func TestNamesLimit(t *testing.T) {
	t.Parallel()
	f := opened(t, small())
	w := walker{fs: f, text: maxTextBytes - 1, seen: map[uint64]bool{}}
	if _, err := w.enter("usr", f.super.root); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "names") {
		t.Errorf("got %v", err)
	}
	w.text = 0
	if _, err := w.enter(strings.Repeat("x", maxPath+1), f.super.root); !errors.Is(err, ErrCorrupt) {
		t.Errorf("long path: got %v", err)
	}
}
