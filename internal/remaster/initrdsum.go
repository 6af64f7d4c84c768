package remaster

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"mkbuild/internal/wholefile"
)

// initrdSums are the digests of an initrd, and of those of its segments that nobody knew before it was
// read: the base.
type initrdSums struct {
	All  string            `json:"all"`
	Base map[string]string `json:"base"`
}

// sumUp works out where each segment begins, and the digest of the whole. That one follows from the
// digests of the segments, and so is kept: nothing has to be read again for it.
func (b *Builder) sumUp(ctx context.Context, s *Staged, rd *Initrd) error {
	var sums initrdSums
	_, err := b.Inputs.Fetch.Store.Derive(ctx, "sum", rd.key(s), &sums, func(io.Writer) error {
		made, err := rd.sum(ctx)
		if err == nil {
			sums = *made
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, p := range rd.parts {
		p.Offset, p.SHA256 = rd.Size, cmp.Or(p.SHA256, sums.Base[p.Name])
		rd.Size += p.Size
		rd.Segments = append(rd.Segments, p.Segment)
	}
	rd.SHA256 = sums.All
	return nil
}

// key names everything that decides the bytes of the initrd.
func (i *Initrd) key(s *Staged) string {
	sum := sha256.New()
	for _, p := range i.parts {
		fmt.Fprintf(sum, "%s %d %q\n", cmp.Or(p.SHA256, "iso "+s.baseSum+" "+s.base.LastInitrd()), p.Size, p.Name)
	}
	return "mkbuild.sum/v1 segments " + hex.EncodeToString(sum.Sum(nil))
}

// sum reads all segments for their digests.
func (i *Initrd) sum(ctx context.Context) (*initrdSums, error) {
	all, out := sha256.New(), &initrdSums{Base: map[string]string{}}
	for _, p := range i.parts {
		own := sha256.New()
		var w io.Writer = all
		if p.SHA256 == "" {
			w = io.MultiWriter(all, own)
		}
		n, err := p.copyTo(wholefile.Interruptible(ctx, w))
		if err != nil {
			return nil, err
		}
		if n != p.Size {
			return nil, fmt.Errorf("read %s: got %d bytes, want %d", p.Name, n, p.Size)
		}
		if p.SHA256 == "" {
			out.Base[p.Name] = hex.EncodeToString(own.Sum(nil))
		}
	}
	out.All = hex.EncodeToString(all.Sum(nil))
	return out, nil
}
