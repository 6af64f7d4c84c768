package remaster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"mkbuild/internal/remaster/initrd"
	"mkbuild/internal/wholefile"
)

// Initrd is the finished initrd of an image. Its size and digest stand in other files before its
// bytes do, so it is kept until [Initrd.Close].
type Initrd struct {
	// Size is the length in bytes, SHA256 the hex digest of all of them.
	Size   int64
	SHA256 string
	// Segments are the archives that it is put together of, in order, without gaps.
	Segments []Segment
	// sums are the digests of files' contents that were worked out on the way, by path.
	sums map[string]string
	file *wholefile.Temp
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

// Open reads the initrd from its beginning. It can be called more than once.
func (i *Initrd) Open() (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(i.file, 0, i.Size)), nil
}

// Close gives up the space that the initrd takes.
func (i *Initrd) Close() error { return i.file.Close() }

// WriteInitrd makes the initrd: the base's own bytes and a segment with everything added, or one
// merged archive. The caller closes it.
func (b *Builder) WriteInitrd(ctx context.Context, s *Staged) (_ *Initrd, err error) {
	defer b.step("initrd")()
	f, err := wholefile.NewTempIn("")
	if err != nil {
		return nil, fmt.Errorf("make initrd: %w", err)
	}
	rd := &Initrd{file: f}
	defer func() {
		if err != nil {
			f.Close() //nolint:errcheck,gosec // nothing of it is needed
		}
	}()
	all := sha256.New()
	w := io.MultiWriter(interruptible{ctx, f}, all)
	tree, name := s.layers.Merged, "merged"
	if s.Plan.Config.Initrd.Layout == "append" {
		if err := rd.add(w, s.base.name, s.copyBase); err != nil {
			return nil, err
		}
		tree, name = s.layers.Added, "added"
	}
	opts := initrd.SegmentOptions{Level: s.Plan.Config.Initrd.Level, ModTime: s.Epoch}
	if err := rd.add(w, name, func(w io.Writer) error { return initrd.WriteSegment(w, tree(), opts) }); err != nil {
		return nil, err
	}
	rd.SHA256 = hex.EncodeToString(all.Sum(nil))
	return rd, nil
}

// add writes one more segment.
func (i *Initrd) add(w io.Writer, name string, write func(io.Writer) error) error {
	sum := sha256.New()
	c := &counter{w: io.MultiWriter(w, sum)}
	if err := write(c); err != nil {
		return fmt.Errorf("make initrd: %w", err)
	}
	i.Segments = append(i.Segments, Segment{name, i.Size, c.n, hex.EncodeToString(sum.Sum(nil))})
	i.Size += c.n
	return nil
}

// copyBase writes the base's initrd byte for byte, then NULs up to a multiple of 4: the kernel
// skips them, and looks for the next segment there (init/initramfs.c).
func (s *Staged) copyBase(w io.Writer) error {
	r, err := s.base.open(s.base.initrd())
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // only read
	n, err := io.Copy(w, r)
	if err != nil {
		return err
	}
	_, err = w.Write(make([]byte, -n&3))
	return err
}
