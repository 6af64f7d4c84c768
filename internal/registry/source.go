package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
)

// source is an image on this machine.
type source struct {
	*medium.Medium
	name  string
	text  []byte // of the manifest
	about *manifest.Manifest
}

// openSource reads an image on this machine, and its manifest. The caller closes it.
func openSource(name string) (*source, error) {
	m, err := medium.Open(name)
	if err != nil {
		return nil, err
	}
	s := &source{Medium: m, name: name}
	s.about, s.text, err = m.Manifest()
	if err == nil && s.about == nil {
		err = fail.New(fail.Usage, "it has no manifest, so mkbuild did not build it", "push an ISO or a PXE folder that `mkbuild iso` made")
	}
	if err == nil {
		err = m.Bootable()
	}
	if err != nil {
		m.Close() //nolint:errcheck,gosec // only read
		return nil, fmt.Errorf("push %s: %w", name, err)
	}
	return s, nil
}

// bigFile is the minimum size of a file that is its own blob, so that images share it.
const bigFile = 64 << 10

// artifact cuts an image into the blobs of mkbuild's own artifact type.
func (s *source) artifact(ctx context.Context, p *parcel) (d ocispec.Descriptor, err error) {
	c, cut := &cutter{parcel: p, layout: layout{Schema: layoutSchema, Form: "iso"}}, s.cutISO
	if s.Form == medium.PXE {
		c.layout.Form, cut = "pxe", s.cutFolder
	}
	if err := cut(ctx, c); err != nil {
		return d, err
	}
	about := *s.about
	about.Files = nil
	return p.manifest(ocispec.Manifest{
		ArtifactType: typeImage, Annotations: s.annotations(), Config: p.json(typeConfig, "", about), Layers: c.finish(),
	}), nil
}

// container makes an image that container runtimes unpack, and that Kubernetes mounts as a volume: its root
// folder has the files of the PXE folder, or the ISO and its manifest. Each file is a layer, an uncompressed tar,
// so that common files of two builds are stored once.
func (s *source) container(ctx context.Context, p *parcel) (d ocispec.Descriptor, err error) {
	files, err := s.rootFiles()
	if err != nil {
		return d, err
	}
	when := time.Unix(s.about.SourceDate, 0).UTC()
	image := ocispec.Image{Created: &when, Platform: *platform(s.about.Arch), RootFS: ocispec.RootFS{Type: "layers"}}
	m := ocispec.Manifest{Annotations: s.annotations()}
	for _, f := range files.Entries() {
		l, err := p.tarLayer(ctx, *f)
		if err != nil {
			return d, err
		}
		m.Layers, image.RootFS.DiffIDs = append(m.Layers, l), append(image.RootFS.DiffIDs, l.Digest)
	}
	m.Config = p.json(ocispec.MediaTypeImageConfig, "", image)
	return p.manifest(m), nil
}

// rootFiles are the files of the container.
func (s *source) rootFiles() (*overlay.Tree, error) {
	if s.Form == medium.PXE {
		return s.Files, nil
	}
	name := defaultName(s.about)
	files, err := overlay.FromHost(s.name, name, 0, 0)
	if err != nil {
		return nil, err
	}
	return files, files.Put(overlay.File(manifest.Beside(name), 0, s.text))
}

// tarLayer adds a layer with one file and its folders, which belong to root and have no time.
func (p *parcel) tarLayer(ctx context.Context, e overlay.Entry) (d ocispec.Descriptor, err error) {
	t := &overlay.Tree{}
	for dir := path.Dir(e.Path); dir != "."; dir = path.Dir(dir) {
		err = errors.Join(err, t.Put(overlay.Dir(dir, 0o755)))
	}
	e.Mode = overlay.TypeRegular | 0o644
	if err = errors.Join(err, t.Put(e)); err != nil {
		return d, err
	}
	return p.file(ctx, ocispec.MediaTypeImageLayer, "", func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() { w.CloseWithError(overlay.WriteTar(w, t, 0)) }()
		return r, nil
	})
}

// annotations describe the image to users and other programs.
func (s *source) annotations() map[string]string {
	return map[string]string{
		ocispec.AnnotationCreated: time.Unix(s.about.SourceDate, 0).UTC().Format(time.RFC3339),
		ocispec.AnnotationVersion: imageVersion(s.about),
		ocispec.AnnotationTitle:   "Razor microkernel, profile " + s.about.Profile + ", Tiny Core " + s.about.Release + " " + s.about.Arch,
	}
}

// cutISO cuts an ISO at the files that become blobs. The push reads blobs from it until the end.
func (s *source) cutISO(ctx context.Context, c *cutter) error {
	f, info, err := hostfile.Open(s.name)
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
	return c.cut(ctx, "", f, info.Size(), parts)
}

// cutFolder cuts the files of a PXE folder. The push reads blobs from them until the end.
func (s *source) cutFolder(ctx context.Context, c *cutter) error {
	for _, e := range s.Files.Entries() {
		f, err := os.Open(filepath.Join(s.name, filepath.FromSlash(e.Path)))
		if err != nil {
			return err
		}
		if err := c.cut(ctx, e.Path, f, e.Size, s.parts(e, 0)); err != nil {
			return err
		}
	}
	return nil
}

// parts are the blobs of a file that begins at an offset; nil for a file of the rest.
func (s *source) parts(e *overlay.Entry, at int64) []part {
	whole := part{offset: at, size: e.Size, title: e.Path, kind: typeFile}
	switch {
	case e.Path == s.ManifestPath():
		return nil // it compresses well
	case e.Path == s.Kernel:
		whole.kind = typeKernel
	case e.Path == s.LastInitrd() && len(s.about.Segments) > 0 && medium.BlobDigest(e.Path) == "": // a blob is a segment already
		return s.segments(e, at)
	case slices.Contains(s.Initrds, e.Path):
		whole.kind = typeSegment
	case e.Size < bigFile && !s.IsMenu(e.Path):
		return nil
	}
	return []part{whole}
}

// segments cuts the last initrd into the manifest's segments.
func (s *source) segments(e *overlay.Entry, start int64) (out []part) {
	for i, g := range s.about.Segments {
		title := fmt.Sprintf("%s.d/%02d-%s", e.Path, i, path.Base(g.Name))
		out = append(out, part{start + g.Offset, g.Size, title, typeSegment, g.SHA256})
	}
	return out
}

// platform is OCI's name of an architecture.
func platform(arch string) *ocispec.Platform {
	if arch == "x86_64" {
		return &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	}
	return &ocispec.Platform{OS: "linux", Architecture: "386"}
}

// nameForm matches file names that are harmless everywhere.
var nameForm = regexp.MustCompile(`^\w[\w.+~-]{0,200}$`)

// defaultName is a build's default name of the ISO.
func defaultName(about *manifest.Manifest) string {
	c := config.Config{Profile: about.Profile}
	c.Image.Version = imageVersion(about)
	if name := c.ISOName(); nameForm.MatchString(name) {
		return name
	}
	return "microkernel.iso"
}

func imageVersion(about *manifest.Manifest) string {
	var c struct{ Image struct{ Version string } }
	_ = json.Unmarshal(about.Config, &c) // an unreadable configuration has no version
	return c.Image.Version
}
