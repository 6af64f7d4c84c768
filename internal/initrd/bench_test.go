package initrd

import (
	"io"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/overlay"
)

// BenchmarkWriteSegment compresses two megabytes of moderately compressible data.
func BenchmarkWriteSegment(b *testing.B) {
	const size = 2 << 20
	tree := &overlay.Tree{}
	testkit.Must(b, tree.Put(overlay.File("a", 0o644, []byte(mixed(size)))))
	for name, o := range map[string]SegmentOptions{"level 6": {Level: 6}, "level 8": {Level: 8}, "level 9": {Level: 9}} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				testkit.Must(b, WriteSegment(io.Discard, tree, o))
			}
		})
	}
}
