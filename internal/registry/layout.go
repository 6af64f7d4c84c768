package registry

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/overlay"
	"mkbuild/internal/wholefile"
)

// layoutSchema is the version of [layout]. Other versions are refused.
const layoutSchema = "mkbuild.layout/v2"

// layout describes a medium as a sequence of blobs. One compressed blob, the rest, has all bytes that are in no
// other blob, in order.
type layout struct {
	Schema string       `json:"schema"`
	Form   string       `json:"form"` // "iso" or "pxe"
	Files  []layoutFile `json:"files"`
}

// layoutFile is an ISO, which has no path, or a file of a folder. The digests of the blobs verify its content.
type layoutFile struct {
	Path   string  `json:"path,omitempty"`
	Size   int64   `json:"size"`
	Pieces []piece `json:"pieces"`
}

// piece is a part of a file: a whole blob by its digest, or the next bytes of the rest.
type piece struct {
	Blob string `json:"blob,omitempty"`
	Rest int64  `json:"rest,omitempty"`
}

// Limits of a layout.
const (
	maxLayout = 16 << 20 // its text
	maxPieces = 100_000
	maxFiles  = 1000
	maxMedium = 4 << 30
)

// part is a section of a file that becomes a blob.
type part struct {
	offset, size int64
	title, kind  string
	sha256       string // the manifest's, or ""
}

// maxGap is the largest gap between two parts that goes into the rest; a larger gap is its own blob.
const maxGap = 8 << 20

// cutter cuts the files of a medium into blobs and the rest.
type cutter struct {
	*parcel
	layers []ocispec.Descriptor
	rest   bytes.Buffer
	layout layout
}

// cut adds a file as parts and the gaps between them. Parts that overlap an earlier one are left out.
func (c *cutter) cut(ctx context.Context, name string, r io.ReaderAt, size int64, parts []part) error {
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.offset, b.offset) })
	f, at := layoutFile{Path: name, Size: size}, int64(0)
	for _, p := range append(parts, part{offset: size}) {
		if p.offset < at || p.offset+p.size > size {
			continue
		}
		for _, p := range []part{{offset: at, size: p.offset - at}, p} {
			if err := c.add(ctx, &f, r, p); err != nil {
				return err
			}
		}
		at = p.offset + p.size
	}
	c.layout.Files = append(c.layout.Files, f)
	return nil
}

// add adds bytes of a file as a blob, or to the rest.
func (c *cutter) add(ctx context.Context, f *layoutFile, r io.ReaderAt, p part) error {
	open := func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(r, p.offset, p.size)), nil }
	if p.size == 0 {
		return nil
	}
	if p.kind == "" && p.size <= maxGap {
		f.Pieces = append(f.Pieces, piece{Rest: p.size})
		_, err := io.CopyN(&c.rest, io.NewSectionReader(r, p.offset, p.size), p.size)
		return err
	}
	d, err := c.file(ctx, cmp.Or(p.kind, typeFile), p.title, open)
	if err != nil || d.Size != p.size {
		return cmp.Or(err, io.ErrUnexpectedEOF)
	}
	sum := d.Digest.Encoded()
	if p.sha256 != "" && p.sha256 != sum {
		return fail.New(fail.Verification, fmt.Sprintf("%s differs from the image's manifest", p.title), "`mkbuild verify` shows what is wrong with the image")
	}
	if !slices.ContainsFunc(c.layers, func(l ocispec.Descriptor) bool { return l.Digest == d.Digest }) {
		c.layers = append(c.layers, d)
	}
	f.Pieces = append(f.Pieces, piece{Blob: sum})
	return nil
}

// finish returns all layers, first the layout and the rest.
func (c *cutter) finish() []ocispec.Descriptor {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err == nil {
		_, err = z.Write(c.rest.Bytes())
		err = errors.Join(err, z.Close())
	}
	c.err = cmp.Or(c.err, err)
	return append([]ocispec.Descriptor{c.json(typeLayout, "layout.json", c.layout), c.text(typeRest, "rest.gz", packed.Bytes())}, c.layers...)
}

// parseLayout reads an untrusted layout. sizes has the known blobs, by digest.
func parseLayout(text []byte, sizes map[string]int64) (*layout, error) {
	var l layout
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return nil, err
	}
	if l.Schema != layoutSchema {
		return nil, fmt.Errorf("its schema is %.64q; this mkbuild reads %q", l.Schema, layoutSchema)
	}
	if isISO := l.Form == "iso"; !isISO && l.Form != "pxe" || isISO && len(l.Files) != 1 || len(l.Files) == 0 || len(l.Files) > maxFiles {
		return nil, fmt.Errorf("form %.20q with %d files", l.Form, len(l.Files))
	}
	seen, all, pieces := map[string]bool{"": l.Form != "iso", ".": true}, int64(0), 0
	for _, f := range l.Files {
		clean, err := overlay.CleanPath(f.Path)
		if f.Path != "" && (err != nil || clean != f.Path || !filepath.IsLocal(filepath.FromSlash(clean))) || seen[f.Path] {
			return nil, fmt.Errorf("the path %.200q", f.Path)
		}
		seen[f.Path] = true
		all, pieces = all+f.Size, pieces+len(f.Pieces)
		if !f.whole(sizes) || all > maxMedium || pieces > maxPieces {
			return nil, fmt.Errorf("%.200q: the pieces do not fill the file", f.Path)
		}
	}
	return &l, nil
}

// whole reports whether the pieces are of this image, and fill the file.
func (f *layoutFile) whole(blobs map[string]int64) bool {
	size := int64(0)
	for _, p := range f.Pieces {
		n, known := blobs[p.Blob]
		size += n + p.Rest
		if known == (p.Rest != 0) || min(n, p.Rest) < 0 || max(n, p.Rest, size) > maxMedium {
			return false
		}
	}
	return size == f.Size
}

// write writes a file under a name. rest is the unread part of the rest.
func (f *layoutFile) write(ctx context.Context, name string, blobs map[string]*fetch.Blob, rest io.Reader) error {
	out, err := os.Create(name) //nolint:gosec // in a folder of its own
	if err != nil {
		return err
	}
	w := wholefile.Interruptible(ctx, out)
	for _, p := range f.Pieces {
		if p.Rest > 0 {
			_, err = io.CopyN(w, rest, p.Rest)
		} else {
			_, err = io.Copy(w, blobs[p.Blob].Reader())
		}
		if err != nil {
			break
		}
	}
	return errors.Join(err, out.Close())
}
