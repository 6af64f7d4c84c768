// Package registry puts images, inputs and what is derived of them into OCI registries, and gets them from
// there. It is the one room that knows how OCI names and lays out things.
//
// What a registry gives is not trusted: everything is asked for by its digest, but for the manifest of a tag,
// and the package fetch checks what comes before anybody reads it. A [Client] is the [http.RoundTripper] of
// fetch for oci:// addresses, so that resuming, limits, progress, --offline and the cache are those of every
// other download.
//
// An image is a manifest of OCI 1.1 with an artifact type of its own, whose layers are the kernel, each segment
// of the initrd and the rest of the medium (source.go), and a layout that says how the medium is put together of
// them (layout.go). What two images have in common is stored once. Signatures, attestations and bills of
// materials refer to an image (referrers.go).
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

// Client asks registries. Set the fields before the first call; the methods are safe for concurrent use.
type Client struct {
	// PlainHTTP asks without TLS. A registry on this machine is asked so anyway.
	PlainHTTP bool
	// RequireHTTPS refuses a registry that is asked without TLS.
	RequireHTTPS bool
	// DockerConfig is docker's config.json, which has credentials or names the helpers that have them; it need
	// not be there, and "" is none.
	DockerConfig string
	// UserAgent is sent with each request.
	UserAgent string
	// HTTP has the limits of a connection attempt, and of the wait for the next byte: a minute if 0.
	HTTP fetch.Options

	once    sync.Once
	auth    *auth.Client
	err     error    // of reading docker's configuration
	repos   sync.Map // *remote.Repository by name: it remembers what the registry can do
	mirrors sync.Map // digests of their files, by name
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
		c.auth = &auth.Client{Client: &http.Client{Transport: c.transport(), CheckRedirect: fetch.CheckRedirect}, Cache: auth.NewCache()}
		c.auth.SetUserAgent(c.UserAgent)
		c.auth.Credential, c.err = c.credentials()
	})
	return c.err
}

// transport is that of every download, but that it bounds what is sent, too.
func (c *Client) transport() *http.Transport {
	t := c.HTTP.Network()
	dial, idle := t.DialContext, cmp.Or(c.HTTP.Idle, time.Minute)
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		return &idleConn{conn, idle}, err
	}
	return t
}

// credentials gets credentials for a host as docker's configuration tells, if there is one.
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

// idleConn is a connection that fails when nothing moves for a while, in one direction or the other.
type idleConn struct {
	net.Conn
	idle time.Duration
}

// Read reads, but does not wait forever.
func (c *idleConn) Read(b []byte) (int, error) { return c.within(c.Conn.Read, b) }

// Write writes, but does not wait forever. The answer may be waited for meanwhile.
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

// repository is one of a registry. As with docker, one on this machine is asked without TLS.
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

// Bounds of what a registry hands out.
const (
	maxPages     = 1000 // of a list
	maxManifest  = 4 << 20
	maxLayers    = 10_000
	maxReferrers = 1000 // each is asked for
)

const (
	together = 4 // blobs are moved at once
	attempts = 4 // is how often a step of a push is tried
)

// attempt does a step, again if the network or the registry failed in passing.
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

// status is what a registry answered that refuses, 0 for another error.
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

// bare returns an error of the network without method and address, which may have been that of a redirect and
// carry a token.
func bare(err error) error {
	if framed, ok := errors.AsType[*url.Error](err); ok {
		return framed.Err
	}
	return err
}

const (
	loginHint = "log in with `docker login HOST` (or podman, skopeo, oras): mkbuild takes credentials from docker's config.json and its helpers"
	// unresolvedHint helps where a reference lacks its registry, which docker's users may leave out.
	unresolvedHint  = "a reference begins with the registry, as in registry.example:5000/razor/mk:1.0; check its name, and the network"
	unreachableHint = "check the address, the network and the proxy settings; --plain-http is for a registry without TLS"
)

// explain gives an error of the network its class and advice.
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
		return fail.New(fail.Network, what+": the registry has no such thing", "check the name and the tag")
	case errors.Is(err, http.ErrSchemeMismatch):
		return fail.New(fail.Network, what+": the registry speaks plain http", "add --plain-http, if nobody else is on that network")
	case denied(err):
		return fail.New(fail.Network, what+": the registry wants other credentials", loginHint)
	case code > 0:
		return fail.New(fail.Network, fmt.Sprintf("%s: the registry answered %d %s", what, code, http.StatusText(code)), "the registry itself failed: its log says why")
	case unresolved:
		return fail.Wrap(fail.Network, fmt.Errorf("%s: %w", what, bare(err)), unresolvedHint)
	case passing(err):
		return fail.Wrap(fail.Network, fmt.Errorf("%s: %w", what, bare(err)), unreachableHint)
	}
	return fmt.Errorf("%s: %w", what, bare(err))
}
