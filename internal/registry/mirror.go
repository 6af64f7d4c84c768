package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"mkbuild/internal/fail"
	"mkbuild/internal/ui"
)

// typeMirror is the artifact type of a mirror: an image manifest with one layer for each file, whose title is
// the file's path.
const typeMirror = "application/vnd.mkbuild.mirror.v1"

// PushMirror puts the files of a mirror into a registry, and returns the reference with the digest of all of
// them. The same files give the same digest. Those at the top, which name the folder itself, stay out.
func (c *Client) PushMirror(ctx context.Context, ref Reference, dir string, sink ui.Sink) (Reference, error) {
	repo, err := c.repository(ctx, ref)
	if err != nil {
		return ref, err
	}
	var layers []*blob
	err = fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.Contains(name, "/") {
			return err
		}
		open := func() (io.ReadCloser, error) { return os.Open(filepath.Join(dir, filepath.FromSlash(name))) }
		r, err := open()
		if err != nil {
			return err
		}
		defer r.Close() //nolint:errcheck // only read
		info, err := d.Info()
		if err != nil {
			return err
		}
		sum, err := digest.FromReader(&stoppable{ctx, r})
		layers = append(layers, newBlob(typeFile, sum.String(), info.Size(), name, open))
		return err
	})
	if err != nil {
		return ref, err
	}
	o, err := pack(ocispec.Manifest{ArtifactType: typeMirror}, textBlob(ocispec.MediaTypeEmptyJSON, []byte("{}"), ""), layers)
	if err != nil {
		return ref, err
	}
	ref.Digest = o.Digest.String()
	return ref, (&pusher{repo: repo, ref: ref, sink: sink}).object(ctx, o, ref.Tag)
}

// mirror returns the digests of a mirror's files by their paths; nil if there is no mirror. It asks once.
func (c *Client) mirror(ctx context.Context, r Reference) (map[string]string, error) {
	if known, ok := c.found.Load(r.String()); ok {
		return known.(map[string]string), nil
	}
	resp, err := c.get(ctx, r, "manifests", "")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	switch resp.StatusCode {
	case 200:
	case 404:
		return nil, nil
	case 401, 403:
		return nil, fail.New(fail.Network, "read the mirror "+r.String()+": the registry wants other credentials", loginHint)
	default:
		return nil, fmt.Errorf("read the mirror %s: the registry answered %d", r, resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxManifest+1))
	if err != nil {
		return nil, err
	}
	var m ocispec.Manifest
	err = json.Unmarshal(text, &m)
	switch {
	case r.Digest != "" && describe(text).Digest.String() != r.Digest:
		err = fmt.Errorf("it is %s", describe(text).Digest)
	case err == nil && (m.ArtifactType != typeMirror || len(m.Layers) > maxLayers || len(text) > maxManifest):
		err = fmt.Errorf("its artifact type is %.100q, with %d files", m.ArtifactType, len(m.Layers))
	}
	if err != nil {
		return nil, &fail.Error{Class: fail.Verification, What: "read the mirror " + r.String(), Hint: "`mkbuild mirror --oci REF` writes one", Err: err}
	}
	files := map[string]string{}
	for _, l := range m.Layers {
		if sum := l.Digest.String(); digestForm.MatchString(sum) {
			files[l.Annotations[ocispec.AnnotationTitle]] = sum
		}
	}
	c.found.Store(r.String(), files)
	return files, nil
}
