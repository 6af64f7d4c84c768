package remaster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"mkbuild/internal/attest"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/wholefile"
)

// sign writes next to each form its signature, and the provenance of all of them.
func sign(ctx context.Context, i *image, outputs []Output) error {
	b := i.b
	defer b.step("sign")()
	st, err := provenance(ctx, i, outputs)
	if err != nil {
		return fmt.Errorf("make provenance: %w", err)
	}
	line, err := attest.Sign(ctx, st, b.Sign)
	if err != nil {
		return err
	}
	for _, o := range outputs {
		f, err := os.Open(o.signed())
		if err != nil {
			return err
		}
		sig, err := b.Sign.Minisign(ctx, f, attest.ImageComment+filepath.Base(o.Path))
		f.Close() //nolint:errcheck,gosec // only read
		if err != nil {
			return err
		}
		for name, text := range map[string][]byte{attest.SignatureName(o.Path): sig, attest.FileName(o.Path): line} {
			if err := wholefile.Write(name, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
				return err
			}
		}
	}
	return nil
}

// signed is the file that is signed for a form: for a folder, the list of its files.
func (o Output) signed() string {
	if o.Form == FormPXE {
		return filepath.Join(o.Path, medium.PXESums)
	}
	return o.Path
}

func provenance(ctx context.Context, i *image, outputs []Output) (*attest.Statement, error) {
	m, err := i.b.About(i.staged)
	if err != nil {
		return nil, err
	}
	var forms []attest.Descriptor
	for _, o := range outputs {
		sum, err := fileSum(ctx, o.signed())
		if err != nil {
			return nil, err
		}
		name := filepath.Base(o.Path)
		if o.Form == FormPXE {
			name += "/" + medium.PXESums
		}
		forms = append(forms, attest.SHA256(name, sum))
	}
	lockSum := ""
	if l := i.b.Inputs.Lock; l != nil && l.File != "" {
		if lockSum, err = fileSum(ctx, l.File); err != nil {
			return nil, err
		}
	}
	parts, err := partsOf(i)
	if err != nil {
		return nil, err
	}
	return attest.Built(m, parts, lockSum, forms)
}

// partsOf are the parts that all forms share, except the overlay, which boots nothing.
func partsOf(i *image) (*attest.Parts, error) {
	if i.initrd == nil {
		return nil, nil //nolint:nilnil // an overlay alone
	}
	kernel, err := i.staged.base.Sum(i.staged.base.Kernel)
	p := &attest.Parts{Kernel: kernel, Initrd: i.initrd.SHA256}
	for _, s := range i.initrd.Segments {
		p.Segments = append(p.Segments, manifest.Segment{Name: s.Name, SHA256: s.SHA256})
	}
	return p, err
}

func fileSum(ctx context.Context, name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // only read
	sum := sha256.New()
	_, err = io.Copy(wholefile.Interruptible(ctx, sum), f)
	return hex.EncodeToString(sum.Sum(nil)), err
}
