package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"mkbuild/internal/fail"
)

// typeMirror is the artifact type of a mirror: an image manifest with one layer for each file, whose title is
// the file's path.
const typeMirror = "application/vnd.mkbuild.mirror.v1"

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
		if digest := l.Digest.String(); digestForm.MatchString(digest) {
			files[l.Annotations[ocispec.AnnotationTitle]] = digest
		}
	}
	c.found.Store(r.String(), files)
	return files, nil
}
