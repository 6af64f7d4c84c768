package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"mkbuild/internal/fail"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
)

// Types of what an image consists of.
const (
	typeImage   = "application/vnd.mkbuild.image.v1" // artifact type
	typeAbout   = "application/vnd.mkbuild.manifest.v1+json"
	typeKernel  = "application/vnd.mkbuild.kernel.v1"
	typeSegment = "application/vnd.mkbuild.segment.v1"
	typeFile    = "application/vnd.mkbuild.file.v1"
	typeLayout  = "application/vnd.mkbuild.layout.v1+json"
	typeRest    = "application/vnd.mkbuild.rest.v1"
)

// blob is content with its descriptor.
type blob struct {
	ocispec.Descriptor
	open func() (io.ReadCloser, error)
}

// newBlob describes content. title, if set, is the name that other programs give it.
func newBlob(kind, sum string, size int64, title string, open func() (io.ReadCloser, error)) *blob {
	b := &blob{ocispec.Descriptor{MediaType: kind, Digest: digest.Digest(sum), Size: size}, open}
	if title != "" {
		b.Annotations = map[string]string{ocispec.AnnotationTitle: title}
	}
	return b
}

func textBlob(kind string, text []byte, title string) *blob {
	return newBlob(kind, digest.FromBytes(text).String(), int64(len(text)), title, overlay.Bytes(text))
}

// object is a manifest and what it names.
type object struct {
	blob
	blobs []*blob
	arch  string // of an image
}

// pack makes an image manifest. The same image gives the same bytes, whenever it is pushed: its time is the
// source date.
func pack(m ocispec.Manifest, config *blob, layers []*blob) (*object, error) {
	m.Versioned, m.MediaType, m.Config = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest, config.Descriptor
	o := &object{blobs: []*blob{config}}
	for _, l := range layers {
		m.Layers = append(m.Layers, l.Descriptor)
		if l.Digest != config.Digest {
			o.blobs = append(o.blobs, l)
		}
	}
	text, err := json.Marshal(m)
	o.blob = *textBlob(m.MediaType, text, "")
	o.ArtifactType = m.ArtifactType
	return o, err
}

// source is an image to be pushed.
type source struct {
	*medium.Medium
	name  string
	text  []byte // of the manifest
	about *manifest.Manifest
}

// openSource reads an image and its manifest. The caller closes it.
func openSource(name string) (*source, error) {
	m, err := medium.Open(name)
	if err != nil {
		return nil, err
	}
	s := &source{Medium: m, name: name}
	if err := s.readManifest(); err != nil {
		m.Close() //nolint:errcheck,gosec // only read
		return nil, fmt.Errorf("push %s: %w", name, err)
	}
	return s, nil
}

func (s *source) readManifest() error {
	f := s.Files.Get(s.ManifestPath())
	if f == nil || s.ManifestPath() == "" {
		return fail.New(fail.Usage, "it has no manifest, so mkbuild did not build it", "push an ISO or a PXE folder that `mkbuild iso` made")
	}
	var err error
	if s.text, err = f.Content(manifest.MaxSize); err == nil {
		s.about, err = manifest.Parse(s.text)
	}
	if err != nil {
		return err
	}
	return s.Bootable()
}

// bigFile is the size from which on a file is a blob of its own, so that images share it.
const bigFile = 64 << 10

// artifact cuts an image into the blobs of an image of its own type.
func (s *source) artifact(ctx context.Context) (*object, error) {
	c := &cutter{ctx: ctx, known: map[string]bool{}, layout: layout{Schema: layoutSchema, Form: "iso"}}
	var err error
	if s.Form == medium.ISO {
		err = s.cutISO(c)
	} else {
		c.layout.Form = "pxe"
		err = s.cutFolder(c)
	}
	if err != nil {
		return nil, fmt.Errorf("push %s: %w", s.name, err)
	}
	text, err := json.Marshal(c.layout)
	if err != nil {
		return nil, err
	}
	config, layers := textBlob(typeAbout, s.text, ""), []*blob{textBlob(typeLayout, text, "")}
	if c.rest.Len() > 0 {
		layers = append(layers, textBlob(typeRest, c.rest.Bytes(), ""))
	}
	for _, b := range c.blobs {
		if b.Digest != config.Digest {
			layers = append(layers, b)
		}
	}
	o, err := pack(ocispec.Manifest{ArtifactType: typeImage, Annotations: s.annotations()}, config, layers)
	if err == nil {
		o.arch = s.about.Arch
	}
	return o, err
}

// annotations tell people and other programs what the image is.
func (s *source) annotations() map[string]string {
	return map[string]string{
		ocispec.AnnotationCreated: time.Unix(s.about.SourceDate, 0).UTC().Format(time.RFC3339),
		ocispec.AnnotationVersion: imageVersion(s.about),
		ocispec.AnnotationTitle:   "Razor microkernel, profile " + s.about.Profile + ", Tiny Core " + s.about.Release + " " + s.about.Arch,
	}
}

// cutISO cuts an ISO at the files that are worth a blob.
func (s *source) cutISO(c *cutter) error {
	f, err := os.Open(s.name)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	places, err := iso9660.Places(f, info.Size())
	if err != nil {
		return err
	}
	var parts []part
	for _, e := range s.Files.Entries() {
		if at, ok := places[e.Path]; ok {
			parts = append(parts, s.parts(e, at.Offset)...)
		}
	}
	return c.cut("", f, info.Size(), parts)
}

// cutFolder cuts the files of a PXE folder.
func (s *source) cutFolder(c *cutter) error {
	for _, e := range s.Files.Entries() {
		if !e.IsRegular() {
			continue
		}
		f, err := os.Open(filepath.Join(s.name, filepath.FromSlash(e.Path))) // open until the end, if blobs are read from it
		if err != nil {
			return err
		}
		parts := s.parts(e, 0)
		if err = c.cut(e.Path, f, e.Size, parts); err != nil || len(parts) == 0 {
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// parts are the blobs of a file that begins at an offset; nil for one that goes into the rest.
func (s *source) parts(e *overlay.Entry, at int64) []part {
	whole := part{offset: at, size: e.Size, title: e.Path, kind: typeFile}
	switch {
	case e.Path == s.ManifestPath():
		whole.title = "" // it is the config
	case e.Path == s.Kernel:
		whole.kind = typeKernel
	case e.Path == s.LastInitrd() && medium.BlobDigest(e.Path) == "": // a blob is a segment already
		return s.segments(e, at)
	case slices.Contains(s.Initrds, e.Path):
		whole.kind = typeSegment
	case e.Size < bigFile && !s.IsMenu(e.Path):
		return nil
	}
	return []part{whole}
}

// segments cuts the last initrd as the manifest says. What no segment covers is a part, too.
func (s *source) segments(e *overlay.Entry, start int64) (out []part) {
	at := int64(0)
	for _, g := range s.about.Segments {
		if g.Offset < at || g.Offset+g.Size > e.Size {
			continue
		}
		if g.Offset > at {
			out = append(out, part{offset: start + at, size: g.Offset - at, kind: typeSegment})
		}
		out = append(out, part{start + g.Offset, g.Size, fmt.Sprintf("%s.d/%02d-%s", e.Path, len(out), path.Base(g.Name)), typeSegment, g.SHA256})
		at = g.Offset + g.Size
	}
	if at < e.Size {
		out = append(out, part{offset: start + at, size: e.Size - at, kind: typeSegment})
	}
	return out
}

// platform is how OCI calls an architecture of Tiny Core.
func platform(arch string) *ocispec.Platform {
	if arch == "x86_64" {
		return &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	}
	return &ocispec.Platform{OS: "linux", Architecture: "386"}
}

// index makes an index over images of several architectures.
func index(images []*object) (*object, error) {
	x := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, o := range images {
		d := o.Descriptor
		d.Platform = platform(o.arch)
		x.Manifests = append(x.Manifests, d)
	}
	slices.SortFunc(x.Manifests, func(a, b ocispec.Descriptor) int {
		return bytes.Compare([]byte(a.Platform.Architecture), []byte(b.Platform.Architecture))
	})
	text, err := json.Marshal(x)
	return &object{blob: *textBlob(x.MediaType, text, "")}, err
}
