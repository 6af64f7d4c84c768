package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"

	"mkbuild/internal/fail"
)

// address is an oci:// address: a blob by its digest, a manifest by tag or digest (with the query "manifest"),
// or a file of a mirror, which [Client.PushMirror] wrote.
type address struct {
	Reference
	file     string
	manifest bool
}

var addressForm = regexp.MustCompile(`^/([^:@]+)(?::([\w][\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?(?:/(.*))?$`)

func parseAddress(u *url.URL) (address, error) {
	m := addressForm.FindStringSubmatch(u.Path)
	if m == nil || m[2] == "" && m[3] == "" {
		return address{}, fmt.Errorf("read oci://%s%s: %w", u.Host, u.Path, ErrReference)
	}
	name := Reference{Host: u.Host, Repository: m[1], Tag: m[2], Digest: m[3]}
	r, err := Parse(name.String())
	return address{r, m[4], u.RawQuery == manifestQuery}, err
}

const manifestQuery = "manifest"

// blobAddress and manifestAddress are where the package fetch gets an object.
func blobAddress(r Reference, digest string) string { return "oci://" + r.Name() + "@" + digest }

func manifestAddress(r Reference) string { return "oci://" + r.String() + "?" + manifestQuery }

// accepted are the types of manifests that are asked for.
const accepted = ocispec.MediaTypeImageManifest + ", " + ocispec.MediaTypeImageIndex

// RoundTrip answers a request for an oci:// address as a web server would that had the file there: with its
// digest as ETag, and with ranges as far as the registry knows them.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	a, err := parseAddress(req.URL)
	if err != nil {
		return nil, err
	}
	ctx, r := req.Context(), a.Reference
	if !a.manifest && (r.Digest == "" || a.file != "") {
		files, err := c.mirror(ctx, r)
		if err != nil {
			return nil, err
		}
		if r.Digest = files[a.file]; r.Digest == "" {
			return answer(req, http.StatusNotFound), nil
		}
	}
	etag := `"` + r.Digest + `"`
	if r.Digest != "" && req.Header.Get("If-None-Match") == etag {
		return answer(req, http.StatusNotModified), nil
	}
	kind := "blobs"
	if a.manifest {
		kind = "manifests"
	}
	resp, err := c.get(ctx, r, kind, req.Header.Get("Range"))
	if err != nil {
		return nil, err
	}
	if r.Digest == "" { // a tag: the registry says what it leads to
		if r.Digest = resp.Header.Get("Docker-Content-Digest"); !digestForm.MatchString(r.Digest) {
			r.Digest = ""
		}
	}
	resp.Header.Del("Last-Modified")
	resp.Header.Set("Docker-Content-Digest", r.Digest)
	resp.Header.Set("ETag", `"`+r.Digest+`"`)
	return resp, nil
}

// get asks a registry. What it answers is for the caller to judge, but for a demand of credentials that
// nobody has.
func (c *Client) get(ctx context.Context, r Reference, kind, byteRange string) (*http.Response, error) {
	repo, err := c.repository(r)
	if err != nil {
		return nil, err
	}
	scheme := "https"
	if repo.PlainHTTP {
		scheme = "http"
	}
	u := fmt.Sprintf("%s://%s/v2/%s/%s/%s", scheme, repo.Reference.Host(), r.Repository, kind, cmp.Or(r.Digest, r.Tag))
	req, err := http.NewRequestWithContext(auth.AppendRepositoryScope(ctx, repo.Reference, auth.ActionPull), http.MethodGet, u, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accepted)
	req.Header.Set("Accept-Encoding", "identity")
	if kind == "blobs" {
		req.Header.Set("Accept", "*/*")
		if byteRange != "" {
			req.Header.Set("Range", byteRange)
		}
	}
	resp, err := c.auth.Do(req)
	if denied(err) {
		return answer(req, http.StatusUnauthorized), nil
	}
	if err != nil {
		err = bare(err)
	}
	return resp, err
}

// answer is what is said without asking a registry.
func answer(req *http.Request, status int) *http.Response {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{}, Body: http.NoBody,
	}
}

// mirror returns the digests of a mirror's files by their paths; nil if there is no mirror. It asks once.
func (c *Client) mirror(ctx context.Context, r Reference) (map[string]string, error) {
	if known, ok := c.mirrors.Load(r.String()); ok {
		return known.(map[string]string), nil
	}
	repo, err := c.repository(r)
	if err != nil {
		return nil, err
	}
	_, text, err := oras.FetchBytes(ctx, repo, cmp.Or(r.Digest, r.Tag), oras.FetchBytesOptions{MaxBytes: maxManifest})
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, nil
	}
	var m ocispec.Manifest
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err == nil && (m.ArtifactType != typeMirror || len(m.Layers) > maxLayers) {
		err = fmt.Errorf("its artifact type is %.100q, with %d files", m.ArtifactType, len(m.Layers))
	}
	if err = explain(ctx, "read the mirror "+r.String(), err); err != nil && fail.ClassOf(err) == fail.Unexpected && ctx.Err() == nil {
		err = fail.Wrap(fail.Verification, err, "`mkbuild mirror --oci REF` writes one")
	}
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, l := range m.Layers {
		if sum := l.Digest.String(); digestForm.MatchString(sum) {
			files[l.Annotations[ocispec.AnnotationTitle]] = sum
		}
	}
	c.mirrors.Store(r.String(), files)
	return files, nil
}
