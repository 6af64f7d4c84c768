// Package registry puts images, inputs and what is derived of them into OCI registries, and gets them from
// there. It is the one room that knows how OCI names and lays out things.
//
// What a registry gives is not trusted: everything is asked for by its digest, but for the manifest of a tag,
// and the package fetch checks what comes before anybody reads it. A [Client] is the [http.RoundTripper] of
// fetch for oci:// addresses, so that resuming, limits, progress, --offline and the cache are those of every
// other download.
//
// The objects: an image is an image manifest of OCI 1.1 with an artifact type of its own (source.go), whose
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
	// Connect and Idle bound a connection attempt and the wait for the next byte: 10 s and a minute if 0.
	Connect, Idle time.Duration

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
		store := credentials.NewMemoryStore()
		err := regularOrNone(c.DockerConfig) // the library would wait for a pipe
		if err == nil && c.DockerConfig != "" {
			store, err = credentials.NewStore(c.DockerConfig, credentials.StoreOptions{})
		}
		if err != nil {
			c.err = fail.Wrap(fail.Usage, fmt.Errorf("read docker's configuration %s: %w", c.DockerConfig, err), "`docker login` writes one; DOCKER_CONFIG names the folder of another")
			return
		}
		connect, idle := cmp.Or(c.Connect, 10*time.Second), cmp.Or(c.Idle, time.Minute)
		dialer := &net.Dialer{Timeout: connect}
		t := &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: connect, ForceAttemptHTTP2: true, DisableCompression: true,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, network, addr)
				return &idleConn{conn, idle}, err
			},
		}
		c.auth = &auth.Client{Client: &http.Client{Transport: t, CheckRedirect: fetch.CheckRedirect}, Cache: auth.NewCache(), Credential: asked(store)}
		c.auth.SetUserAgent(c.UserAgent)
	})
	return c.err
}

// asked gets credentials for a host, and says so if the program cannot that docker's configuration names for that.
func asked(store credentials.Store) auth.CredentialFunc {
	return func(ctx context.Context, host string) (auth.Credential, error) {
		c, err := credentials.Credential(store)(ctx, host)
		if err != nil {
			err = fail.Wrap(fail.Usage, fmt.Errorf("docker's credential helper: %w", err), loginHint)
		}
		return c, err
	}
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
	maxPages    = 1000 // of a list
	maxManifest = 4 << 20
	maxLayers   = 10_000
)

// together is how many blobs are moved at once.
const together = 4

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

// bare returns an error of the network without method and address, which may have been that of a redirect and
// carry a token.
func bare(err error) error {
	if framed, ok := errors.AsType[*url.Error](err); ok {
		return framed.Err
	}
	return err
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
	if r, ok := errors.AsType[*errcode.ErrorResponse](err); ok {
		return fail.New(fail.Network, fmt.Sprintf("%s: the registry answered %d %s", what, r.StatusCode, http.StatusText(r.StatusCode)), "the registry itself failed: its log says why")
	}
	said := fmt.Errorf("%s: %w", what, bare(err))
	if passing(err) {
		return fail.Wrap(fail.Network, said, unreachableHint)
	}
	return said
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
