package initrd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/overlay"
)

func TestReadEveryMemberKindInAnyOrder(t *testing.T) {
	big := mixed(600_000)
	pack := map[string]func(b []byte) []byte{
		"raw":          func(b []byte) []byte { return b },
		"gzip":         func(b []byte) []byte { return gz(t, b) },
		"zstd":         func(b []byte) []byte { return zst(t, b) },
		"xz":           func(b []byte) []byte { return filter(t, b, "xz", "-1", "--check=crc32") },
		"xz x86":       func(b []byte) []byte { return filter(t, b, "xz", "--check=crc32", "--x86", "--lzma2=preset=1") },
		"xz blocks":    func(b []byte) []byte { return filter(t, b, "xz", "-1", "--check=crc64", "--block-size=50000") },
		"xz no check":  func(b []byte) []byte { return filter(t, b, "xz", "-1", "--check=none") },
		"xz sha256":    func(b []byte) []byte { return filter(t, b, "xz", "-1", "--check=sha256", "-T2") },
		"zstd program": func(b []byte) []byte { return filter(t, b, "zstd", "-9", "--check") },
		"zstd stream":  func(b []byte) []byte { return filter(t, b, "zstd", "-1", "--no-check", "--single-thread") },
		"pgzip":        nil, // WriteSegment
	}
	last := func(b []byte) []byte { return lz4legacy(t, b) } // has no end marker
	for name, p := range pack {
		t.Run(name, func(t *testing.T) {
			one := archive(t, file("one", 0o644, big))
			var b []byte
			if p == nil {
				var buf bytes.Buffer
				tree := &overlay.Tree{}
				testkit.Must(t, tree.Put(overlay.File("one", 0o644, []byte(big))))
				testkit.Must(t, WriteSegment(&buf, tree, SegmentOptions{}))
				b = buf.Bytes()
			} else {
				b = p(one)
			}
			for _, pad := range []int{0, 4, 4096} {
				in := append(bytes.Clone(b), make([]byte, pad)...)
				in = append(in, gz(t, archive(t, file("two", 0o600, "2")))...)
				in = append(in, make([]byte, pad+3)...)
				in = append(in, last(archive(t, file("three", 0o600, "3")))...)
				tree, err := Read(bytes.NewReader(in), "x", 0)
				testkit.Must(t, err)
				want := fmt.Sprintf("one 100644 0:0 %.20q %d\nthree 100600 0:0 \"3\" 1\ntwo 100600 0:0 \"2\" 1\n", big, len(big))
				if got := describe(t, tree); got != want {
					t.Errorf("padding %d: got\n%swant\n%s", pad, got, want)
				}
				if got, _ := tree.Get("one").Content(4 << 20); string(got) != big {
					t.Errorf("padding %d: content differs", pad)
				}
			}
		})
	}
}

func TestReadLZ4Program(t *testing.T) {
	big := mixed(20 << 20) // several blocks
	b := filter(t, archive(t, file("f", 0o644, big)), "lz4", "-l")
	b = append(b, b...)                     // another magic number in between
	b = append(b, make([]byte, 513)...)     // padding
	b = append(b, gz(t, archive(t))...)     // and another member
	b = append(b, lz4legacy(t, nil)[:4]...) // an empty one
	if _, err := Read(bytes.NewReader(b), "x", 0); !errors.Is(err, ErrCorrupt) {
		t.Errorf("an empty member: got %v", err)
	}
	tree, err := Read(bytes.NewReader(b[:len(b)-4]), "x", 0)
	testkit.Must(t, err)
	if got, _ := tree.Get("f").Content(32 << 20); string(got) != big {
		t.Error("content differs")
	}
}

func TestReadFollowsTheKernel(t *testing.T) {
	base := []member{dir(".", 0o755), dir("d", 0o755), dir("d/full", 0o755), file("d/full/f", 0o644, "f"), dir("d/empty", 0o755),
		file("file", 0o644, "old"), symlink("link", "d"), device("dev", 1, 3), symlink("loop", "loop")}
	rest := func(changed ...string) string {
		lines := []string{". 40755 0:0", "d 40755 0:0", "d/empty 40755 0:0", "d/full 40755 0:0", `d/full/f 100644 0:0 "f" 1`,
			"dev 20600 0:0 dev 1,3", `file 100644 0:0 "old" 3`, "link 120777 0:0 -> d", "loop 120777 0:0 -> loop"}
		for _, c := range changed {
			name, _, _ := strings.Cut(c, " ")
			for i := range lines {
				if strings.HasPrefix(lines[i], name+" ") {
					lines[i] = c
					c = ""
					break
				}
			}
			if c != "" {
				lines = append(lines, c)
			}
		}
		return strings.Join(lines, "\n") + "\n"
	}
	typeless := file("typeless", 0o644, "x")
	typeless.Mode = 0o644
	tests := []struct {
		name string
		add  []member
		want string
	}{
		{"a later file wins", []member{file("file", 0o600, "new!")}, rest(`file 100600 0:0 "new!" 4`)},
		{"a later directory sets mode and owner", []member{dir("d", 0o1777)}, rest("d 41777 0:0")},
		{"the root, too", []member{dir("@.", 0o700)}, rest(". 40700 0:0")},
		{"a file replaces a symlink", []member{file("link", 0o644, "x")}, rest(`link 100644 0:0 "x" 1`)},
		{"a directory replaces a symlink", []member{dir("link", 0o711)}, rest("link 40711 0:0")},
		{"a symlink replaces a symlink", []member{symlink("link", "/x")}, rest("link 120777 0:0 -> /x")},
		{"a directory replaces a file", []member{dir("file", 0o711)}, rest("file 40711 0:0")},
		{"a file replaces an empty directory", []member{file("d/empty", 0o644, "")}, rest(`d/empty 100644 0:0 "" 0`)},
		{"a full directory stays", []member{file("d/full", 0o644, ""), symlink("d", "x")}, rest()},
		{"a device keeps its number", []member{device("dev", 5, 1)}, rest()},
		{"a symlinked directory is followed", []member{file("link/new", 0o644, "n")},
			strings.Replace(rest(), "dev ", "d/new 100644 0:0 \"n\" 1\ndev ", 1)},
		{"names may be absolute", []member{file("@file", 0o600, "")}, rest(`file 100600 0:0 "" 0`)},
		{"what cannot be reached is lost", []member{file("loop/f", 0o644, ""), file("file/f", 0o644, "")}, rest()},
		{"no type, no entry", []member{typeless}, rest()},
		{"a target ends at its NUL", []member{symlink("link", "d\x00")}, rest()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			add := stored(archive(t, tt.add...))
			for kind, in := range map[string][]byte{
				"plain":    append(archive(t, base...), add...),
				"segments": append(gz(t, archive(t, base...)), gz(t, add)...),
			} {
				tree, err := Read(bytes.NewReader(in), "x", 0)
				testkit.Must(t, err)
				if got := describe(t, tree); got != tt.want {
					t.Errorf("%s: got\n%swant\n%s", kind, got, tt.want)
				}
			}
		})
	}
}

// stored puts names into an archive that our writer refuses: "@" means "/", "@." means "./".
func stored(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("@.\x00"), []byte("./\x00"))
	return bytes.ReplaceAll(b, []byte("@file"), []byte("/file"))
}

func TestReadHardLinks(t *testing.T) {
	tests := []struct {
		name    string
		archive [][]member
		want    string
	}{
		{"content with the last name", [][]member{{linked(7, 2, file("a", 0o600, "")), linked(7, 2, file("b", 0o644, "data"))}},
			"a 100644 0:0 \"data\" 4 group 1\nb 100644 0:0 \"data\" 4 group 1\n"},
		{"content with the first name", [][]member{{linked(7, 2, file("a", 0o644, "data")), linked(7, 2, file("b", 0o644, ""))}},
			"a 100644 0:0 \"data\" 4 group 1\nb 100644 0:0 \"data\" 4 group 1\n"},
		{"one name of two", [][]member{{linked(7, 2, file("a", 0o644, "data"))}}, "a 100644 0:0 \"data\" 4\n"},
		{"inodes are those of one archive", [][]member{{linked(7, 2, file("a", 0o644, "1"))}, {linked(7, 2, file("b", 0o644, "2"))}},
			"a 100644 0:0 \"1\" 1\nb 100644 0:0 \"2\" 1\n"},
		{"no links, equal numbers", [][]member{{linked(7, 1, file("a", 0o644, "1")), linked(7, 1, file("b", 0o644, "2"))}},
			"a 100644 0:0 \"1\" 1\nb 100644 0:0 \"2\" 1\n"},
		{"writing to one name changes all", [][]member{{linked(7, 2, file("a", 0o644, "")), linked(7, 2, file("b", 0o644, "data"))}, {file("a", 0o600, "new")}},
			"a 100600 0:0 \"new\" 3 group 1\nb 100600 0:0 \"new\" 3 group 1\n"},
		{"a name of another type leaves", [][]member{{linked(7, 3, file("a", 0o644, "")), linked(7, 3, file("b", 0o644, "")), linked(7, 3, file("c", 0o644, "data"))}, {symlink("a", "x")}},
			"a 120777 0:0 -> x\nb 100644 0:0 \"data\" 4 group 1\nc 100644 0:0 \"data\" 4 group 1\n"},
		{"a link replaces a file", [][]member{{file("b", 0o600, "old"), linked(7, 2, file("a", 0o644, "data")), linked(7, 2, file("b", 0o644, ""))}},
			"a 100644 0:0 \"data\" 4 group 1\nb 100644 0:0 \"data\" 4 group 1\n"},
		{"a link does not replace a full directory", [][]member{{dir("b", 0o755), dir("b/c", 0o755), linked(7, 2, file("a", 0o644, "data")), linked(7, 2, file("b", 0o644, ""))}},
			"a 100644 0:0 \"data\" 4\nb 40755 0:0\nb/c 40755 0:0\n"},
		{"linked devices are devices", [][]member{{linked(7, 2, device("a", 1, 3)), linked(7, 2, device("b", 1, 3))}},
			"a 20600 0:0 dev 1,3\nb 20600 0:0 dev 1,3\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var segments, inOne []byte
			for _, m := range tt.archive {
				segments = append(segments, gz(t, archive(t, m...))...)
				inOne = append(inOne, archive(t, m...)...)
			}
			for kind, in := range map[string][]byte{"segments": segments, "one member": gz(t, inOne), "plain": inOne} {
				tree, err := Read(bytes.NewReader(in), "x", 0)
				testkit.Must(t, err)
				if got := describe(t, tree); got != tt.want {
					t.Errorf("%s: got\n%swant\n%s", kind, got, tt.want)
				}
			}
		})
	}
}

func TestReadKeepsOwnersTimesAndOrigin(t *testing.T) {
	m := file("f", 0o4755, "x")
	m.UID, m.GID, m.MTime = 1001, 50, 1234567890
	tree, err := Read(bytes.NewReader(gz(t, archive(t, m))), "core.gz", 0)
	testkit.Must(t, err)
	if e := tree.Get("f"); e.UID != 1001 || e.GID != 50 || e.MTime != 1234567890 || e.Origin != "core.gz" || e.Perm() != 0o4755 {
		t.Errorf("got %+v", e)
	}
}

func TestReadRefuses(t *testing.T) {
	good := archive(t, dir("d", 0o755), file("d/f", 0o644, mixed(200_000)))
	zipped := gz(t, good)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	half := good[: len(good)/2&^3 : len(good)/2&^3]
	tests := []struct {
		name  string
		in    []byte
		limit int64
		want  error
		also  error
	}{
		{"empty", nil, 0, ErrNotInitrd, nil},
		{"padding only", make([]byte, 1024), 0, ErrNotInitrd, nil},
		{"web page", []byte("<html><body>404 Not Found"), 0, ErrNotInitrd, nil},
		{"noise", []byte(strings.Repeat("noise", 300)), 0, ErrNotInitrd, nil},
		{"gzip of noise", gz(t, []byte(strings.Repeat("noise", 300))), 0, ErrNotInitrd, nil},
		{"bzip2", []byte("BZh91AY&SY" + strings.Repeat("x", 100)), 0, ErrNotInitrd, nil},
		{"lz4 frame", []byte("\x04\x22\x4d\x18" + strings.Repeat("x", 100)), 0, ErrNotInitrd, nil},
		{"cut gzip", zipped[:len(zipped)/2], 0, ErrCorrupt, io.ErrUnexpectedEOF},
		{"cut gzip header", zipped[:5], 0, ErrCorrupt, io.ErrUnexpectedEOF},
		{"cut gzip checksum", zipped[:len(zipped)-2], 0, ErrCorrupt, io.ErrUnexpectedEOF},
		{"wrong gzip checksum", join(zipped[:len(zipped)-8], []byte("12345678")), 0, ErrCorrupt, nil},
		{"cut plain", good[:len(good)/2], 0, ErrCorrupt, io.ErrUnexpectedEOF},
		{"cut zstd", cut(zst(t, good)), 0, ErrCorrupt, io.ErrUnexpectedEOF},
		{"cut lz4", cut(lz4legacy(t, good)), 0, ErrCorrupt, io.ErrUnexpectedEOF},
		{"cut second member", join(zipped, zipped[:len(zipped)/2]), 0, ErrCorrupt, io.ErrUnexpectedEOF},
		{"garbage behind", join(zipped, []byte("garbage")), 0, ErrCorrupt, nil},
		{"web page behind", join(zipped, []byte("<html>")), 0, ErrCorrupt, nil},
		{"archive without trailer", gz(t, bytes.Split(good, []byte("TRAILER!!!"))[0]), 0, ErrCorrupt, nil},
		{"an archive split over members", join(gz(t, half), gz(t, good[len(half):])), 0, ErrCorrupt, io.ErrUnexpectedEOF},
		{"plain archive not aligned", join(zipped, make([]byte, 1+(-len(zipped)&3)), good), 0, ErrCorrupt, nil},
		{"dot dot", archive(t, file("d/../f", 0o644, "")), 0, ErrCorrupt, overlay.ErrPath},
		{"root is a file", archive(t, file(".", 0o644, "")), 0, ErrCorrupt, nil},
		{"empty target", archive(t, symlink("l", "")), 0, ErrCorrupt, nil},
		{"long target", archive(t, symlink("l", strings.Repeat("x", 5000))), 0, ErrCorrupt, nil},
		{"over the limit", zipped, 200_000, overlay.ErrLimit, nil},
		{"over the limit, plain", good, 200_000, overlay.ErrLimit, nil},
		{"over the limit in zeros", gz(t, join(good, make([]byte, 1<<20))), 300_000, overlay.ErrLimit, nil},
		{"over the limit in the second member", join(zipped, zipped), 300_000, overlay.ErrLimit, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree, err := Read(bytes.NewReader(tt.in), "core.gz", tt.limit)
			if tree != nil || !errors.Is(err, tt.want) || tt.also != nil && !errors.Is(err, tt.also) {
				t.Fatalf("got %v, %v; want %v and %v", tree, err, tt.want, tt.also)
			}
			if !strings.HasPrefix(err.Error(), "read core.gz: ") {
				t.Errorf("%v does not name the file", err)
			}
		})
	}
}

func cut(b []byte) []byte { return b[:len(b)-len(b)/4] }

func TestReadTruncatedXZ(t *testing.T) {
	b := filter(t, archive(t, file("f", 0o644, mixed(100_000))), "xz", "--check=crc32", "--block-size=30000")
	for _, n := range []int{7, 20, len(b) / 2, len(b) - 20, len(b) - 1} {
		if _, err := Read(bytes.NewReader(b[:n]), "x", 0); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut at %d of %d: got %v", n, len(b), err)
		}
	}
	if _, err := Read(bytes.NewReader(b), "x", 0); err != nil {
		t.Error(err)
	}
}

func TestReadPassesOnReadErrors(t *testing.T) {
	broken := errors.New("broken disk")
	zipped := gz(t, archive(t, file("f", 0o644, mixed(200_000))))
	in := io.MultiReader(bytes.NewReader(zipped[:len(zipped)/2]), iotest.ErrReader(broken))
	_, err := Read(in, "x", 0)
	if !errors.Is(err, broken) || errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}

func TestReadTurnsPanicsIntoErrors(t *testing.T) {
	_, err := Read(panicReader{}, "x", 0)
	if err == nil {
		t.Error("no error")
	}
}

// panicReader simulates a decompressor that fails on hostile input.
type panicReader struct{}

func (panicReader) Read(p []byte) (int, error) {
	if len(p) < window {
		panic("index out of range")
	}
	return copy(p, "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"), nil
}

// TestReadMemory limits the memory for an image of 60 MB to its size and a little more.
func TestReadMemory(t *testing.T) {
	var members []member
	for i := range 60 {
		members = append(members, file(fmt.Sprint("f", i), 0o644, strings.Repeat("x", 1000*(1+i%7)+1000_000)))
	}
	in := gz(t, archive(t, members...))
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	tree, err := Read(bytes.NewReader(in), "x", 0)
	runtime.ReadMemStats(&after)
	testkit.Must(t, err)
	if n := after.TotalAlloc - before.TotalAlloc; n > 70<<20 {
		t.Errorf("%d MB allocated for %d files of 60 MB", n>>20, tree.Len())
	}
}

func FuzzRead(f *testing.F) {
	good := archive(f, dir("d", 0o755), linked(3, 2, file("d/f", 0o644, "")), linked(3, 2, file("d/g", 0o644, "data")), symlink("l", "d"), device("n", 1, 3))
	f.Add(good)
	f.Add(gz(f, good))
	f.Add(zst(f, good))
	f.Add(lz4legacy(f, good))
	f.Add(append(gz(f, good), good...))
	f.Add([]byte("\xfd7zXZ\x00\x00\x01\x69\x22\xde\x36\x02\x00\x21\x01\x16\x00\x00\x00\x74\x2f\xe5\xa3\x01\x00\x00x\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := Read(bytes.NewReader(b), "fuzz", 1<<20)
		if err != nil {
			return
		}
		for _, e := range tree.Entries() {
			if clean, err := overlay.CleanPath(e.Path); err != nil || clean != e.Path {
				t.Errorf("path %q is not clean", e.Path)
			}
			if e.IsRegular() {
				if _, err := e.Content(1 << 20); err != nil {
					t.Error(err)
				}
			}
		}
	})
}
