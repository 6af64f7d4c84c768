// Package registry puts images, inputs and what is derived of them into OCI registries, and gets them from
// there. It is the one room that knows how OCI names and lays out things.
//
// What a registry gives is not trusted: everything is asked for by its digest, but for the manifest of a tag,
// and the package fetch checks what comes before anybody reads it. A [Client] is the [http.RoundTripper] of
// fetch for oci:// addresses, so that resuming, limits, progress, --offline and the cache are those of every
// other download.
//
// The objects: an image is an image manifest of OCI 1.1 with an artifact type of its own (image.go), whose
// layers are the kernel, each segment of the initrd and the rest of the medium, and a layout that says how the
// medium is put together of them (layout.go). Nothing is stored twice, and what two images have in common is
// stored once. Pushing one, with an index over architectures, is in push.go, and getting it back in pull.go.
// Signatures, attestations and bills of materials refer to an image (referrers.go).
//
// Start reading at [Client] and [Push].
package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/hostfile"
)

// Client asks registries. Set the fields before the first call; the methods are safe for concurrent use.
type Client struct {
	// PlainHTTP asks without TLS. A registry on this machine that has none is asked so anyway.
	PlainHTTP bool
	// RequireHTTPS refuses a registry that is asked without TLS.
	RequireHTTPS bool
	// DockerConfig is docker's config.json, which has credentials or names the helpers that have them; it need
	// not be there, and "" is none.
	DockerConfig string
	// UserAgent is sent with each request.
	UserAgent string
	// Connect and Idle bound a connection attempt and the wait for the next byte: 10 s and a minute if 0.
	Connect, Idle time.Duration

	once  sync.Once
	auth  *auth.Client
	err   error    // why there is none
	hosts sync.Map // whether a host is asked without TLS
	repos sync.Map // *remote.Repository by name: it remembers what the registry can do
	found sync.Map // mirrors by name
}

// Reference names something in a registry. Digest decides if there is one.
type Reference struct {
	Host, Repository string
	Tag, Digest      string // "latest", "sha256:…"; at least one is set
}

// ErrReference is returned for a text that names nothing in a registry.
var ErrReference = fail.New(fail.Usage, "not a reference", "for example: registry.example:5000/razor/microkernel:nightly, or …/microkernel@sha256:DIGEST")

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// Parse reads a reference, with or without oci:// in front. Without tag and digest the tag is latest.
func Parse(text string) (Reference, error) {
	name, digest, pinned := strings.Cut(strings.TrimPrefix(text, "oci://"), "@")
	if pinned && !digestForm.MatchString(digest) {
		return Reference{}, fmt.Errorf("read %q: %w: %q is not a sha256", text, ErrReference, digest)
	}
	r, err := registry.ParseReference(name)
	if err != nil || r.Registry == "" || strings.Contains(name, "://") {
		return Reference{}, fmt.Errorf("read %q: %w", text, ErrReference)
	}
	out := Reference{Host: r.Registry, Repository: r.Repository, Tag: r.Reference, Digest: digest}
	if out.Tag == "" && !pinned {
		out.Tag = "latest"
	}
	return out, nil
}

// Name is the repository with its host.
func (r Reference) Name() string { return r.Host + "/" + r.Repository }

// String renders the reference as people write it.
func (r Reference) String() string {
	s := r.Name()
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest
	}
	return s
}

// setUp makes the HTTP client.
func (c *Client) setUp() error {
	c.once.Do(func() {
		store := credentials.NewMemoryStore()
		err := regularOrNone(c.DockerConfig) // the library would wait for a pipe
		if err == nil && c.DockerConfig != "" {
			store, err = credentials.NewStore(c.DockerConfig, credentials.StoreOptions{})
		}
		if err != nil {
			c.err = fail.Wrap(fail.Usage, fmt.Errorf("read docker's configuration %s: %w", c.DockerConfig, err), "`docker login` writes one; DOCKER_CONFIG names the folder of another")
			return
		}
		connect, idle := orDefault(c.Connect, 10*time.Second), orDefault(c.Idle, time.Minute)
		dialer := &net.Dialer{Timeout: connect}
		t := &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: connect, ForceAttemptHTTP2: true, DisableCompression: true,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, network, addr)
				return &idleConn{conn, idle}, err
			},
		}
		c.auth = &auth.Client{Client: &http.Client{Transport: t}, Cache: auth.NewCache(), Credential: credentials.Credential(store)}
		c.auth.SetUserAgent(c.UserAgent)
	})
	return c.err
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// idleConn is a connection that fails when nothing moves for a while.
type idleConn struct {
	net.Conn
	idle time.Duration
}

// Read reads, but does not wait forever.
func (c *idleConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// Write writes, but does not wait forever.
func (c *idleConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// plain reports whether a host is asked without TLS. As with docker, one on this machine is if it has no TLS.
func (c *Client) plain(ctx context.Context, host string) (bool, error) {
	if err := c.setUp(); err != nil {
		return false, err
	}
	plain := c.PlainHTTP
	if known, ok := c.hosts.Load(host); ok {
		plain = known.(bool)
	} else if !plain && isLoopback(host) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/v2/", nil)
		if err != nil {
			return false, err
		}
		resp, err := c.auth.Client.Do(req)
		if err == nil {
			resp.Body.Close() //nolint:errcheck,gosec // nothing of it is read
		}
		plain = errors.Is(err, http.ErrSchemeMismatch)
		c.hosts.Store(host, plain)
	}
	if plain && c.RequireHTTPS {
		return true, fmt.Errorf("ask the registry %s: %w", host, fetch.ErrInsecure)
	}
	return plain, nil
}

func isLoopback(host string) bool {
	u := url.URL{Host: host}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// repository is what pushes, lists and removes.
func (c *Client) repository(ctx context.Context, r Reference) (*remote.Repository, error) {
	plain, err := c.plain(ctx, r.Host)
	if err != nil {
		return nil, err
	}
	fresh := &remote.Repository{
		Client: c.auth, PlainHTTP: plain, Reference: registry.Reference{Registry: r.Host, Repository: r.Repository},
		SkipReferrersGC: true, TagListMaxPages: maxPages, ReferrerListMaxPages: maxPages,
	}
	known, _ := c.repos.LoadOrStore(r.Name(), fresh)
	return known.(*remote.Repository), nil
}

// maxPages bounds lists that a registry hands out.
const maxPages = 1000

// attempts is how often a step of a push is tried.
const attempts = 4

// attempt does a step, again if the network or the registry failed in passing.
func attempt(ctx context.Context, what string, do func() error) error {
	wait := 500 * time.Millisecond
	for n := 1; ; n++ {
		err := do()
		if err == nil || n == attempts || ctx.Err() != nil || !passing(err) {
			return explain(ctx, what, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait *= 2
	}
}

// passing reports whether the next try may do better.
func passing(err error) bool {
	if r, ok := errors.AsType[*errcode.ErrorResponse](err); ok {
		return r.StatusCode >= 500 || r.StatusCode == http.StatusTooManyRequests || r.StatusCode == http.StatusRequestTimeout
	}
	_, network := errors.AsType[net.Error](err)
	return network
}

// explain gives an error of the network its class and advice.
func explain(ctx context.Context, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", what, ctx.Err())
	case fail.ClassOf(err) != fail.Unexpected:
		return fmt.Errorf("%s: %w", what, err)
	case errors.Is(err, errdef.ErrNotFound):
		return fail.New(fail.Network, what+": the registry has no such thing", "check the name and the tag")
	case errors.Is(err, http.ErrSchemeMismatch):
		return fail.New(fail.Network, what+": the registry speaks plain http", "add --plain-http, if nobody else is on that network")
	case denied(err):
		return fail.New(fail.Network, what+": the registry wants other credentials", loginHint)
	}
	hint := unreachableHint
	if r, ok := errors.AsType[*errcode.ErrorResponse](err); ok {
		hint = "the registry itself failed: its log says why"
		err = fmt.Errorf("the registry answered %d %s", r.StatusCode, http.StatusText(r.StatusCode))
	}
	return &fail.Error{Class: fail.Network, What: what, Hint: hint, Err: err}
}

const loginHint = "log in with `docker login HOST` (or podman, skopeo, oras): mkbuild takes credentials from docker's config.json and its helpers"

// unreachableHint is what helps where no registry answers.
const unreachableHint = "check the address, the network and the proxy settings; --plain-http is for a registry without TLS"

// denied reports whether credentials are missing or not good enough.
func denied(err error) bool {
	if r, ok := errors.AsType[*errcode.ErrorResponse](err); ok {
		return r.StatusCode == http.StatusUnauthorized || r.StatusCode == http.StatusForbidden
	}
	return errors.Is(err, auth.ErrBasicCredentialNotFound)
}

// regularOrNone refuses what is there and is not a regular file.
func regularOrNone(name string) error {
	f, _, err := hostfile.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

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
	repo, err := c.repository(ctx, r)
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
	if framed, ok := errors.AsType[*url.Error](err); ok {
		err = framed.Err
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
