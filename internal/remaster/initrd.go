package remaster

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"golang.org/x/sync/errgroup"

	"mkbuild/internal/initrd"
	"mkbuild/internal/store"
	"mkbuild/internal/wholefile"
)

// Initrd is the finished initrd of an image. Its size and digest go into other files before its bytes are
// written. The bytes stay in the source image, the store and temporary files until an output joins them. It is
// valid until [Initrd.Close].
type Initrd struct {
	// Segments are its parts, in order, without gaps. Each has its digest, and a size that is a multiple of four.
	Segments initrd.Segments
	// Size is the length in bytes, SHA256 the hex digest.
	Size   int64
	SHA256 string

	base    string            // the source image, which names the first segment until it was read
	sums    map[string]string // known digests of files' contents, by path
	closers []io.Closer
}

// Open reads the initrd from its beginning. Each call returns a new reader.
func (i *Initrd) Open() (io.ReadCloser, error) { return i.Segments.Open() }

// Close releases the temporary files.
func (i *Initrd) Close() error {
	var errs []error
	for _, c := range i.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

func (i *Initrd) add(s *segment) {
	i.Segments = append(i.Segments, s.bytes)
	i.Size += s.bytes.Size
	maps.Copy(i.sums, s.files)
	if s.close != nil {
		i.closers = append(i.closers, s.close)
	}
}

// makeInitrd makes the initrd: the base's bytes and one segment for each input, or one merged archive. The caller
// closes it.
func makeInitrd(ctx context.Context, st *store.Store, s *Staged) (*Initrd, error) {
	rd := &Initrd{base: "iso " + s.baseSum + " " + s.base.LastInitrd(), sums: map[string]string{}}
	for _, e := range s.baseTree.Entries() {
		if sum, known := strings.CutPrefix(e.ID, idPrefix); known {
			rd.sums[e.Path] = sum
		}
	}
	c := s.Plan.Config.Initrd
	o := initrd.SegmentOptions{Level: c.Level, ModTime: s.Epoch}
	segments, err := makeSegments(ctx, st, s, o, c.Layout == "append")
	for _, seg := range segments {
		if seg != nil {
			rd.add(seg)
		}
	}
	if err == nil {
		err = rd.sumUp(ctx, st)
	}
	if err != nil {
		rd.Close() //nolint:errcheck,gosec // nothing of it is needed
		return nil, fmt.Errorf("make initrd: %w", err)
	}
	return rd, nil
}

// together is the number of segments made at once. Each has one goroutine that unpacks contents, and one per core
// that compresses: two segments keep the cores busy, and more would cost memory.
const together = 2

// makeSegments makes the segments of an image in their order; empty ones are nil. On an error it returns the
// segments to close. Entries without a time get the image's. In kept segments they get the base's: otherwise a
// nightly with another time would change all of them.
func makeSegments(ctx context.Context, st *store.Store, s *Staged, o initrd.SegmentOptions, appended bool) ([]*segment, error) {
	if !appended {
		all, err := freshSegment(ctx, "merged", s.layers.Merged(), o)
		return []*segment{all}, err
	}
	names := s.segments.all()
	out := make([]*segment, 1+len(names))
	out[0] = baseSegment(s)
	kept := o
	if t := s.base.ISO.Modified; t > 0 {
		kept.ModTime = t
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(together)
	if st.Shared != nil {
		g.SetLimit(2 * together)
	}
	for i, name := range names {
		g.Go(func() (err error) {
			t := s.tree(name)
			switch {
			case t == nil:
			case name == ownSegment || s.segments.fresh[name]:
				out[i+1], err = freshSegment(ctx, name, t, o)
			default:
				out[i+1], err = keptSegment(ctx, st, name, t, kept)
			}
			return err
		})
	}
	return out, g.Wait()
}

// baseSegment is the base's unchanged initrd.
func baseSegment(s *Staged) *segment {
	all := s.base.Segments()
	last := all[len(all)-1]
	return &segment{bytes: initrd.Segment{Name: s.base.Name, Size: last.Size, Open: last.Open}}
}

// initrdSums are the digests of an initrd, and of its base segment, which is unknown until it was read.
type initrdSums struct {
	All  string            `json:"all"`
	Base map[string]string `json:"base"`
}

// sumUp computes the digest of the whole. The store keeps it under the digests of the segments, so that it need
// not be computed again.
func (i *Initrd) sumUp(ctx context.Context, st *store.Store) error {
	var sums initrdSums
	_, err := st.Derive(ctx, "sum", i.key(), &sums, func(io.Writer) error {
		made, err := i.read(ctx)
		if err == nil {
			sums = *made
		}
		return err
	})
	if err != nil {
		return err
	}
	for n := range i.Segments {
		i.Segments[n].SHA256 = cmp.Or(i.Segments[n].SHA256, sums.Base[i.Segments[n].Name])
	}
	i.SHA256 = sums.All
	return nil
}

// key names everything that decides the bytes of the initrd.
func (i *Initrd) key() string {
	sum := sha256.New()
	for _, s := range i.Segments {
		fmt.Fprintf(sum, "%s %d %q\n", cmp.Or(s.SHA256, i.base), s.Size, s.Name)
	}
	return "mkbuild.sum/v1 segments " + hex.EncodeToString(sum.Sum(nil))
}

// read computes the digests of all segments.
func (i *Initrd) read(ctx context.Context) (*initrdSums, error) {
	all, out := sha256.New(), &initrdSums{Base: map[string]string{}}
	for _, s := range i.Segments {
		own := sha256.New()
		n, err := copySegment(wholefile.Interruptible(ctx, io.MultiWriter(all, own)), s)
		if err != nil {
			return nil, err
		}
		if n != s.Size {
			return nil, fmt.Errorf("read %s: got %d bytes, want %d", s.Name, n, s.Size)
		}
		if s.SHA256 == "" {
			out.Base[s.Name] = hex.EncodeToString(own.Sum(nil))
		}
	}
	out.All = hex.EncodeToString(all.Sum(nil))
	return out, nil
}

func copySegment(w io.Writer, s initrd.Segment) (int64, error) {
	r, err := s.Open()
	if err != nil {
		return 0, err
	}
	defer r.Close() //nolint:errcheck // only read
	return io.Copy(w, r)
}
