// Package registry pushes images, inputs and segments to OCI registries, and gets them from there. No other
// package knows OCI's names and layouts.
//
// A registry's content is not trusted: all but the manifest of a tag is requested by its digest, and the package
// fetch checks it before use. A [Client] is the [http.RoundTripper] of fetch for oci:// addresses: resuming,
// limits, progress, --offline and the cache work as for every other download.
//
// An image is a manifest of OCI 1.1 with an artifact type of its own, whose layers are the kernel, each segment
// of the initrd and the rest of the medium (source.go), and a layout that joins them to the medium (layout.go).
// Common parts of two images are stored once. Signatures, attestations and bills of materials refer to an image
// (referrers.go).
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

// Client sends requests to registries. Set the fields before the first call; the methods are safe for concurrent
// use.
type Client struct {
	// PlainHTTP disables TLS, as for every registry on this machine.
	PlainHTTP bool
	// RequireHTTPS refuses a registry without TLS.
	RequireHTTPS bool
	// DockerConfig is the path of docker's config.json, which has credentials or names credential helpers. It may
	// be missing or "".
	DockerConfig string
	// UserAgent is sent with each request.
	UserAgent string
	// HTTP has the limits of a connection attempt, and of the wait for the next byte: a minute if 0.
	HTTP fetch.Options

	once    sync.Once
	auth    *auth.Client
	err     error    // of reading docker's configuration
	repos   sync.Map // *remote.Repository by name: it remembers the registry's features
	mirrors sync.Map // digests of their files, by name
}

// Reference names an object in a registry. A digest wins over the tag.
type Reference struct {
	Host, Repository string
	Tag, Digest      string // "latest", "sha256:…"; at least one is set
}

// ErrReference is returned for a text that is not a reference.
var ErrReference = fail.New(fail.Usage, "not a reference", "for example: registry.example:5000/razor/microkernel:nightly, or …/microkernel@sha256:DIGEST")

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// Parse reads a reference, with or without oci:// in front. Without tag and digest the tag is latest.
func Parse(text string) (Reference, error) {
	name, digest, pinned := strings.Cut(strings.TrimPrefix(text, "oci://"), "@")
	if strings.Contains(digest, "/") { // the text is not repeated
		return Reference{}, fmt.Errorf("read a reference with a user or a password in it: %w", ErrReference)
	}
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

// String renders the reference as users write it.
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
		c.auth = &auth.Client{Client: &http.Client{Transport: c.transport(), CheckRedirect: fetch.CheckRedirect}, Cache: auth.NewCache()}
		c.auth.SetUserAgent(c.UserAgent)
		c.auth.Credential, c.err = c.credentials()
	})
	return c.err
}

// transport is that of every download, with a limit on stalled uploads, too.
func (c *Client) transport() *http.Transport {
	t := c.HTTP.Network()
	dial, idle := t.DialContext, cmp.Or(c.HTTP.Idle, time.Minute)
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		return &idleConn{conn, idle}, err
	}
	return t
}

// credentials gets credentials for a host from docker's configuration, if there is one.
func (c *Client) credentials() (auth.CredentialFunc, error) {
	f, _, err := hostfile.Open(c.DockerConfig) // the library would wait for a pipe
	var store credentials.Store
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		f.Close() //nolint:errcheck,gosec // only looked at
		store, err = credentials.NewStore(c.DockerConfig, credentials.StoreOptions{})
	}
	if err != nil {
		return nil, fail.Wrap(fail.Usage, fmt.Errorf("read docker's configuration %s: %w", c.DockerConfig, err), "`docker login` writes one; DOCKER_CONFIG names the folder of another")
	}
	return func(ctx context.Context, host string) (auth.Credential, error) {
		found, err := credentials.Credential(store)(ctx, host)
		if err != nil {
			err = fail.Wrap(fail.Usage, fmt.Errorf("docker's credential helper: %w", err), loginHint)
		}
		return found, err
	}, nil
}

// idleConn is a connection that fails if it stalls in either direction.
type idleConn struct {
	net.Conn
	idle time.Duration
}

// Read reads with a time limit.
func (c *idleConn) Read(b []byte) (int, error) { return c.within(c.Conn.Read, b) }

// Write writes with a time limit. A Read may wait for the answer meanwhile.
func (c *idleConn) Write(b []byte) (int, error) { return c.within(c.Conn.Write, b) }

func (c *idleConn) within(move func([]byte) (int, error), b []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	return move(b)
}

func isLoopback(host string) bool {
	u := url.URL{Host: host}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// repository is a repository of a registry. As with docker, a registry on this machine is asked without TLS.
func (c *Client) repository(r Reference) (*remote.Repository, error) {
	if err := c.setUp(); err != nil {
		return nil, err
	}
	plain := c.PlainHTTP || isLoopback(r.Host)
	if plain && c.RequireHTTPS {
		return nil, fmt.Errorf("ask the registry %s: %w", r.Host, fetch.ErrInsecure)
	}
	fresh := &remote.Repository{
		Client: c.auth, PlainHTTP: plain, Reference: registry.Reference{Registry: r.Host, Repository: r.Repository},
		SkipReferrersGC: true, TagListMaxPages: maxPages, ReferrerListMaxPages: maxPages,
	}
	known, _ := c.repos.LoadOrStore(r.Name(), fresh)
	return known.(*remote.Repository), nil
}

// Limits for a registry's content.
const (
	maxPages     = 1000 // of a list
	maxManifest  = 4 << 20
	maxLayers    = 10_000
	maxReferrers = 1000 // each is asked for
)

const (
	together = 4 // blobs are moved at once
	attempts = 4 // attempts of a step of a push
)

// attempt does a step, again after a passing failure of the network or the registry.
func attempt(ctx context.Context, what string, do func() error) error {
	for n, wait := 1, 500*time.Millisecond; ; n, wait = n+1, 2*wait {
		err := do()
		if err == nil || n == attempts || ctx.Err() != nil || !passing(err) {
			return explain(ctx, what, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// status is the HTTP status of a registry's error, 0 for another error.
func status(err error) int {
	if r, ok := errors.AsType[*errcode.ErrorResponse](err); ok {
		return r.StatusCode
	}
	return 0
}

// passing reports whether the next try may do better.
func passing(err error) bool {
	code := status(err)
	_, network := errors.AsType[net.Error](err)
	return network || code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout
}

// denied reports whether credentials are missing or not good enough.
func denied(err error) bool {
	code := status(err)
	return code == http.StatusUnauthorized || code == http.StatusForbidden || errors.Is(err, auth.ErrBasicCredentialNotFound)
}

// bare returns an error of the network without method and address: that may come from a redirect and contain a
// token.
func bare(err error) error {
	if framed, ok := errors.AsType[*url.Error](err); ok {
		return framed.Err
	}
	return err
}

const (
	loginHint = "log in with `docker login HOST` (or podman, skopeo, oras): mkbuild takes credentials from docker's config.json and its helpers"
	// unresolvedHint is for a reference without its registry, which docker's users may leave out.
	unresolvedHint  = "begin with the registry's name, as in registry.example:5000/razor/mk:1.0; check that name, and the network"
	unreachableHint = "check the address, the network and the proxy settings; --plain-http is for a registry without TLS"
)

// explain adds class and hint to an error of the network.
func explain(ctx context.Context, what string, err error) error {
	_, unresolved := errors.AsType[*net.DNSError](err)
	switch code := status(err); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", what, ctx.Err())
	case fail.ClassOf(err) != fail.Unexpected:
		return fmt.Errorf("%s: %w", what, err)
	case errors.Is(err, errdef.ErrNotFound):
		return fail.New(fail.Network, what+": the registry does not have it", "check the name and the tag")
	case errors.Is(err, http.ErrSchemeMismatch):
		return fail.New(fail.Network, what+": the registry uses plain http", "add --plain-http, if you trust that network")
	case denied(err):
		return fail.New(fail.Network, what+": the registry refuses these credentials", loginHint)
	case code > 0:
		return fail.New(fail.Network, fmt.Sprintf("%s: the registry answered %d %s", what, code, http.StatusText(code)), "the registry itself failed: its log says why")
	case unresolved:
		return fail.Wrap(fail.Network, fmt.Errorf("%s: %w", what, bare(err)), unresolvedHint)
	case passing(err):
		return fail.Wrap(fail.Network, fmt.Errorf("%s: %w", what, bare(err)), unreachableHint)
	}
	return fmt.Errorf("%s: %w", what, bare(err))
}
