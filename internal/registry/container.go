package registry

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
)

// container makes an image that container runtimes unpack, and that Kubernetes mounts as a volume: its root
// folder has the files of the PXE folder, or the ISO and its manifest. Each file is a layer, a tar that is not
// compressed, so that what two builds have in common is stored once.
func (s *source) container(ctx context.Context) (*object, error) {
	files, err := s.rootFiles()
	if err != nil {
		return nil, fmt.Errorf("push %s: %w", s.name, err)
	}
	when := time.Unix(s.about.SourceDate, 0).UTC()
	image := ocispec.Image{Created: &when, Platform: *platform(s.about.Arch), RootFS: ocispec.RootFS{Type: "layers"}}
	var layers []*blob
	for _, f := range files {
		l, err := tarLayer(ctx, f)
		if err != nil {
			return nil, fmt.Errorf("push %s: %s: %w", s.name, f.Path, err)
		}
		layers, image.RootFS.DiffIDs = append(layers, l), append(image.RootFS.DiffIDs, l.Digest)
	}
	text, err := json.Marshal(image)
	if err != nil {
		return nil, err
	}
	o, err := pack(ocispec.Manifest{Annotations: s.annotations()}, textBlob(ocispec.MediaTypeImageConfig, text, ""), layers)
	if err == nil {
		o.arch = s.about.Arch
	}
	return o, err
}

// rootFiles are the files of the container.
func (s *source) rootFiles() (out []overlay.Entry, err error) {
	if s.Form == medium.ISO {
		info, err := os.Stat(s.name)
		if err != nil {
			return nil, err
		}
		iso := overlay.Entry{Path: isoName(s.about), Size: info.Size(), Open: func() (io.ReadCloser, error) { return os.Open(s.name) }}
		return []overlay.Entry{iso, overlay.File(iso.Path+".manifest.json", 0, s.text)}, nil
	}
	for _, e := range s.Files.Entries() {
		if e.IsRegular() {
			out = append(out, *e)
		}
	}
	return out, nil
}

// tarLayer is a layer with one file and its folders, which belong to root and have no time.
func tarLayer(ctx context.Context, e overlay.Entry) (*blob, error) {
	var head bytes.Buffer
	w := tar.NewWriter(&head)
	var dirs []string
	for dir := path.Dir(e.Path); dir != "."; dir = path.Dir(dir) {
		dirs = append([]string{dir}, dirs...)
	}
	for _, dir := range dirs {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: time.Unix(0, 0)}); err != nil {
			return nil, err
		}
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: e.Path, Mode: 0o644, Size: e.Size, ModTime: time.Unix(0, 0)}); err != nil {
		return nil, err
	}
	tail := make([]byte, -e.Size&511+1024) // up to a block, then two empty ones
	open := func() (io.ReadCloser, error) {
		r, err := e.Open()
		if err != nil {
			return nil, err
		}
		all := io.MultiReader(bytes.NewReader(head.Bytes()), io.LimitReader(r, e.Size), bytes.NewReader(tail))
		return struct {
			io.Reader
			io.Closer
		}{all, r}, nil
	}
	r, err := open()
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // only read
	sum, err := digest.FromReader(&stoppable{ctx, r})
	size := int64(head.Len()) + e.Size + int64(len(tail))
	return newBlob(ocispec.MediaTypeImageLayer, sum.String(), size, "", open), err
}
