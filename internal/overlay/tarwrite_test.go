package overlay

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

// writtenTree has every kind of entry of an image.
func writtenTree(t testing.TB) *Tree {
	su := File("usr/bin/su", 0o4755, []byte("su"))
	su.HardLink, su.MTime = "inode 7", 1000000000
	su2 := su
	su2.Path = "usr/bin/su-again"
	null := Entry{Path: "dev/null", Mode: TypeChar | 0o666, Major: 1, Minor: 3, UID: 1001, GID: 50}
	loop := Entry{Path: "dev/loop0", Mode: TypeBlock | 0o660, Major: 7}
	old := File("old", 0o600, nil)
	old.MTime = -5
	return treeOf(t, Dir(".", 0o755), Dir("tmp", 0o1777), Dir("usr", 0o755), Dir("usr/bin", 0o2775), Dir("dev", 0o755),
		su2, su, null, loop, old, Symlink("usr/lib", "../lib"), Entry{Path: "pipe", Mode: TypeFIFO | 0o600},
		File("name with spaces and ü", 0o644, []byte("x")), File(strings.Repeat("long/", 60)+"f", 0o644, []byte("y")))
}

func TestWriteTarGzReadsBack(t *testing.T) {
	tree := writtenTree(t)
	var buf bytes.Buffer
	testkit.Must(t, WriteTarGz(&buf, tree, 42))
	back, err := ReadTar(bytes.NewReader(buf.Bytes()), "back", Limits{})
	testkit.Must(t, err)
	if got, want := describe(t, back), describe(t, tree); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for name, want := range map[string]int64{"usr/bin/su": 1000000000, "old": 0, "tmp": 42} {
		if got := back.Get(name).MTime; got != want {
			t.Errorf("%s: mtime %d, want %d", name, got, want)
		}
	}
}

func TestWriteTarGzHeaderHoldsNoTimeOrName(t *testing.T) {
	var buf bytes.Buffer
	testkit.Must(t, WriteTarGz(&buf, writtenTree(t), 42))
	h := buf.Bytes()
	if h[3] != 0 || binary.LittleEndian.Uint32(h[4:8]) != 0 {
		t.Errorf("gzip header % x has flags or a time", h[:10])
	}
}

func TestWriteTarGzSameBytesEverywhere(t *testing.T) {
	content := make([]byte, 5<<20)
	rnd := rand.New(rand.NewSource(1))
	for i := range content {
		content[i] = byte(rnd.Intn(7))
	}
	tree := writtenTree(t)
	testkit.Must(t, tree.Put(File("big", 0o644, content)))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	sums := map[string]bool{}
	for _, n := range []int{1, 2, 8} {
		runtime.GOMAXPROCS(n)
		h := sha256.New()
		testkit.Must(t, WriteTarGz(h, tree, 42))
		sums[fmt.Sprintf("%x", h.Sum(nil))] = true
	}
	if len(sums) != 1 {
		t.Errorf("%d different outputs", len(sums))
	}
	var out bytes.Buffer
	testkit.Must(t, WriteTarGz(&out, tree, 42))
	if n := bytes.Count(out.Bytes(), []byte{0, 0, 0xff, 0xff}); n != 6 { // the end of a part of the compressed data (RFC 1951, 3.2.4)
		t.Errorf("5 MiB and the headers were compressed in %d parts", n)
	}
	h := sha256.New()
	testkit.Must(t, WriteTarGz(h, tree, 43))
	if sums[fmt.Sprintf("%x", h.Sum(nil))] {
		t.Error("another mtime gives the same bytes: this test cannot fail")
	}
}

func TestWriteTarGzRefuses(t *testing.T) {
	broken := errors.New("broken")
	lying := func(size int64) Entry {
		e := File("f", 0o644, []byte("123"))
		e.Size = size
		return e
	}
	failing := File("f", 0o644, []byte("123"))
	failing.Open = func() (io.ReadCloser, error) { return nil, broken }
	tests := []struct {
		name string
		e    Entry
		want error
	}{
		{"socket", Entry{Path: "f", Mode: TypeSocket | 0o600}, nil},
		{"short content", lying(4), io.ErrUnexpectedEOF},
		{"long content", lying(2), nil},
		{"no content", Entry{Path: "f", Mode: TypeRegular, Size: 1}, nil},
		{"failing content", failing, broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := WriteTarGz(io.Discard, treeOf(t, tt.e), 0)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), " f: ") {
				t.Errorf("got %v", err)
			}
		})
	}
	if err := WriteTarGz(failWriter{broken}, writtenTree(t), 0); !errors.Is(err, broken) {
		t.Errorf("full disk: got %v", err)
	}
}

type failWriter struct{ err error }

func (w failWriter) Write([]byte) (int, error) { return 0, w.err }

func TestWriteTarGzSecondOpinions(t *testing.T) {
	out := filepath.Join(t.TempDir(), "o.tar.gz")
	f, err := os.Create(out)
	testkit.Must(t, err)
	testkit.Must(t, WriteTarGz(f, writtenTree(t), 1700000000))
	testkit.Must(t, f.Close())
	gnu := testkit.Run(t, "tar", "--utc", "--full-time", "--numeric-owner", "-tvzf", out)
	for _, want := range []string{
		"drwxr-xr-x 0/0               0 2023-11-14 22:13:20 ./",
		"crw-rw-rw- 1001/50         1,3 2023-11-14 22:13:20 dev/null",
		"brw-rw---- 0/0             7,0 2023-11-14 22:13:20 dev/loop0",
		"drwxrwxrwt 0/0               0 2023-11-14 22:13:20 tmp/",
		"drwxrwsr-x 0/0               0 2023-11-14 22:13:20 usr/bin/",
		"-rwsr-xr-x 0/0               2 2001-09-09 01:46:40 usr/bin/su",
		"hrwsr-xr-x 0/0               0 2001-09-09 01:46:40 usr/bin/su-again link to usr/bin/su",
		"lrwxrwxrwx 0/0               0 2023-11-14 22:13:20 usr/lib -> ../lib",
		"-rw------- 0/0               0 1970-01-01 00:00:00 old",
	} {
		if !strings.Contains(gnu, want+"\n") {
			t.Errorf("GNU tar does not say %q:\n%s", want, gnu)
		}
	}
	bsd := testkit.Run(t, "bsdtar", "--numeric-owner", "-tvf", out)
	for _, want := range []string{"-rwsr-xr-x  0 0      0           2", "usr/bin/su-again link to usr/bin/su", "1,3", "drwxrwxrwt"} {
		if !strings.Contains(bsd, want) {
			t.Errorf("bsdtar does not say %q:\n%s", want, bsd)
		}
	}
}
