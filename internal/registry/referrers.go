package registry

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"mkbuild/internal/fail"
	"mkbuild/internal/hostfile"
)

// companion is a kind of file that lies next to an image and belongs to it.
type companion struct{ suffix, kind string }

// companions are what travels with an image, as objects that refer to it.
var companions = []companion{
	{".spdx.json", "application/spdx+json"},
	{".minisig", "application/vnd.mkbuild.minisig.v1"},
	{".intoto.jsonl", "application/vnd.in-toto.bundle"},
}

// maxCompanion bounds one of them in bytes, maxReferrers how many objects may refer to an image.
const (
	maxCompanion = 64 << 20
	maxReferrers = 1000
)

// besides makes objects of the files next to an image.
func besides(image string, o *object) (out []*object, err error) {
	for _, c := range companions {
		name := filepath.Clean(image) + c.suffix
		text, err := hostfile.Read(name, maxCompanion)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("push %s: %w", name, err)
		}
		subject := ocispec.Descriptor{MediaType: o.MediaType, Digest: o.Digest, Size: o.Size}
		made, err := pack(ocispec.Manifest{ArtifactType: c.kind, Subject: &subject},
			textBlob(ocispec.MediaTypeEmptyJSON, []byte("{}"), ""), []*blob{textBlob(c.kind, text, "image"+c.suffix)})
		if err != nil {
			return nil, err
		}
		out = append(out, made)
	}
	return out, nil
}

// companionsOf gets what refers to an image and is known here, by its suffix. Several files of lines become one;
// of other kinds that one counts whose digest is the greatest: a list has no order that can be relied on.
func (p *puller) companionsOf(ctx context.Context, image ocispec.Descriptor) (map[string][]byte, error) {
	var all []ocispec.Descriptor
	err := attempt(ctx, "list what refers to "+p.ref.String(), func() error {
		all = nil
		repo, err := p.client.repository(ctx, p.ref)
		if err != nil {
			return err
		}
		return repo.Referrers(ctx, image, "", func(some []ocispec.Descriptor) error {
			if all = append(all, some...); len(all) > maxReferrers {
				return fail.New(fail.Verification, fmt.Sprintf("more than %d", maxReferrers), "ask the registry's operator")
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b ocispec.Descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
	out := map[string][]byte{}
	for _, d := range all {
		for _, c := range companions {
			if d.ArtifactType != c.kind {
				continue
			}
			text, err := p.companion(ctx, d, image, c)
			if err != nil {
				return nil, err
			}
			if strings.HasSuffix(c.suffix, ".jsonl") {
				text = union(out[c.suffix], text)
			}
			out[c.suffix] = text
		}
	}
	return out, nil
}

// union is one file of lines with those of another that it lacks.
func union(a, b []byte) []byte {
	known := map[string]bool{}
	for line := range bytes.Lines(a) {
		known[string(line)] = true
	}
	for line := range bytes.Lines(b) {
		if !known[string(line)] {
			a = append(a, line...)
		}
	}
	return a
}

// companion gets one object that refers to an image.
func (p *puller) companion(ctx context.Context, d, image ocispec.Descriptor, c companion) ([]byte, error) {
	name := strings.TrimPrefix(c.suffix, ".")
	m, err := p.manifest(ctx, d)
	if err != nil {
		return nil, err
	}
	if m.Subject == nil || m.Subject.Digest != image.Digest || m.ArtifactType != c.kind || len(m.Layers) != 1 {
		return nil, p.wrong(fmt.Errorf("the object %s is listed as its %s and is not", d.Digest, name))
	}
	b, err := p.blob(ctx, name, m.Layers[0], maxCompanion)
	if err != nil {
		return nil, err
	}
	return b.ReadAll()
}
