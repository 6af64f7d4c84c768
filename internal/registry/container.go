package registry

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
)

// container makes an image that container runtimes unpack, and that Kubernetes mounts as a volume: its root
// folder has the files of the PXE folder, or the ISO and its manifest. Each file is a layer, a tar that is not
// compressed, so that what two builds have in common is stored once.
func (s *source) container(ctx context.Context, p parcel) (d ocispec.Descriptor, err error) {
	files, err := s.rootFiles()
	if err != nil {
		return d, err
	}
	when := time.Unix(s.about.SourceDate, 0).UTC()
	image := ocispec.Image{Created: &when, Platform: *platform(s.about.Arch), RootFS: ocispec.RootFS{Type: "layers"}}
	m := ocispec.Manifest{Annotations: s.annotations()}
	for _, f := range files {
		l, err := p.tarLayer(ctx, f)
		if err != nil {
			return d, err
		}
		m.Layers, image.RootFS.DiffIDs = append(m.Layers, l), append(image.RootFS.DiffIDs, l.Digest)
	}
	if m.Config, err = p.json(ocispec.MediaTypeImageConfig, "", image); err != nil {
		return d, err
	}
	return p.manifest(m)
}

// rootFiles are the files of the container.
func (s *source) rootFiles() (out []overlay.Entry, err error) {
	if s.Form == medium.ISO {
		info, err := os.Stat(s.name)
		if err != nil {
			return nil, err
		}
		iso := overlay.Entry{Path: defaultName(s.about), Size: info.Size(), Open: func() (io.ReadCloser, error) { return os.Open(s.name) }}
		return []overlay.Entry{iso, overlay.File(iso.Path+".manifest.json", 0, s.text)}, nil
	}
	for _, e := range s.Files.Entries() {
		out = append(out, *e)
	}
	return out, nil
}

// tarLayer adds a layer with one file and its folders, which belong to root and have no time.
func (p parcel) tarLayer(ctx context.Context, e overlay.Entry) (d ocispec.Descriptor, err error) {
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
