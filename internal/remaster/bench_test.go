package remaster

import (
	"path/filepath"
	"testing"

	"mkbuild/internal/config"
)

// BenchmarkStage resolves, reads and places everything, with a warm cache.
func BenchmarkStage(b *testing.B) {
	p := plan(b, pristine)
	builder, _ := builder(b, b.TempDir())
	for b.Loop() {
		s, err := builder.Stage(b.Context(), p)
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

// BenchmarkWriteISO compresses and writes an image whose additions are a few megabytes.
func BenchmarkWriteISO(b *testing.B) {
	dir := mirror(b)
	bulky(b, dir)
	for _, layout := range []string{"append", "merged"} {
		b.Run(layout, func(b *testing.B) {
			builder, s, _ := staged(b, plan(b, dir, func(c *config.Config) { c.Initrd.Layout = layout }))
			name := filepath.Join(b.TempDir(), "x.iso")
			b.ReportAllocs()
			for b.Loop() {
				if err := builder.WriteISO(b.Context(), s, name); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
