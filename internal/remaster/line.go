package remaster

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/initrd"
	"mkbuild/internal/tcz"
	"mkbuild/internal/ui"
)

// sayLine tells, once and before anything is fetched, what the plan assumes of the release and which
// defaults it has taken over. For the release that the defaults are made for there is nothing to tell.
func (p *Plan) sayLine(sink ui.Sink) {
	var parts []string
	if doubts := p.Line.Doubts(); doubts != "" {
		parts = append(parts, doubts)
	}
	if len(p.Followed) > 0 {
		parts = append(parts, "where you chose nothing else: "+strings.Join(p.Followed, "; "))
	}
	if len(parts) == 0 {
		return
	}
	level := ui.Info
	if !p.Line.Known {
		level = ui.Warning
	}
	sink.Event(ui.Event{Level: level, Step: "plan", Item: p.Config.Release, Text: strings.Join(parts, "; ") + " (see `mkbuild releases`)"})
}

// guessed returns the name of the line when a file is an extension of its default set that the table
// assumes, and the set was not chosen by anybody.
func (p *Plan) guessed(file string) string {
	name := tcz.Base(file)
	if !slices.Equal(p.Config.Extensions, p.Line.Extensions) || !slices.Contains(p.Line.Extensions, name) || !p.Line.AssumesExtension(name) {
		return ""
	}
	return p.Line.Name()
}

// checkLine holds the ISO against the table. The ISO is right where the two differ: what is in the
// table only said where to look. An initrd that its kernel is known to panic over is refused, as
// long as its bytes would be kept.
func (s *stage) checkLine() error {
	line := &s.Plan.Line
	if !line.Known {
		return nil
	}
	if !line.HasKernel(s.base.uname) {
		s.Sink.Event(ui.Event{Level: ui.Info, Step: "base", Item: s.Plan.ISO, Text: fmt.Sprintf(
			"its kernel is %s; mkbuild's table has %s for %s: the ISO counts", s.base.uname, strings.Join(line.Kernels, ", "), line.Name())})
		return nil
	}
	if s.Plan.Config.Initrd.Layout == "merged" {
		return nil
	}
	return s.base.checkCompressor(line)
}

func (b *base) checkCompressor(line *tcz.Line) error {
	for _, name := range b.initrds {
		r, err := b.open(name)
		if err != nil {
			return err
		}
		start := make([]byte, 8)
		n, _ := io.ReadFull(r, start) // a shorter one has no compressor, and has been read before
		r.Close()                     //nolint:errcheck,gosec // only read
		if c := initrd.Compressor(start[:n]); c != "" && line.Refuses(c) {
			return &config.Error{
				Where: "initrd.layout",
				What:  fmt.Sprintf("%s in %s is packed with %s, which the kernel %s cannot unpack: it would panic", name, b.name, c, b.uname),
				Next:  "use the layout merged, which packs it anew with gzip",
			}
		}
	}
	return nil
}
