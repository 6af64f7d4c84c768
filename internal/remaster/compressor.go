package remaster

import (
	"fmt"
	"io"

	"mkbuild/internal/config"
	"mkbuild/internal/initrd"
)

// checkCompressor refuses an initrd that its kernel is known to panic over, if its bytes would be kept.
func (s *stage) checkCompressor() error {
	if s.Plan.Config.Initrd.Layout == "merged" {
		return nil
	}
	for _, name := range s.base.Initrds {
		r, err := s.base.Open(name)
		if err != nil {
			return err
		}
		start := make([]byte, 8)
		n, _ := io.ReadFull(r, start) // a shorter one has no compressor, and has been read before
		r.Close()                     //nolint:errcheck,gosec // only read
		if c := initrd.Compressor(start[:n]); c != "" && s.Plan.Series.PanicsOver(c, s.Kernel) {
			return config.Mistake("initrd.layout", fmt.Sprintf("%s in %s is packed with %s, which the kernel %s cannot unpack: it would panic", name, s.base.Name, c, s.Kernel), "use the layout merged, which packs it anew with gzip")
		}
	}
	return nil
}
