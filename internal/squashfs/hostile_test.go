package squashfs

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/sqfs"
)

// exercise walks an image and reads its files, at most 64 KiB of each and 4 MiB in total: a sparse file may really
// be huge.
func exercise(b []byte) error {
	f, err := open(b)
	if err != nil {
		return err
	}
	left := int64(4 << 20)
	return f.Walk(func(_ string, in *Inode) error {
		if !in.IsRegular() || left <= 0 {
			return nil
		}
		r, err := f.OpenFile(in)
		if err != nil {
			return err
		}
		defer r.Close()
		n, err := io.CopyN(io.Discard, r, min(left, 64<<10))
		left -= n
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return err
	})
}

// packed makes one small image with each compressor.
func packed(t testing.TB) map[string][]byte {
	t.Helper()
	testkit.Tool(t, "mksquashfs")
	dir := t.TempDir()
	for i, text := range []string{strings.Repeat("text ", 3000), "tail", strings.Repeat("\x00", 9000)} {
		for _, name := range []string{"a", "b", "c/d", "c/e"} {
			p := filepath.Join(dir, name+string(rune('0'+i)))
			testkit.Must(t, os.MkdirAll(filepath.Dir(p), 0o755))
			testkit.Must(t, os.WriteFile(p, []byte(text+name), 0o600))
		}
	}
	testkit.Must(t, os.Symlink("target", filepath.Join(dir, "link")))
	out := map[string][]byte{}
	for _, args := range []string{"gzip", "xz -Xbcj x86", "zstd", "lzo", "lz4", "gzip -noI -noD -noF"} {
		image := filepath.Join(t.TempDir(), "image")
		testkit.Run(t, "mksquashfs", append([]string{dir, image, "-quiet", "-no-progress", "-b", "4096", "-comp"}, strings.Fields(args)...)...)
		b, err := os.ReadFile(image)
		testkit.Must(t, err)
		if err := exercise(b); err != nil {
			t.Fatalf("%s, untouched: %v", args, err)
		}
		out[args] = b
	}
	return out
}

// TestFlippedBytes changes bytes of whole images. Nothing may panic or use unbounded memory, and nearly every
// change of compressed data must be detected.
func TestFlippedBytes(t *testing.T) {
	t.Parallel()
	for name, image := range packed(t) {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			failed := 0
			const rounds = 400
			for range rounds {
				b := bytes.Clone(image)
				for range 1 + rng.IntN(3) {
					b[rng.IntN(len(b))] ^= byte(1 + rng.IntN(255))
				}
				if exercise(b) != nil {
					failed++
				}
			}
			runtime.ReadMemStats(&after)
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
				t.Errorf("the heap grew by %d bytes", grown)
			}
			if failed == 0 || failed == rounds {
				t.Errorf("%d of %d changed images failed: the test is blind", failed, rounds)
			}
		})
	}
}

// TestFlippedSuperblock changes each byte of the superblock in turn.
func TestFlippedSuperblock(t *testing.T) {
	t.Parallel()
	image := small()
	for i := range superblockSize {
		for _, v := range []byte{0, 1, 0x7f, 0x80, 0xff} {
			b := bytes.Clone(image)
			b[i] = v
			_ = exercise(b)
		}
	}
}

// TestEveryTruncation cuts an image at each length.
func TestEveryTruncation(t *testing.T) {
	t.Parallel()
	image := bytes.TrimRight(small(), "\x00")
	for n := range len(image) {
		if exercise(image[:n]) == nil {
			t.Fatalf("%d of %d bytes: no error", n, len(image))
		}
	}
}

// TestManyClaimedFragments claims four billion fragments in the superblock.
func TestManyClaimedFragments(t *testing.T) {
	t.Parallel()
	image := small()
	copy(image[16:], "\xff\xff\xff\xff")
	if err := exercise(image); err != nil {
		t.Errorf("fragments that no file uses: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(small())
	f.Add(sqfs.Image(nil))
	f.Add([]byte("hsqs"))
	f.Add([]byte("<html>"))
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	testkit.Must(f, w.Close())
	f.Add(z.Bytes())
	for id := byte(1); id <= 6; id++ { // the data blocks of small, for every decompressor
		b := small()
		b[20] = id
		f.Add(b)
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		_ = exercise(b)
	})
}
