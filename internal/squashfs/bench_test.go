package squashfs

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/sqfs"
)

// library makes an image of 40 MB in 2000 files with 4 KiB blocks, like a large extension.
func library() []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	var files []sqfs.File
	for i := range 2000 {
		var text strings.Builder
		for text.Len() < 20000 {
			fmt.Fprintf(&text, "def method_%d(a, b) = a * %d + b\n", rng.IntN(1000), rng.IntN(1000))
		}
		files = append(files, sqfs.Reg(fmt.Sprintf("usr/local/lib/d%02d/file%04d.rb", i%50, i), 0o644, text.String()))
	}
	return sqfs.Image(files)
}

// BenchmarkReadAll reads every file of an image in path order, like a build.
func BenchmarkReadAll(b *testing.B) {
	image := library()
	b.ReportAllocs()
	for b.Loop() {
		total, err := readAll(image)
		testkit.Must(b, err)
		b.SetBytes(total)
	}
}

func readAll(image []byte) (total int64, err error) {
	f, err := open(image)
	if err != nil {
		return 0, err
	}
	err = f.Walk(func(_ string, in *Inode) error {
		if !in.IsRegular() {
			return nil
		}
		r, err := f.OpenFile(in)
		if err != nil {
			return err
		}
		defer r.Close()
		n, err := io.Copy(io.Discard, r)
		total += n
		return err
	})
	return total, err
}
