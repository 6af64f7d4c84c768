package registry

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"mkbuild/internal/fail"
	"mkbuild/internal/overlay"
)

// layoutSchema is the version of [layout]. Another one is refused.
const layoutSchema = "mkbuild.layout/v1"

// layout says how a medium is put together of blobs. All that is content of no blob of its own lies in one
// blob, the rest, one piece behind the other.
type layout struct {
	Schema string       `json:"schema"`
	Form   string       `json:"form"` // "iso" or "pxe"
	Files  []layoutFile `json:"files"`
}

// layoutFile is an ISO, which has no path, or a file of a folder.
type layoutFile struct {
	Path   string  `json:"path,omitempty"`
	Size   int64   `json:"size"`
	SHA256 string  `json:"sha256"`
	Pieces []piece `json:"pieces"`
}

// piece is a part of a file: a whole blob by its digest, the next bytes of the rest, or zeros.
type piece struct {
	Blob  string `json:"blob,omitempty"`
	Rest  int64  `json:"rest,omitempty"`
	Zeros int64  `json:"zeros,omitempty"`
}

// Bounds of what a layout may describe.
const (
	maxLayout = 16 << 20 // its text
	maxPieces = 100_000
	maxFiles  = 1000
	maxMedium = 16 << 30
)

// part is a place of a file that becomes a blob.
type part struct {
	offset, size int64
	title, kind  string // see [blob]
	sha256       string // what the manifest says, "" for nothing
}

// zeroRun is what is looked at when zeros are left out: a sector.
const zeroRun = 2048

// maxGap is the most that goes into the rest from between two parts; more is a blob of its own.
const maxGap = 1 << 20

// cutter cuts the files of a medium into blobs and the rest.
type cutter struct {
	ctx    context.Context
	blobs  []*blob
	known  map[string]bool
	rest   bytes.Buffer
	layout layout
}

// cut adds a file, which becomes the parts and what lies between them. Parts that overlap an earlier one are
// left out.
func (c *cutter) cut(path string, r io.ReaderAt, size int64, parts []part) error {
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.offset, b.offset) })
	f, sum, at := layoutFile{Path: path, Size: size}, sha256.New(), int64(0)
	for _, p := range append(parts, part{offset: size}) {
		if p.offset < at || p.offset+p.size > size {
			continue
		}
		if gap := p.offset - at; gap > maxGap {
			pieces, err := c.add(r, sum, part{offset: at, size: gap, kind: typeFile})
			if err != nil {
				return err
			}
			f.Pieces = append(f.Pieces, pieces)
		} else {
			text := make([]byte, gap)
			if _, err := r.ReadAt(text, at); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			sum.Write(text)
			f.Pieces = append(f.Pieces, c.between(text)...)
		}
		if p.size > 0 {
			made, err := c.add(r, sum, p)
			if err != nil {
				return err
			}
			f.Pieces = append(f.Pieces, made)
		}
		at = p.offset + p.size
	}
	f.SHA256 = hex.EncodeToString(sum.Sum(nil))
	c.layout.Files = append(c.layout.Files, f)
	return c.ctx.Err()
}

// add makes a blob of a part.
func (c *cutter) add(r io.ReaderAt, whole io.Writer, p part) (piece, error) {
	own := sha256.New()
	in := io.NewSectionReader(r, p.offset, p.size)
	if n, err := io.Copy(io.MultiWriter(own, whole), &stoppable{c.ctx, in}); err != nil || n != p.size {
		return piece{}, cmp.Or(err, io.ErrUnexpectedEOF)
	}
	sum := hex.EncodeToString(own.Sum(nil))
	if p.sha256 != "" && p.sha256 != sum {
		return piece{}, fail.New(fail.Verification, fmt.Sprintf("%s is not what the image's manifest says", p.title), "`mkbuild verify` shows what is wrong with the image")
	}
	if !c.known[sum] {
		c.known[sum] = true
		open := func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(r, p.offset, p.size)), nil }
		c.blobs = append(c.blobs, newBlob(p.kind, "sha256:"+sum, p.size, p.title, open))
	}
	return piece{Blob: sum}, nil
}

// between turns what lies between two parts into pieces of the rest and zeros.
func (c *cutter) between(text []byte) (out []piece) {
	var zeros [zeroRun]byte
	for len(text) > 0 {
		n := min(zeroRun, len(text))
		last := piece{}
		if len(out) > 0 {
			last = out[len(out)-1]
		}
		empty := bytes.Equal(text[:n], zeros[:n])
		switch {
		case empty && last.Zeros > 0:
			out[len(out)-1].Zeros += int64(n)
		case empty:
			out = append(out, piece{Zeros: int64(n)})
		case last.Rest > 0:
			out[len(out)-1].Rest += int64(n)
		default:
			out = append(out, piece{Rest: int64(n)})
		}
		if !empty {
			c.rest.Write(text[:n])
		}
		text = text[n:]
	}
	return out
}

// stoppable is a reader that fails once ctx is done.
type stoppable struct {
	ctx context.Context
	io.Reader
}

// Read reads.
func (s *stoppable) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Reader.Read(b)
}

// parseLayout reads a layout from anywhere. Blobs are looked up in sizes, by digest.
func parseLayout(text []byte, sizes map[string]int64, rest int64) (*layout, error) {
	var l layout
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return nil, err
	}
	if l.Schema != layoutSchema {
		return nil, fmt.Errorf("its schema is %.64q, this mkbuild reads %q", l.Schema, layoutSchema)
	}
	if isISO := l.Form == "iso"; !isISO && l.Form != "pxe" || isISO && len(l.Files) != 1 || len(l.Files) == 0 || len(l.Files) > maxFiles {
		return nil, fmt.Errorf("form %.20q with %d files", l.Form, len(l.Files))
	}
	seen, all, pieces := map[string]bool{"": l.Form != "iso"}, int64(0), 0
	for _, f := range l.Files {
		clean, err := overlay.CleanPath(f.Path)
		if f.Path != "" && (err != nil || clean != f.Path) || seen[f.Path] {
			return nil, fmt.Errorf("the path %.200q", f.Path)
		}
		seen[f.Path] = true
		size := int64(0)
		for _, p := range f.Pieces {
			n, err := p.size(sizes)
			if size += n; err != nil || size > maxMedium {
				return nil, fmt.Errorf("%.200q: a piece is not of this image, or too long", f.Path)
			}
			rest -= p.Rest
		}
		all, pieces = all+size, pieces+len(f.Pieces)
		if size != f.Size || all > maxMedium || pieces > maxPieces || rest < 0 {
			return nil, fmt.Errorf("%.200q: the pieces do not make up the file", f.Path)
		}
	}
	return &l, nil
}

func (p piece) size(blobs map[string]int64) (int64, error) {
	n, ok := blobs[p.Blob]
	switch {
	case p.Blob != "" && ok && p.Rest == 0 && p.Zeros == 0:
		return n, nil
	case p.Blob == "" && (p.Rest > 0) != (p.Zeros > 0) && p.Rest >= 0 && p.Zeros >= 0 && p.Rest <= maxMedium && p.Zeros <= maxMedium:
		return p.Rest + p.Zeros, nil
	}
	return 0, errors.New("no piece")
}

// joined are the pieces of a file as one. It implements [io.ReaderAt].
type joined struct {
	starts []int64 // of each part
	parts  []io.ReaderAt
	size   int64
}

func (j *joined) add(r io.ReaderAt, size int64) {
	j.starts, j.parts, j.size = append(j.starts, j.size), append(j.parts, r), j.size+size
}

// ReadAt implements [io.ReaderAt].
func (j *joined) ReadAt(b []byte, off int64) (n int, err error) {
	i, found := slices.BinarySearch(j.starts, off)
	if !found {
		i--
	}
	for ; n < len(b) && i < len(j.parts) && i >= 0; i++ {
		end := j.size
		if i+1 < len(j.starts) {
			end = j.starts[i+1]
		}
		want := min(int64(len(b)-n), end-off)
		if want <= 0 {
			continue
		}
		got, err := j.parts[i].ReadAt(b[n:n+int(want)], off-j.starts[i])
		n, off = n+got, off+int64(got)
		if int64(got) < want {
			return n, cmp.Or(err, io.ErrUnexpectedEOF)
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// nulls reads as zeros without end.
type nulls struct{}

// ReadAt implements [io.ReaderAt].
func (nulls) ReadAt(b []byte, _ int64) (int, error) {
	clear(b)
	return len(b), nil
}

// open puts a file together. rest is what is left of the rest, of which the file takes its part.
func (f *layoutFile) open(blob func(digest string) (io.ReaderAt, int64), rest io.ReaderAt, at *int64) *joined {
	j := &joined{}
	for _, p := range f.Pieces {
		switch {
		case p.Blob != "":
			j.add(blob(p.Blob))
		case p.Rest > 0:
			j.add(io.NewSectionReader(rest, *at, p.Rest), p.Rest)
			*at += p.Rest
		default:
			j.add(nulls{}, p.Zeros)
		}
	}
	return j
}
