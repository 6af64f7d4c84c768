package registry

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"mkbuild/internal/overlay"
	"mkbuild/internal/ui"
	"mkbuild/internal/wholefile"
)

// Types of objects in registries.
const (
	typeImage   = "application/vnd.mkbuild.image.v1"       // artifact type
	typeConfig  = "application/vnd.mkbuild.config.v1+json" // the image's manifest without its list of files
	typeKernel  = "application/vnd.mkbuild.kernel.v1"
	typeSegment = "application/vnd.mkbuild.segment.v1"
	typeFile    = "application/vnd.mkbuild.file.v1"
	typeLayout  = "application/vnd.mkbuild.layout.v2+json"
	typeRest    = "application/vnd.mkbuild.rest.v2+gzip"
	typeDerived = "application/vnd.mkbuild.derived.v1" // artifact type: one layer that a build has derived
	typeMirror  = "application/vnd.mkbuild.mirror.v1"  // artifact type: one layer for each file
)

// parcel holds the objects of a push: functions that open blobs and manifests, by digest. It implements
// [content.ReadOnlyStorage].
type parcel struct {
	items map[digest.Digest]func() (io.ReadCloser, error)
	sink  ui.Sink // gets the number of bytes read; may be nil
	err   error   // an error of making objects: nothing is sent
}

func newParcel(sink ui.Sink) *parcel {
	return &parcel{items: map[digest.Digest]func() (io.ReadCloser, error){}, sink: sink}
}

// Exists implements [content.ReadOnlyStorage].
func (p *parcel) Exists(_ context.Context, d ocispec.Descriptor) (bool, error) {
	return p.items[d.Digest] != nil, nil
}

// Fetch implements [content.ReadOnlyStorage].
func (p *parcel) Fetch(_ context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	open := p.items[d.Digest]
	if open == nil {
		return nil, fmt.Errorf("%s: %w", d.Digest, errdef.ErrNotFound)
	}
	r, err := open()
	return &watchedReader{r, p, d, 0}, err
}

// put adds content. title is its file name for other programs, or "".
func (p *parcel) put(kind, title string, sum digest.Digest, size int64, open func() (io.ReadCloser, error)) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: kind, Digest: sum, Size: size}
	if title != "" {
		d.Annotations = map[string]string{ocispec.AnnotationTitle: title}
	}
	p.items[sum] = open
	return d
}

// file adds the content that open opens. It is read once here for its digest.
func (p *parcel) file(ctx context.Context, kind, title string, open func() (io.ReadCloser, error)) (d ocispec.Descriptor, err error) {
	r, err := open()
	if err != nil {
		return d, err
	}
	defer r.Close() //nolint:errcheck // only read
	sum := sha256.New()
	size, err := io.Copy(wholefile.Interruptible(ctx, sum), r)
	return p.put(kind, title, digest.NewDigest(digest.SHA256, sum), size, open), err
}

func (p *parcel) text(kind, title string, text []byte) ocispec.Descriptor {
	return p.put(kind, title, digest.FromBytes(text), int64(len(text)), overlay.Bytes(text))
}

func (p *parcel) json(kind, title string, v any) ocispec.Descriptor {
	text, err := json.Marshal(v)
	p.err = cmp.Or(p.err, err)
	return p.text(kind, title, text)
}

// manifest adds an image manifest. Without a config it gets the empty one.
func (p *parcel) manifest(m ocispec.Manifest) ocispec.Descriptor {
	m.Versioned, m.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest
	if m.Config.MediaType == "" {
		m.Config = p.text(ocispec.MediaTypeEmptyJSON, "", []byte("{}"))
	}
	d := p.json(m.MediaType, "", m)
	d.ArtifactType = m.ArtifactType
	return d
}

// index adds an index of images.
func (p *parcel) index(images []ocispec.Descriptor) ocispec.Descriptor {
	x := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: images}
	return p.json(x.MediaType, "", x)
}

// displayName is the name of content in messages.
func displayName(d ocispec.Descriptor) string {
	return cmp.Or(d.Annotations[ocispec.AnnotationTitle], d.Digest.String())
}
