package squashfs

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"mkbuild/internal/testkit"
)

// BenchmarkReadAll reads Go's own source tree, thousands of small files, in path order.
func BenchmarkReadAll(b *testing.B) {
	src := os.Getenv("SQUASHFS_BENCH_DIR")
	if src == "" {
		b.Skip("SQUASHFS_BENCH_DIR names no directory")
	}
	for _, args := range [][]string{{"gzip", "4096"}, {"gzip", "131072"}, {"xz", "131072"}, {"zstd", "1048576"}} {
		b.Run(args[0]+args[1], func(b *testing.B) {
			image := filepath.Join(b.TempDir(), "image")
			testkit.Run(b, "mksquashfs", src, image, "-quiet", "-no-progress", "-comp", args[0], "-b", args[1])
			for b.Loop() {
				readAll(b, image)
			}
		})
	}
}

func readAll(b *testing.B, image string) {
	file, err := os.Open(image)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // only read
	info, err := file.Stat()
	if err != nil {
		b.Fatal(err)
	}
	f, err := Open(file, info.Size())
	if err != nil {
		b.Fatal(err)
	}
	var total int64
	err = f.Walk(func(_ string, in *Inode) error {
		if !in.IsRegular() {
			return nil
		}
		r, err := f.OpenFile(in)
		if err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, r)
		total += n
		_ = r.Close()
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(total)
}
