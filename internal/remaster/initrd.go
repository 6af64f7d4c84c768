package remaster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"golang.org/x/sync/errgroup"

	"mkbuild/internal/initrd"
	"mkbuild/internal/manifest"
	"mkbuild/internal/overlay"
)

// Initrd is the finished initrd of an image. Its size and digest stand in other files before its
// bytes do. These stay where they are, in the source image, the cache and temporary files, and are
// never put together anywhere but in the outputs: it is kept until [Initrd.Close].
type Initrd struct {
	// Size is the length in bytes, SHA256 the hex digest of all of them.
	Size   int64
	SHA256 string
	// Segments are the archives that it is put together of, in order, without gaps.
	Segments []Segment
	parts    []*part
	// sums are the digests of files' contents that were worked out on the way, by path.
	sums map[string]string
	// files describes the booted system.
	files []manifest.File
}

// Segment is a part of an initrd that the kernel unpacks by itself.
type Segment struct {
	// Name says what is in it: the source image, or the input.
	Name string
	// Offset and Size are in bytes; a multiple of four each.
	Offset, Size int64
	// SHA256 is the hex digest of its bytes.
	SHA256 string
}

// part is a segment and where its bytes are.
type part struct {
	Segment
	open  func() (io.ReadCloser, error)
	close io.Closer
	files map[string]string // digests of the regular files in it
}

// Open reads the initrd from its beginning. It can be called more than once.
func (i *Initrd) Open() (io.ReadCloser, error) {
	var all initrd.Segments
	for _, p := range i.parts {
		all = append(all, initrd.Segment{Size: p.Size, Open: p.open})
	}
	return all.Open()
}

// Close gives up the space that the initrd takes.
func (i *Initrd) Close() error {
	var errs []error
	for _, p := range i.parts {
		if p != nil && p.close != nil {
			errs = append(errs, p.close.Close())
		}
	}
	return errors.Join(errs...)
}

// WriteInitrd makes the initrd: the base's own bytes and one segment for each input, or one merged
// archive. The caller closes it.
func (b *Builder) WriteInitrd(ctx context.Context, s *Staged) (_ *Initrd, err error) {
	defer b.step("initrd")()
	rd := &Initrd{}
	defer func() {
		if err != nil {
			rd.Close() //nolint:errcheck,gosec // nothing of it is needed
			err = fmt.Errorf("make initrd: %w", err)
		}
	}()
	c := s.Plan.Config.Initrd
	o := initrd.SegmentOptions{Level: c.Level, ModTime: s.Epoch}
	if c.Layout == "append" {
		err = b.appended(ctx, s, rd, o)
	} else {
		rd.parts = make([]*part, 1)
		rd.parts[0], err = freshSegment(ctx, "merged", s.layers.Merged(), o)
	}
	if err != nil {
		return nil, err
	}
	rd.collect(s.baseTree)
	var g errgroup.Group // neither needs the other
	g.Go(func() error { return b.sumUp(ctx, s, rd) })
	g.Go(func() (err error) {
		rd.files, err = s.fileRecords(ctx, rd.sums)
		return err
	})
	return rd, g.Wait()
}

// collect gathers the digests of files that are known: those of the base, and over them those that
// the segments bring.
func (i *Initrd) collect(base *overlay.Tree) {
	i.sums = map[string]string{}
	for _, e := range base.Entries() {
		if sum, known := strings.CutPrefix(e.ID, idPrefix); known {
			i.sums[e.Path] = sum
		}
	}
	for _, p := range i.parts {
		maps.Copy(i.sums, p.files)
	}
}

// together is how many segments are made at once. Contents are unpacked by one goroutine for each,
// and compressed by as many as there are cores: two keep them busy, and more would cost memory.
const together = 2

// appended collects the base and the segments, several at once: the cores have something to do
// with many small inputs, too.
func (b *Builder) appended(ctx context.Context, s *Staged, rd *Initrd, o initrd.SegmentOptions) error {
	names := s.segments.all()
	parts := make([]*part, 1+len(names))
	parts[0] = s.basePart()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(together)
	for i, name := range names {
		g.Go(func() (err error) {
			t := s.tree(name)
			switch {
			case t == nil:
			case name == ownSegment || s.segments.fresh[name]:
				parts[i+1], err = freshSegment(ctx, name, t, o)
			default:
				parts[i+1], err = b.keptSegment(ctx, name, t, o)
			}
			return err
		})
	}
	err := g.Wait()
	for _, p := range parts {
		if p != nil {
			rd.parts = append(rd.parts, p)
		}
	}
	return err
}

// basePart is the base's initrd byte for byte, with NULs up to a multiple of 4: the kernel skips
// them, and looks for the next segment there (init/initramfs.c).
func (s *Staged) basePart() *part {
	all := s.base.Segments()
	last := all[len(all)-1]
	return &part{Segment: Segment{Name: s.base.Name, Size: last.Size}, open: last.Open}
}

func (p *part) copyTo(w io.Writer) (int64, error) {
	r, err := p.open()
	if err != nil {
		return 0, err
	}
	defer r.Close() //nolint:errcheck // only read
	return io.Copy(w, r)
}
