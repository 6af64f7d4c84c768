package squashfs_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/squashfs"
)

// pseudo are files that need root on disk, in mksquashfs's own notation.
const pseudo = `dev d 755 0 0
dev/console c 600 0 5 5 1
dev/big b 660 0 6 259 70
dev/pipe i 640 1001 50 f
dev/socket i 644 0 0 s
usr/bin/su m 4755 0 0
tmp m 1777 0 0
opt m 2775 0 50
home/tc m 755 1001 50
`

// source makes a tree with every kind of content that the format stores differently.
func source(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	noise := make([]byte, 600077)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(noise)
	text := bytes.Repeat([]byte("Every block of this file compresses well. "), 30000)
	files := map[string][]byte{
		"usr/bin/su":       text[:5000],
		"data/noise":       noise,
		"data/text":        text,
		"data/empty":       nil,
		"data/one":         []byte("1"),
		"data/block4k":     noise[:4096],
		"data/block4k+1":   text[:4097],
		"data/block128k":   noise[5 : 5+131072],
		"data/block128k-1": text[:131071],
		"data/mixed":       append(bytes.Clone(text[:1<<20]), noise[:99999]...),
		"tmp/.keep":        nil,
		"opt/x":            noise[9:3000],
		"home/tc/y":        text[100:300],
	}
	for i := range 700 {
		files[fmt.Sprintf("many/a-rather-long-file-name-to-fill-the-listing-%04d", i)] = text[i : i+i%97]
	}
	for name, b := range files {
		write(t, filepath.Join(dir, name), b)
	}
	sparse(t, filepath.Join(dir, "data/sparse"))
	links(t, dir)
	executable(t, filepath.Join(dir, "data/elf"))
	return dir
}

func write(t *testing.T, name string, b []byte) {
	t.Helper()
	testkit.Must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	testkit.Must(t, os.WriteFile(name, b, 0o644))
}

// sparse makes a file with holes at its start, in its middle and at its end.
func sparse(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	testkit.Must(t, err)
	defer f.Close()
	for _, off := range []int64{2 << 20, 5<<20 + 5} {
		if _, err := f.WriteAt([]byte("island"), off); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Must(t, f.Truncate(7<<20+1))
}

func links(t *testing.T, dir string) {
	t.Helper()
	for _, err := range []error{
		os.Link(filepath.Join(dir, "data/one"), filepath.Join(dir, "data/one-more")),
		os.Link(filepath.Join(dir, "data/mixed"), filepath.Join(dir, "many/mixed")),
		os.Symlink("/usr/local/bin/tool", filepath.Join(dir, "data/absolute")),
		os.Symlink("../"+strings.Repeat("long/", 200), filepath.Join(dir, "data/relative")),
		os.MkdirAll(filepath.Join(dir, "data/nothing"), 0o700),
	} {
		testkit.Must(t, err)
	}
}

// executable copies machine code, which BCJ filters rewrite.
func executable(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile(testkit.Tool(t, "unsquashfs"))
	testkit.Must(t, err)
	write(t, name, b)
}

func mksquashfs(t *testing.T, dir string, args ...string) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image.tcz")
	list := filepath.Join(t.TempDir(), "pseudo")
	write(t, list, []byte(pseudo))
	args = append([]string{dir, image, "-noappend", "-quiet", "-no-progress", "-pf", list}, args...)
	testkit.Run(t, "mksquashfs", args...)
	return image
}

func TestImagesOfMksquashfs(t *testing.T) {
	t.Parallel()
	testkit.Tool(t, "mksquashfs")
	dir := source(t)
	tests := []struct{ name, args string }{
		{"gzip 4K as TCZs are", "-comp gzip -b 4096 -no-xattrs -all-root"},
		{"gzip 128K", "-comp gzip -b 131072"},
		{"gzip 1M", "-comp gzip -b 1048576"},
		{"xz 4K", "-comp xz -b 4096"},
		{"xz 128K with BCJ", "-comp xz -b 131072 -Xbcj x86 -Xdict-size 50%"},
		{"xz 1M with BCJ", "-comp xz -b 1048576 -Xbcj x86"},
		{"zstd 128K", "-comp zstd -b 131072"},
		{"zstd 1M", "-comp zstd -b 1048576 -Xcompression-level 3"},
		{"zstd 4K", "-comp zstd -b 4096"},
		{"lzo 4K", "-comp lzo -b 4096"},
		{"lzo 128K", "-comp lzo -b 131072"},
		{"lzo 1M", "-comp lzo -b 1048576 -Xalgorithm lzo1x_1"},
		{"lz4 4K", "-comp lz4 -b 4096"},
		{"lz4 128K high", "-comp lz4 -b 131072 -Xhc"},
		{"lz4 1M", "-comp lz4 -b 1048576"},
		{"no fragments", "-comp gzip -b 131072 -no-fragments"},
		{"always fragments", "-comp gzip -b 131072 -always-use-fragments"},
		{"raw metadata", "-comp gzip -noI -noId"},
		{"all raw", "-comp gzip -noI -noD -noF -noX"},
		{"no export, no padding", "-comp gzip -no-exports -nopad -no-duplicates"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			compare(t, dir, mksquashfs(t, dir, strings.Fields(tt.args)...))
		})
	}
}

// compare compares the package with the listing of unsquashfs, entry by entry, and with the original contents.
func compare(t *testing.T, dir, image string) {
	t.Helper()
	f := openImage(t, image)
	want := listing(t, image)
	seen := 0
	err := f.Walk(func(p string, in *squashfs.Inode) error {
		seen++
		if got := describe(in); got != want[p] {
			t.Errorf("%s: got %q, unsquashfs says %q", p, got, want[p])
		}
		if in.IsRegular() {
			sameContent(t, f, in, filepath.Join(dir, p))
		}
		return nil
	})
	testkit.Must(t, err)
	if seen != len(want) || seen < 700 {
		t.Errorf("walked %d entries, unsquashfs lists %d", seen, len(want))
	}
}

func openImage(t testing.TB, image string) *squashfs.FS {
	t.Helper()
	file, err := os.Open(image)
	testkit.Must(t, err)
	t.Cleanup(func() { _ = file.Close() })
	info, err := file.Stat()
	testkit.Must(t, err)
	f, err := squashfs.Open(file, info.Size())
	testkit.Must(t, err)
	return f
}

// listLine is a line of unsquashfs -lln: mode, owner, size or device number, date, time, name.
var listLine = regexp.MustCompile(`^(\S{10}) (\d+)/(\d+)\s+(\d+,\s*\d+|\d+) \S+ \S+ squashfs-root/?(.*)$`)

// listing returns unsquashfs's description of each path.
func listing(t *testing.T, image string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(testkit.Run(t, "unsquashfs", "-UTC", "-lln", image)) {
		m := listLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			continue
		}
		name, target, _ := strings.Cut(m[5], " -> ")
		if name == "" {
			name = "."
		}
		size := strings.ReplaceAll(m[4], " ", "")
		if m[1][0] != '-' && m[1][0] != 'c' && m[1][0] != 'b' {
			size = "" // of a listing or a target
		}
		out[name] = fmt.Sprintf("%s %s/%s %s %s", m[1], m[2], m[3], size, target)
	}
	return out
}

// describe returns an inode in the form of listing.
func describe(in *squashfs.Inode) string {
	size := ""
	switch in.Mode & squashfs.TypeMask {
	case squashfs.TypeRegular:
		size = fmt.Sprint(in.Size)
	case squashfs.TypeChar, squashfs.TypeBlock:
		size = fmt.Sprintf("%d,%d", in.Major, in.Minor)
	}
	return fmt.Sprintf("%s %d/%d %s %s", modeString(in.Mode), in.UID, in.GID, size, in.Target)
}

// modeString writes a mode like ls -l.
func modeString(mode uint32) string {
	kinds := map[uint32]byte{
		squashfs.TypeDir: 'd', squashfs.TypeRegular: '-', squashfs.TypeLink: 'l', squashfs.TypeBlock: 'b',
		squashfs.TypeChar: 'c', squashfs.TypeFIFO: 'p', squashfs.TypeSocket: 's',
	}
	b := []byte("?rwxrwxrwx")
	b[0] = kinds[mode&squashfs.TypeMask]
	for i := range 9 {
		if mode&(1<<(8-i)) == 0 {
			b[1+i] = '-'
		}
	}
	for i, c := range []byte("sst") {
		pos := 3 + 3*i
		if mode&(0o4000>>i) == 0 {
			continue
		}
		if b[pos] == 'x' {
			b[pos] = c
		} else {
			b[pos] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// sameContent reads a file in two ways and compares both with the original file.
func sameContent(t *testing.T, f *squashfs.FS, in *squashfs.Inode, disk string) {
	t.Helper()
	want, err := os.ReadFile(disk)
	if err != nil {
		t.Error(err)
		return
	}
	for _, stream := range []bool{true, false} {
		r, err := f.OpenFile(in)
		if err != nil {
			t.Error(err)
			return
		}
		var src io.Reader = r
		if stream {
			src = struct{ io.Reader }{r} // hides WriteTo
		}
		var got bytes.Buffer
		if _, err := io.Copy(&got, src); err != nil {
			t.Errorf("%s: %v", disk, err)
		}
		if sha256.Sum256(got.Bytes()) != sha256.Sum256(want) {
			t.Errorf("%s: content differs (%d bytes, want %d)", disk, got.Len(), len(want))
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestHardLinks has its own source: mksquashfs detects names of one file by comparing all of struct stat, so
// another mksquashfs that reads the file meanwhile (access time) separates them.
func TestHardLinks(t *testing.T) {
	t.Parallel()
	testkit.Tool(t, "mksquashfs")
	dir := t.TempDir()
	names := []string{"a/one", "a/two", "b/three"}
	write(t, filepath.Join(dir, names[0]), []byte("one file"))
	write(t, filepath.Join(dir, "b/same"), []byte("one file"))
	for _, name := range names[1:] {
		testkit.Must(t, os.Link(filepath.Join(dir, names[0]), filepath.Join(dir, name)))
	}
	image := filepath.Join(t.TempDir(), "image.tcz")
	testkit.Run(t, "mksquashfs", dir, image, "-quiet", "-no-progress")
	found := map[string]*squashfs.Inode{}
	if err := openImage(t, image).Walk(func(p string, in *squashfs.Inode) error {
		found[p] = in
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		in := found[name]
		if in == nil || in.Nlink != 3 || in.ID != found[names[0]].ID || in.Number != found[names[0]].Number {
			t.Errorf("%s: %+v is not the file of %s", name, in, names[0])
		}
	}
	if same := found["b/same"]; same.Nlink != 1 || same.ID == found[names[0]].ID {
		t.Errorf("a copy counts as a link: %+v", same)
	}
}

func TestConcurrentReaders(t *testing.T) {
	t.Parallel()
	f := openImage(t, mksquashfs(t, source(t), "-comp", "gzip", "-b", "4096"))
	sums := make([][32]byte, 6)
	var wg sync.WaitGroup
	for i := range sums {
		wg.Go(func() {
			h := sha256.New()
			err := f.Walk(func(_ string, in *squashfs.Inode) error {
				if !in.IsRegular() {
					return nil
				}
				r, err := f.OpenFile(in)
				if err != nil {
					return err
				}
				_, err = io.Copy(h, r)
				return errors.Join(err, r.Close())
			})
			if err != nil {
				t.Error(err)
			}
			copy(sums[i][:], h.Sum(nil))
		})
	}
	wg.Wait()
	for i := range sums {
		if sums[i] != sums[0] {
			t.Errorf("reader %d saw other bytes", i)
		}
	}
}
