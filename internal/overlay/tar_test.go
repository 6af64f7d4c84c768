package overlay

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
)

// pack makes a tar archive of headers; a member's content is h.Size bytes of 'x'.
func pack(t testing.TB, format tar.Format, headers ...tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range headers {
		if h.Typeflag != tar.TypeXGlobalHeader {
			h.Format = format
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatalf("header %s: %v", h.Name, err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(w, strings.Repeat("x", int(h.Size))); err != nil {
				t.Fatal(err)
			}
		}
	}
	testkit.Must(t, w.Close())
	return buf.Bytes()
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	testkit.Must(t, z.Close())
	return buf.Bytes()
}

// describe renders a tree, one entry a line, contents included.
func describe(t testing.TB, tree *Tree) string {
	t.Helper()
	var sb strings.Builder
	groups := map[string]int{}
	for _, e := range tree.Entries() {
		fmt.Fprintf(&sb, "%s %o %d:%d", e.Path, e.Mode, e.UID, e.GID)
		switch {
		case e.IsRegular():
			b, err := e.Content(1 << 20)
			testkit.Must(t, err)
			fmt.Fprintf(&sb, " %q", b)
		case e.IsLink():
			fmt.Fprintf(&sb, " -> %s", e.Link)
		case e.Major+e.Minor > 0:
			fmt.Fprintf(&sb, " dev %d,%d", e.Major, e.Minor)
		}
		if e.HardLink != "" {
			if groups[e.HardLink] == 0 {
				groups[e.HardLink] = len(groups) + 1
			}
			fmt.Fprintf(&sb, " group %d", groups[e.HardLink])
		}
		sb.WriteByte('\n')
	}
	return sb.String()
}

func allKinds() []tar.Header {
	return []tar.Header{
		{Typeflag: tar.TypeDir, Name: "./", Mode: 0o777, Uid: 1001, Gid: 50},
		{Typeflag: tar.TypeDir, Name: "./usr/", Mode: 0o2775, Gid: 50},
		{Typeflag: tar.TypeReg, Name: "./usr/su", Mode: 0o4755, Size: 3, ModTime: time.Unix(1234567890, 0)},
		{Typeflag: tar.TypeLink, Name: "./usr/su2", Linkname: "./usr/su"},
		{Typeflag: tar.TypeSymlink, Name: "./lib", Linkname: "/usr/lib", Mode: 0o777},
		{Typeflag: tar.TypeChar, Name: "./null", Mode: 0o666, Devmajor: 1, Devminor: 3},
		{Typeflag: tar.TypeBlock, Name: "./loop", Mode: 0o660, Devmajor: 7, Devminor: 200},
		{Typeflag: tar.TypeFifo, Name: "./pipe", Mode: 0o600},
	}
}

const allKindsWant = `. 40777 1001:50
lib 120777 0:0 -> /usr/lib
loop 60660 0:0 dev 7,200
null 20666 0:0 dev 1,3
pipe 10600 0:0
usr 42775 0:50
usr/su 104755 0:0 "xxx" group 1
usr/su2 104755 0:0 "xxx" group 1
`

func TestReadTarKeepsEveryKind(t *testing.T) {
	for name, format := range map[string]tar.Format{"ustar": tar.FormatUSTAR, "pax": tar.FormatPAX, "gnu": tar.FormatGNU} {
		plain := pack(t, format, allKinds()...)
		for kind, b := range map[string][]byte{"plain": plain, "gzip": gzipped(t, plain)} {
			t.Run(name+" "+kind, func(t *testing.T) {
				tree, err := ReadTar(bytes.NewReader(b), "a.tar", Limits{})
				testkit.Must(t, err)
				if got := describe(t, tree); got != allKindsWant {
					t.Errorf("got\n%swant\n%s", got, allKindsWant)
				}
				if e := tree.Get("usr/su"); e.Origin != "a.tar" || e.MTime != 1234567890 {
					t.Errorf("origin %q, mtime %d", e.Origin, e.MTime)
				}
			})
		}
	}
}

func TestReadTarLongNames(t *testing.T) {
	long := strings.Repeat("directory/", 30) + "file"
	for _, format := range []tar.Format{tar.FormatPAX, tar.FormatGNU} {
		b := pack(t, format, tar.Header{Typeflag: tar.TypeReg, Name: long, Mode: 0o644, Size: 1, Uid: 2_000_000_000})
		tree, err := ReadTar(bytes.NewReader(b), "long", Limits{})
		if err != nil {
			t.Fatalf("%v: %v", format, err)
		}
		if e := tree.Get(long); e == nil || e.UID != 2_000_000_000 {
			t.Errorf("%v: entry %+v", format, e)
		}
	}
}

func TestReadTarLastDuplicateWins(t *testing.T) {
	b := pack(t, tar.FormatPAX,
		tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "0123"}},
		tar.Header{Typeflag: tar.TypeReg, Name: "a", Mode: 0o644, Size: 1},
		tar.Header{Typeflag: tar.TypeLink, Name: "b", Linkname: "a"},
		tar.Header{Typeflag: tar.TypeReg, Name: "a", Mode: 0o600, Size: 2},
		tar.Header{Typeflag: tar.TypeLink, Name: "c", Linkname: "a"},
		tar.Header{Typeflag: tar.TypeLink, Name: "c", Linkname: "c"},
	)
	tree, err := ReadTar(bytes.NewReader(b), "dup", Limits{})
	testkit.Must(t, err)
	want := "a 100600 0:0 \"xx\" group 1\nb 100644 0:0 \"x\" group 2\nc 100600 0:0 \"xx\" group 1\n"
	if got := describe(t, tree); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestReadTarRefuses(t *testing.T) {
	file := func(name string, size int64) tar.Header {
		return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size}
	}
	good := pack(t, tar.FormatUSTAR, file("a", 700), file("b", 700))
	one := func(h tar.Header) []byte { return pack(t, tar.FormatUSTAR, h) }
	tests := []struct {
		name string
		in   []byte
		lim  Limits
		want error // nil: any error
	}{
		{"absolute name", one(file("/etc/passwd", 1)), Limits{}, ErrPath},
		{"dot dot", one(file("a/../../b", 1)), Limits{}, ErrPath},
		{"absolute hard link", pack(t, tar.FormatUSTAR, file("a", 1), tar.Header{Typeflag: tar.TypeLink, Name: "b", Linkname: "/a"}), Limits{}, ErrPath},
		{"hard link to nothing", one(tar.Header{Typeflag: tar.TypeLink, Name: "b", Linkname: "a"}), Limits{}, nil},
		{"hard link to a directory", pack(t, tar.FormatUSTAR, tar.Header{Typeflag: tar.TypeDir, Name: "a/"}, tar.Header{Typeflag: tar.TypeLink, Name: "b", Linkname: "a"}), Limits{}, nil},
		{"root is a file", one(file(".", 1)), Limits{}, ErrPath},
		{"empty symlink", one(tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Mode: 0o777}), Limits{}, nil},
		{"unknown type", one(tar.Header{Typeflag: 'Z', Name: "z"}), Limits{}, nil},
		{"empty input", nil, Limits{}, ErrNotTar},
		{"web page", []byte("\n<!DOCTYPE html><title>404</title>" + strings.Repeat(" ", 2000)), Limits{}, ErrNotTar},
		{"noise", bytes.Repeat([]byte("noise "), 400), Limits{}, ErrNotTar},
		{"noise in gzip", gzipped(t, bytes.Repeat([]byte("noise "), 400)), Limits{}, ErrNotTar},
		{"cut in content", good[:600], Limits{}, io.ErrUnexpectedEOF},
		{"cut in a header", good[:1600], Limits{}, io.ErrUnexpectedEOF},
		{"cut between members", good[:1536], Limits{}, io.ErrUnexpectedEOF},
		{"cut before the end marker", good[:3072], Limits{}, io.ErrUnexpectedEOF},
		{"cut gzip trailer", cut(gzipped(t, good), 4), Limits{}, io.ErrUnexpectedEOF},
		{"cut gzip", cut(gzipped(t, good), 30), Limits{}, io.ErrUnexpectedEOF},
		{"gzip header only", gzipped(t, good)[:5], Limits{}, io.ErrUnexpectedEOF},
		{"total", good, Limits{Total: 2000}, ErrLimit},
		{"total in gzip", gzipped(t, good), Limits{Total: 2000}, ErrLimit},
		{"file", good, Limits{File: 699}, ErrLimit},
		{"entries", good, Limits{Entries: 1}, ErrLimit},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree, err := ReadTar(bytes.NewReader(tt.in), "bad.tar", tt.lim)
			if err == nil || tree != nil {
				t.Fatalf("got %v, %v; want an error", tree, err)
			}
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v; want %v", err, tt.want)
			}
			if !strings.Contains(err.Error(), "bad.tar") {
				t.Errorf("%v does not name the archive", err)
			}
		})
	}
}

func cut(b []byte, n int) []byte { return b[:len(b)-n] }

func TestReadTarAtItsLimits(t *testing.T) {
	b := pack(t, tar.FormatUSTAR, tar.Header{Typeflag: tar.TypeReg, Name: "a", Mode: 0o644, Size: 700})
	lim := Limits{Total: int64(len(b)), File: 700, Entries: 1}
	for _, in := range [][]byte{b, gzipped(t, b)} {
		if _, err := ReadTar(bytes.NewReader(in), "exact", lim); err != nil {
			t.Error(err)
		}
	}
}

// TestReadTarOneBlockOfZeros: an end marker of one block, as some packers write it, is enough.
func TestReadTarOneBlockOfZeros(t *testing.T) {
	b := pack(t, tar.FormatUSTAR, tar.Header{Typeflag: tar.TypeReg, Name: "a", Mode: 0o644, Size: 512})
	if _, err := ReadTar(bytes.NewReader(cut(b, 512)), "short", Limits{}); err != nil {
		t.Error(err)
	}
}

// TestReadTarNumbers: owners and devices have 32 bits.
func TestReadTarNumbers(t *testing.T) {
	largest, over := int64(1<<32-1), int64(1<<32)
	for _, tt := range []struct {
		h  tar.Header
		ok bool
	}{
		{tar.Header{Uid: int(largest), Gid: int(largest)}, true}, {tar.Header{Uid: int(over)}, false}, {tar.Header{Gid: int(over)}, false},
		{tar.Header{Uid: -1}, false}, {tar.Header{Gid: -1}, false}, {tar.Header{Devmajor: largest, Devminor: largest}, true},
		{tar.Header{Devmajor: over}, false}, {tar.Header{Devminor: over}, false}, {tar.Header{Devmajor: -1}, false}, {tar.Header{Devminor: -1}, false},
	} {
		tt.h.Typeflag = tar.TypeChar
		e, err := tarEntry(&tt.h, "x")
		if (err == nil) != tt.ok || tt.ok && (int64(e.UID) != int64(tt.h.Uid) || int64(e.Minor) != tt.h.Devminor) {
			t.Errorf("%+v: %+v, %v", tt.h, e, err)
		}
	}
}

func TestReadTarPaddingBehindGzip(t *testing.T) {
	b := append(gzipped(t, pack(t, tar.FormatUSTAR, allKinds()...)), make([]byte, 300)...)
	if _, err := ReadTar(bytes.NewReader(b), "padded", Limits{}); err != nil {
		t.Error(err)
	}
}

// A header may claim any size: memory must follow the real input.
func TestReadTarDoesNotTrustSizes(t *testing.T) {
	h := pack(t, tar.FormatUSTAR, tar.Header{Typeflag: tar.TypeDir, Name: "a/"})[:512]
	h = bytes.Clone(h)
	h[156] = '0'
	h[0], h[1] = 'a', 0
	copy(h[124:], fmt.Sprintf("%011o", 250<<20))
	fixTarSum(h)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := ReadTar(bytes.NewReader(h), "bomb", Limits{})
	runtime.ReadMemStats(&after)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
		t.Errorf("allocated %d bytes for a 512-byte archive", n)
	}
}

// fixTarSum recomputes the checksum field of a ustar header.
func fixTarSum(h []byte) {
	copy(h[148:156], "        ")
	sum := 0
	for _, c := range h[:512] {
		sum += int(c)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

func TestReadTarOfGNUTar(t *testing.T) {
	dir := t.TempDir()
	testkit.Must(t, os.MkdirAll(filepath.Join(dir, "in/d"), 0o755))
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "in/d/f"), []byte("hello"), 0o640))
	testkit.Must(t, os.Link(filepath.Join(dir, "in/d/f"), filepath.Join(dir, "in/d/g")))
	testkit.Must(t, os.Symlink("../x", filepath.Join(dir, "in/l")))
	want := ". 40755 7:8\nd 40755 7:8\nd/f 100640 7:8 \"hello\" group 1\nd/g 100640 7:8 \"hello\" group 1\nl 120777 7:8 -> ../x\n"
	for _, format := range []string{"v7", "oldgnu", "gnu", "ustar", "posix"} {
		out := filepath.Join(dir, format+".tgz")
		testkit.Run(t, "tar", "-czf", out, "--format="+format, "--owner=7", "--group=8", "--numeric-owner", "-C", filepath.Join(dir, "in"), ".")
		f, err := os.Open(out)
		testkit.Must(t, err)
		tree, err := ReadTar(f, format, Limits{})
		testkit.Must(t, err)
		testkit.Must(t, f.Close())
		if got := describe(t, tree); got != want {
			t.Errorf("%s: got\n%swant\n%s", format, got, want)
		}
	}
}

func FuzzReadTar(f *testing.F) {
	plain := pack(f, tar.FormatGNU, allKinds()...)
	f.Add(plain)
	f.Add(gzipped(f, plain))
	f.Add(pack(f, tar.FormatPAX, tar.Header{Typeflag: tar.TypeReg, Name: strings.Repeat("n", 200), Size: 5}))
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := ReadTar(bytes.NewReader(b), "fuzz", Limits{Total: 1 << 20, File: 1 << 16, Entries: 100})
		if err != nil {
			return
		}
		for _, e := range tree.Entries() {
			if clean, err := CleanPath(e.Path); err != nil || clean != e.Path {
				t.Errorf("path %q is not clean", e.Path)
			}
			if e.IsRegular() {
				if _, err := e.Content(1 << 16); err != nil {
					t.Error(err)
				}
			}
		}
	})
}
