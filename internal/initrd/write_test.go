package initrd

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/overlay"
)

// writtenTree has every kind of entry of an image.
func writtenTree(t testing.TB) *overlay.Tree {
	t.Helper()
	su := overlay.File("bin/su", 0o4755, []byte("su"))
	su.HardLink, su.MTime = "inode 7", 1000000000
	again := su
	again.Path = "bin/zz-again"
	null := overlay.Entry{Path: "dev/null", Mode: overlay.TypeChar | 0o666, Major: 1, Minor: 3, UID: 1001, GID: 50}
	loop := overlay.Entry{Path: "dev/loop0", Mode: overlay.TypeBlock | 0o660, Major: 7}
	old := overlay.File("old", 0o600, nil)
	old.MTime = -5
	tree := &overlay.Tree{}
	for _, e := range []overlay.Entry{
		overlay.Dir(".", 0o755), overlay.Dir("tmp", 0o1777), overlay.Dir("bin", 0o2775), overlay.Dir("dev", 0o755), again, su,
		null, loop, old, overlay.Symlink("lib", "usr/lib"), {Path: "pipe", Mode: overlay.TypeFIFO | 0o600},
		{Path: "socket", Mode: overlay.TypeSocket | 0o600}, overlay.File("name with spaces and ü", 0o644, []byte("x")),
		overlay.File("big", 0o644, []byte(mixed(3<<20))),
	} {
		testkit.Must(t, tree.Put(e))
	}
	return tree
}

func segment(t testing.TB, tree *overlay.Tree, o SegmentOptions) []byte {
	t.Helper()
	var buf bytes.Buffer
	testkit.Must(t, WriteSegment(&buf, tree, o))
	return buf.Bytes()
}

func TestWriteSegmentReadsBack(t *testing.T) {
	tree := writtenTree(t)
	for _, level := range []int{0, 1, 9} {
		b := segment(t, tree, SegmentOptions{Level: level, ModTime: 42})
		back, err := Read(bytes.NewReader(b), "x", 0)
		testkit.Must(t, err)
		if got, want := describe(t, back), describe(t, tree); got != want {
			t.Errorf("level %d: got\n%swant\n%s", level, got, want)
		}
		for name, want := range map[string]int64{"bin/su": 1000000000, "old": 0, "tmp": 42} {
			if got := back.Get(name).MTime; got != want {
				t.Errorf("%s: mtime %d, want %d", name, got, want)
			}
		}
	}
}

// A segment is one gzip member with a bare header. It holds one whole archive and ends at a multiple of four bytes,
// whatever its length: several members that share an archive panic kernels.
func TestWriteSegmentShape(t *testing.T) {
	for n := range 12 {
		tree := &overlay.Tree{}
		testkit.Must(t, tree.Put(overlay.File("f", 0o644, []byte(mixed(n*300_000+n)))))
		b := segment(t, tree, SegmentOptions{})
		if len(b)%4 != 0 {
			t.Errorf("%d bytes are not a multiple of 4", len(b))
		}
		if b[3] != 0 || binary.LittleEndian.Uint32(b[4:8]) != 0 {
			t.Errorf("gzip header % x has flags or a time", b[:10])
		}
		in := bytes.NewReader(b)
		z, err := gzip.NewReader(in)
		testkit.Must(t, err)
		z.Multistream(false)
		plain, err := io.ReadAll(z)
		testkit.Must(t, err)
		if !bytes.Contains(plain[max(0, len(plain)-700):], []byte("TRAILER!!!\x00")) {
			t.Error("no trailer at the end")
		}
		if rest := b[len(b)-in.Len():]; len(rest) > 3 || len(bytes.Trim(rest, "\x00")) > 0 {
			t.Errorf("%d bytes behind the member", len(rest))
		}
	}
}

func TestWriteSegmentSameBytesEverywhere(t *testing.T) {
	tree := writtenTree(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	first := segment(t, tree, SegmentOptions{ModTime: 42})
	for _, n := range []int{1, 2, 8} {
		runtime.GOMAXPROCS(n)
		if !bytes.Equal(first, segment(t, tree, SegmentOptions{ModTime: 42})) {
			t.Errorf("GOMAXPROCS %d gives other bytes", n)
		}
	}
	if bytes.Equal(first, segment(t, tree, SegmentOptions{ModTime: 43})) {
		t.Error("another time gives the same bytes: this test cannot fail")
	}
}

// The bytes depend on the block size and on the compressor, which go.sum pins. A new hash means
// that all images change: say so in the change log.
func TestWriteSegmentGolden(t *testing.T) {
	const want = "5eb7d762226a64168c1e24e89e025e6515457d361f5521c19c365d8916de2130"
	if got := fmt.Sprintf("%x", sha256.Sum256(segment(t, writtenTree(t), SegmentOptions{ModTime: 42}))); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAppendedSegmentWins(t *testing.T) {
	base := overlay.NewLayers(nil)
	testkit.Must(t, base.AddLastWins(writtenTree(t)))
	image := segment(t, base.Merged(), SegmentOptions{ModTime: 1})
	l := overlay.NewLayers(base.Merged())
	added := &overlay.Tree{}
	testkit.Must(t, added.Put(overlay.File("old", 0o640, []byte("new"))))
	testkit.Must(t, added.Put(overlay.File("tmp/setup.lst", 0o664, []byte("list"))))
	testkit.Must(t, l.AddLastWins(added))
	image = append(image, segment(t, l.Added(), SegmentOptions{ModTime: 2})...)

	back, err := Read(bytes.NewReader(image), "x", 0)
	testkit.Must(t, err)
	if got, want := describe(t, back), describe(t, l.Merged()); got != want {
		t.Errorf("appended\n%smerged\n%s", got, want)
	}
	if got := back.Get("tmp").Perm(); got != 0o1777 {
		t.Errorf("/tmp is %o", got)
	}
}

func TestWriteSegmentRefuses(t *testing.T) {
	broken := errors.New("broken")
	lying := func(size int64) overlay.Entry {
		e := overlay.File("f", 0o644, []byte("123"))
		e.Size = size
		return e
	}
	failing := overlay.File("f", 0o644, []byte("123"))
	failing.Open = func() (io.ReadCloser, error) { return nil, broken }
	late := overlay.File("f", 0o644, nil)
	late.MTime = 1 << 32
	tests := []struct {
		name string
		e    overlay.Entry
		o    SegmentOptions
		want error
	}{
		{"short content", lying(4), SegmentOptions{}, io.ErrUnexpectedEOF},
		{"long content", lying(2), SegmentOptions{}, nil},
		{"4 GiB", lying(1 << 32), SegmentOptions{}, nil},
		{"failing content", failing, SegmentOptions{}, broken},
		{"after 2106", late, SegmentOptions{}, nil},
		{"default after 2106", overlay.File("f", 0o644, nil), SegmentOptions{ModTime: 1 << 32}, nil},
		{"no directory", overlay.File("d/f", 0o644, nil), SegmentOptions{}, nil},
		{"unknown type", overlay.Entry{Path: "f", Mode: 0o170000}, SegmentOptions{}, nil},
		{"long target", overlay.Symlink("f", strings.Repeat("x", 4096)), SegmentOptions{}, nil},
		{"trailer's name", overlay.File("TRAILER!!!", 0o644, nil), SegmentOptions{}, nil},
		{"level", overlay.File("f", 0o644, nil), SegmentOptions{Level: 10}, nil},
		{"negative level", overlay.File("f", 0o644, nil), SegmentOptions{Level: -1}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree := &overlay.Tree{}
			testkit.Must(t, tree.Put(tt.e))
			err := WriteSegment(io.Discard, tree, tt.o)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	below := &overlay.Tree{}
	testkit.Must(t, below.Put(overlay.File("d", 0o644, nil)))
	testkit.Must(t, below.Put(overlay.File("d/f", 0o644, nil)))
	if err := WriteSegment(io.Discard, below, SegmentOptions{}); err == nil {
		t.Error("a file below a file was written")
	}
}

// fullDisk fails after some bytes.
type fullDisk struct{ left int }

func (w *fullDisk) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestWriteSegmentFullDisk(t *testing.T) {
	tree := writtenTree(t)
	size := len(segment(t, tree, SegmentOptions{}))
	before := runtime.NumGoroutine()
	for _, room := range []int{0, 5, 100, size / 2, size - 1} {
		if err := WriteSegment(&fullDisk{room}, tree, SegmentOptions{}); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("room for %d of %d bytes: got %v", room, size, err)
		}
	}
	if after := runtime.NumGoroutine(); after > before+2 {
		t.Errorf("%d goroutines became %d", before, after)
	}
}

// TestWriteSegmentStreams writes a content that is larger than the allowed memory.
func TestWriteSegmentStreams(t *testing.T) {
	const size = 96 << 20
	e := overlay.Entry{Path: "f", Mode: overlay.TypeRegular | 0o644, Size: size}
	e.Open = func() (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(zeros{}, size)), nil }
	tree := &overlay.Tree{}
	testkit.Must(t, tree.Put(e))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	testkit.Must(t, WriteSegment(io.Discard, tree, SegmentOptions{Level: 1}))
	runtime.ReadMemStats(&after)
	if n := after.HeapSys - min(after.HeapSys, before.HeapSys); n > size/2 {
		t.Errorf("the heap grew by %d MB", n>>20)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestGNUCpioListsSegment(t *testing.T) {
	b := segment(t, writtenTree(t), SegmentOptions{ModTime: 1700000000})
	cmd := exec.CommandContext(t.Context(), testkit.Tool(t, "cpio"), "-itv", "--numeric-uid-gid")
	cmd.Stdin = bytes.NewReader(filter(t, b, "gzip", "-dcq"))
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C")
	out, err := cmd.Output()
	testkit.Must(t, err)
	want := strings.Join([]string{
		"drwxr-xr-x   2 0        0               0 Nov 14  2023 .",
		"-rw-r--r--   1 0        0         3145728 Nov 14  2023 big",
		"drwxrwsr-x   2 0        0               0 Nov 14  2023 bin",
		"-rwsr-xr-x   2 0        0               0 Sep  9  2001 bin/su",
		"-rwsr-xr-x   2 0        0               2 Sep  9  2001 bin/zz-again",
		"drwxr-xr-x   2 0        0               0 Nov 14  2023 dev",
		"brw-rw----   1 0        0          7,   0 Nov 14  2023 dev/loop0",
		"crw-rw-rw-   1 1001     50         1,   3 Nov 14  2023 dev/null",
		"lrwxrwxrwx   1 0        0               7 Nov 14  2023 lib -> usr/lib",
		"-rw-r--r--   1 0        0               1 Nov 14  2023 name with spaces and ü",
		"-rw-------   1 0        0               0 Jan  1  1970 old",
		"prw-------   1 0        0               0 Nov 14  2023 pipe",
		"srw-------   1 0        0               0 Nov 14  2023 socket",
		"drwxrwxrwt   2 0        0               0 Nov 14  2023 tmp", "",
	}, "\n")
	if got := string(out); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func ExampleWriteSegment() {
	tree := &overlay.Tree{}
	if err := tree.Put(overlay.File("init", 0o755, []byte("#!/bin/sh\n"))); err != nil {
		fmt.Println(err)
		return
	}
	var buf bytes.Buffer
	if err := WriteSegment(&buf, tree, SegmentOptions{ModTime: 1700000000}); err != nil {
		fmt.Println(err)
		return
	}
	back, err := Read(&buf, "segment", 1<<20)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range back.Entries() {
		fmt.Printf("%s %o %d bytes from %s\n", e.Path, e.Perm(), e.Size, e.Origin)
	}
	// Output: init 755 10 bytes from segment
}
