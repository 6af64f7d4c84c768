package inspect

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"mkbuild/internal/fail"
)

// RebuildSchema is the version of a rebuild's JSON.
const RebuildSchema = "mkbuild.rebuild/v1"

// ErrNoManifest is returned for an image without a manifest of its inputs.
var ErrNoManifest = fail.New(fail.Verification, "it has no manifest of its inputs", "")

// Rebuild is the result of building an image again.
type Rebuild struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	// Same says that the bytes are the same.
	Same bool `json:"same"`
	// SHA256 and Rebuilt are the digests of the image and of its rebuild.
	SHA256  string `json:"sha256"`
	Rebuilt string `json:"rebuilt"`
	// Offset is the first differing byte, First the first difference of their contents, if any, and Changes the
	// number of differences.
	Offset  *int64  `json:"offset,omitempty"`
	First   *Change `json:"first,omitempty"`
	Changes int     `json:"changes,omitempty"`
}

// CompareRebuilt compares a with its rebuild b, byte for byte.
func CompareRebuilt(a, b *Image) (*Rebuild, error) {
	r := &Rebuild{Schema: RebuildSchema, Name: a.Name, Same: a.SHA256 == b.SHA256, SHA256: a.SHA256, Rebuilt: b.SHA256}
	if r.Same {
		return r, nil
	}
	offset, err := firstDifference(a.whole(), b.whole())
	if err != nil {
		return nil, fmt.Errorf("compare %s with its rebuild: %w", a.Name, err)
	}
	d, err := Compare(a, b)
	if err != nil {
		return nil, err
	}
	r.Offset, r.Changes = &offset, len(d.Changes)
	if r.Changes > 0 {
		r.First = &d.Changes[0]
	}
	return r, nil
}

// firstDifference returns the offset of the first byte that differs; the end of the shorter input
// is one.
func firstDifference(a, b io.Reader) (int64, error) {
	x, y := bufio.NewReader(a), bufio.NewReader(b)
	for at := int64(0); ; at++ {
		c, errA := x.ReadByte()
		d, errB := y.ReadByte()
		if c == d && errA == nil && errB == nil {
			continue
		}
		for _, err := range []error{errA, errB} {
			if err != nil && !errors.Is(err, io.EOF) {
				return at, err
			}
		}
		return at, nil
	}
}

// Print writes the result as text.
func (r *Rebuild) Print(w io.Writer) error {
	p := &page{w: w}
	if r.Same {
		p.line("%s: the rebuild has the same bytes: sha256 %s", r.Name, r.SHA256)
		return p.err
	}
	p.line("%s: the rebuild has other bytes: sha256 %s, the image has %s", r.Name, r.Rebuilt, r.SHA256)
	p.line("the first different byte is at offset %d", *r.Offset)
	if r.First == nil {
		p.line("both hold the same: only the packing differs")
		return p.err
	}
	p.line("the first of %d differences from the image to its rebuild:", r.Changes)
	p.line("- %s", r.First.line())
	return p.err
}

// Err is nil if the bytes are the same.
func (r *Rebuild) Err() error {
	if r.Same {
		return nil
	}
	return fail.New(fail.Verification, "verify "+r.Name+": the rebuild is another image",
		"if it was customized, mkbuild customize IMAGE -o OUT --reset restores the image as built; otherwise check whether another mkbuild or another configuration (--config) built it, and run mkbuild verify without --rebuild")
}
