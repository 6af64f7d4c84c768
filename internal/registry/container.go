package registry

import (
	"archive/tar"
	"bytes"
	"context"
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
		if e.IsRegular() {
			out = append(out, *e)
		}
	}
	return out, nil
}

// tarLayer adds a layer with one file and its folders, which belong to root and have no time.
func (p parcel) tarLayer(ctx context.Context, e overlay.Entry) (d ocispec.Descriptor, err error) {
	head, err := tarHead(e)
	if err != nil {
		return d, err
	}
	tail := make([]byte, -e.Size&511+1024) // up to a block, then two empty ones
	open := func() (io.ReadCloser, error) {
		r, err := e.Open()
		if err != nil {
			return nil, err
		}
		all := io.MultiReader(bytes.NewReader(head), io.LimitReader(r, e.Size), bytes.NewReader(tail))
		return struct {
			io.Reader
			io.Closer
		}{all, r}, nil
	}
	return p.file(ctx, ocispec.MediaTypeImageLayer, "", open)
}

// tarHead is what a tar has in front of the content of a file.
func tarHead(e overlay.Entry) ([]byte, error) {
	headers := []*tar.Header{{Typeflag: tar.TypeReg, Name: e.Path, Mode: 0o644, Size: e.Size}}
	for dir := path.Dir(e.Path); dir != "."; dir = path.Dir(dir) {
		headers = append([]*tar.Header{{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}}, headers...)
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		h.ModTime = time.Unix(0, 0)
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}
