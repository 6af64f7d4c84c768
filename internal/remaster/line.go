package remaster

import (
	"fmt"
	"io"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/initrd"
	"mkbuild/internal/ui"
)

// sayFollowed tells, once and before anything is fetched, which defaults the release has replaced.
func (p *Plan) sayFollowed(sink ui.Sink) {
	if len(p.Followed) > 0 {
		sink.Event(ui.Event{Level: ui.Info, Step: "plan", Item: p.Config.Release, Text: "for " + p.Series.Name() + ", where you chose nothing else: " + strings.Join(p.Followed, "; ") + " (see `mkbuild releases`)"})
	}
}

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
