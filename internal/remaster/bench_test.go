package remaster

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/initrd"
	"mkbuild/internal/overlay"
	"mkbuild/internal/store"
)

// BenchmarkStage resolves, reads and places everything, with a warm cache.
func BenchmarkStage(b *testing.B) {
	p := plan(b, pristine)
	builder, _ := builder(b, b.TempDir())
	for b.Loop() {
		if _, err := builder.Stage(b.Context(), p); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWriteISO writes an image with a few megabytes of additions: with all segments kept, with none, and as
// one archive.
func BenchmarkWriteISO(b *testing.B) {
	dir := tinymirror.New(b)
	bulky(b, dir)
	for _, tc := range []struct {
		name, layout string
		kept         bool
	}{{"kept", "append", true}, {"cold", "append", false}, {"merged", "merged", true}} {
		b.Run(tc.name, func(b *testing.B) {
			builder, s, _ := staged(b, plan(b, dir, func(c *config.Config) { c.Initrd.Layout = tc.layout }))
			name := filepath.Join(b.TempDir(), "x.iso")
			b.ReportAllocs()
			for b.Loop() {
				if !tc.kept {
					builder.Inputs.Fetch.Store = &store.Store{Dir: b.TempDir()}
				}
				testkit.Must(b, builder.WriteISO(b.Context(), s, name))
			}
		})
	}
}

// BenchmarkBaseTree compares unpacking a base's initrd with reading its kept tree.
func BenchmarkBaseTree(b *testing.B) {
	_, s, _ := staged(b, plan(b, pristine))
	b.Run("unpack", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.base.Tree(); err != nil {
				b.Fatal(err)
			}
		}
	})
	var file bytes.Buffer
	kept, err := keepTree(&file, s.baseTree)
	testkit.Must(b, err)
	b.Run("kept", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := openTree(bytes.NewReader(file.Bytes()), int64(file.Len()), kept, "x"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkSegmentKey measures a warm build's cost of a segment of 2,000 files.
func BenchmarkSegmentKey(b *testing.B) {
	tree := &overlay.Tree{}
	for i := range 2000 {
		e := overlay.File(fmt.Sprintf("usr/local/lib/%d/%d", i%40, i), 0o644, []byte("x"))
		e.ID = "input/" + e.Path
		testkit.Must(b, tree.Put(e))
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := segmentKey(tree, initrd.SegmentOptions{Level: 8}); err != nil {
			b.Fatal(err)
		}
	}
}
