package iso9660

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/overlay"
)

// BenchmarkWrite writes an image of 32 MiB in 32 files.
func BenchmarkWrite(b *testing.B) {
	content := make([]byte, 1<<20)
	img := &Image{VolumeID: "bench"}
	for i := range 32 {
		img.Files.Put(overlay.Entry{Path: fmt.Sprintf("file%02d", i), Mode: overlay.TypeRegular | 0o644, Size: int64(len(content)),
			Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }})
	}
	b.SetBytes(32 << 20)
	b.ReportAllocs()
	for b.Loop() {
		testkit.Must(b, img.Write(io.Discard))
	}
}
