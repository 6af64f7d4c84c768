package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"mkbuild/internal/fail"
)

var addressForm = regexp.MustCompile(`^/([^:@]+[:@][^/]+)(?:/(.*))?$`)

// parseAddress reads an oci:// address: that of a blob by its digest, of a manifest by tag or digest (with the query
// "manifest"), or of a file of a mirror, which [Client.PushMirror] wrote.
func parseAddress(u *url.URL) (r Reference, file string, err error) {
	m := addressForm.FindStringSubmatch(u.Path)
	if m == nil {
		return r, "", fmt.Errorf("read oci://%s%s: %w", u.Host, u.Path, ErrReference)
	}
	r, err = Parse(u.Host + "/" + m[1])
	return r, m[2], err
}

const manifestQuery = "manifest"

// blobAddress and manifestAddress are addresses for the package fetch.
func blobAddress(r Reference, digest string) string { return "oci://" + r.Name() + "@" + digest }

func manifestAddress(r Reference) string { return "oci://" + r.String() + "?" + manifestQuery }

// accepted are the types of manifests in requests.
const accepted = ocispec.MediaTypeImageManifest + ", " + ocispec.MediaTypeImageIndex

// RoundTrip answers a request for an oci:// address as a web server with that file would: with its digest as
// ETag, and with ranges if the registry supports them.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	r, file, err := parseAddress(req.URL)
	if err != nil {
		return nil, err
	}
	kind, accept := "blobs", "*/*"
	if req.URL.RawQuery == manifestQuery {
		kind, accept = "manifests", accepted
	} else if r.Digest == "" || file != "" {
		files, err := c.mirror(req.Context(), r)
		if err != nil {
			return nil, err
		}
		if r.Digest = files[file]; r.Digest == "" {
			return answer(req, http.StatusNotFound), nil
		}
	}
	if r.Digest != "" && req.Header.Get("If-None-Match") == `"`+r.Digest+`"` {
		return answer(req, http.StatusNotModified), nil
	}
	resp, err := c.get(req.Context(), r, kind, http.Header{"Accept": {accept}, "Range": req.Header["Range"]})
	if err != nil {
		return nil, err
	}
	if sum := resp.Header.Get("Docker-Content-Digest"); r.Digest == "" && digestForm.MatchString(sum) {
		r.Digest = sum // the registry decides the target of a tag
	}
	resp.Header.Del("Last-Modified")
	resp.Header.Set("Docker-Content-Digest", r.Digest)
	resp.Header.Set("ETag", `"`+r.Digest+`"`)
	return resp, nil
}

// get sends a request to a registry. The caller judges the answer, except a demand for missing credentials.
func (c *Client) get(ctx context.Context, r Reference, kind string, header http.Header) (*http.Response, error) {
	repo, err := c.repository(r)
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "https", Host: repo.Reference.Host(), Path: path.Join("/v2", r.Repository, kind, cmp.Or(r.Digest, r.Tag))}
	if repo.PlainHTTP {
		u.Scheme = "http"
	}
	req, err := http.NewRequestWithContext(auth.AppendRepositoryScope(ctx, repo.Reference, auth.ActionPull), http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header = header
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := c.auth.Do(req)
	if denied(err) {
		return answer(req, http.StatusUnauthorized), nil
	}
	return resp, bare(err)
}

// answer is an answer without a request to a registry.
func answer(req *http.Request, status int) *http.Response {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{}, Body: http.NoBody,
	}
}

// mirror returns the digests of a mirror's files by their paths; nil without a mirror. It asks only once.
func (c *Client) mirror(ctx context.Context, r Reference) (map[string]string, error) {
	if known, ok := c.mirrors.Load(r.String()); ok {
		return known.(map[string]string), nil
	}
	repo, err := c.repository(r)
	if err != nil {
		return nil, err
	}
	_, m, err := readManifest(ctx, repo, cmp.Or(r.Digest, r.Tag))
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, nil
	}
	if err == nil && m.ArtifactType != typeMirror {
		err = fmt.Errorf("its artifact type is %.100q", m.ArtifactType)
	}
	if err = explain(ctx, "read the mirror "+r.String(), err); err != nil && fail.ClassOf(err) == fail.Unexpected && ctx.Err() == nil {
		err = fail.Wrap(fail.Verification, err, "`mkbuild mirror --oci REF` writes one")
	}
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, l := range m.Layers {
		files[l.Annotations[ocispec.AnnotationTitle]] = l.Digest.String()
	}
	c.mirrors.Store(r.String(), files)
	return files, nil
}

// readManifest gets an image manifest.
func readManifest(ctx context.Context, repo *remote.Repository, name string) (d ocispec.Descriptor, m ocispec.Manifest, err error) {
	d, text, err := oras.FetchBytes(ctx, repo, name, oras.FetchBytesOptions{MaxBytes: maxManifest})
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err == nil {
		err = checkLayers(m.Layers, maxLayers)
	}
	return d, m, err
}

// checkLayers refuses invalid layers of a manifest or an index.
func checkLayers(layers []ocispec.Descriptor, most int) error {
	if len(layers) > most {
		return fmt.Errorf("it has %d layers and images", len(layers))
	}
	for _, l := range layers {
		if !digestForm.MatchString(l.Digest.String()) {
			return fmt.Errorf("it names the digest %.100q", l.Digest)
		}
	}
	return nil
}
