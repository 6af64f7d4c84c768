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
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"mkbuild/internal/hostfile"
)

// companion is a kind of file next to an image that belongs to it.
type companion struct{ suffix, kind string }

// companions are pushed with an image, as objects that refer to it.
var companions = []companion{
	{".spdx.json", "application/spdx+json"},
	{".minisig", "application/vnd.mkbuild.minisig.v1"},
	{".intoto.jsonl", "application/vnd.in-toto.bundle"},
}

// maxCompanions bounds their total size in bytes.
const maxCompanions = 64 << 20

// companions adds an object for each of the files next to an image.
func (p *parcel) companions(image string, subject ocispec.Descriptor) (out []ocispec.Descriptor, err error) {
	subject = ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	for _, c := range companions {
		name := filepath.Clean(image) + c.suffix
		text, err := hostfile.Read(name, maxCompanions)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("push %s: %w", name, err)
		}
		layer := p.text(c.kind, "image"+c.suffix, text)
		out = append(out, p.manifest(ocispec.Manifest{ArtifactType: c.kind, Subject: &subject, Layers: []ocispec.Descriptor{layer}}))
	}
	return out, nil
}

// companions gets the known objects that refer to an image. Several files of lines become one; of other kinds the
// one with the greatest digest counts, because the list's order is arbitrary.
func (p *puller) companions(ctx context.Context, img *Image, image ocispec.Descriptor) error {
	all, err := p.referrers(ctx, image)
	if err != nil {
		return err
	}
	left := int64(maxCompanions)
	for _, c := range companions {
		var text []byte
		for _, d := range all {
			if d.ArtifactType != c.kind {
				continue
			}
			next, err := p.companion(ctx, d, image, c, left)
			if err != nil {
				return err
			}
			left -= int64(len(next))
			if strings.HasSuffix(c.suffix, ".jsonl") {
				next = union(text, next)
			}
			text = next
		}
		if text != nil {
			if err := img.put(c.suffix, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// referrers lists the objects that refer to an image, sorted by digest.
func (p *puller) referrers(ctx context.Context, image ocispec.Descriptor) (all []ocispec.Descriptor, err error) {
	repo, err := p.client.repository(p.ref)
	if err != nil {
		return nil, err
	}
	err = attempt(ctx, "list the objects that refer to "+p.ref.String(), func() error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute) // however slowly it talks
		defer cancel()
		all = nil
		return repo.Referrers(ctx, image, "", func(some []ocispec.Descriptor) error {
			all = append(all, some...)
			if err := checkLayers(all, maxReferrers); err != nil {
				return p.wrong(err)
			}
			return nil
		})
	})
	slices.SortFunc(all, func(a, b ocispec.Descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
	return all, err
}

// union adds the missing lines of one file to another.
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

func (p *puller) companion(ctx context.Context, d, image ocispec.Descriptor, c companion, limit int64) ([]byte, error) {
	m, err := p.manifest(ctx, d)
	if err != nil {
		return nil, err
	}
	if m.Subject == nil || m.Subject.Digest != image.Digest || m.ArtifactType != c.kind || len(m.Layers) != 1 {
		return nil, p.wrong(fmt.Errorf("the object %s is listed as its %s, but is not one", d.Digest, strings.TrimPrefix(c.suffix, ".")))
	}
	return readAll(p.blob(ctx, m.Layers[0], limit))
}
