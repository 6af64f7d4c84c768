// Package fetch gets the files that a build needs: from HTTP mirrors, from a mirror on disk, or from the [store].
// Start reading at [Client.Get].
//
// Get tries the addresses of a [Request] in order, resumes broken transfers, checks the digests and returns a
// [Blob], whose content never changes. The rules:
//
//   - A request with a digest whose content is in the store never uses the network.
//   - A request without a digest is served from the store when one of its addresses is known
//     there, unless it is Fresh: then the mirror is asked whether the file has changed.
//   - Digests are computed from the content, except an MD5 with TrustIndex.
//   - Files on disk are copied into the store, again when they change.
//   - An http address is asked over https if its host answers there.
//   - With Offline no connection is made.
//
// Bodies are stored as they arrive: no transfer compression is asked for, and a Content-Encoding that a server
// puts on a .gz file is not undone.
package fetch

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"mkbuild/internal/store"
	"mkbuild/internal/ui"
)

// Client fetches into one store. Set the fields before the first call; the methods are safe for concurrent use.
// Only Store is required.
type Client struct {
	// Store keeps the files.
	Store *store.Store
	// Offline forbids the network: only the store and files on disk are used.
	Offline bool
	// RequireHTTPS refuses files that came over plain http, also from the store, unless the request has their
	// SHA-256. Files on disk are accepted.
	RequireHTTPS bool
	// TrustIndex uses an MD5 that the store remembers instead of computing it each time. An image built without a
	// lock trusts the store's index anyway, for downloads and for segments. A request that pins content must not
	// set it.
	TrustIndex bool
	// Sink gets progress and skipped mirrors; nil drops both.
	Sink ui.Sink
	// HTTP tunes the transfers; the zero value is right outside tests.
	HTTP Options
	// OCI answers requests for oci:// addresses as a web server would: it is a registry's client. The header
	// Docker-Content-Digest of an answer is the digest of the whole file. Without OCI such addresses are errors.
	OCI http.RoundTripper
	// UserAgent is sent with each request; empty means "mkbuild".
	UserAgent string

	once     sync.Once
	web      *web
	mu       sync.Mutex
	firstUse []string
}

// Blob is a checked file and its origin.
type Blob struct {
	*store.Blob
	// URL is the source of the file, without a password; empty if only the SHA-256 found it. It can differ from
	// run to run, so it belongs in messages, not in images.
	URL string
	// Source is the index of URL in [Request.URLs], or -1. That mirror has the files that belong to this one.
	Source int

	plain bool // see [Client.FirstUse]
}

// Get returns the requested content. Its error wraps [ErrNotFound], [ErrUnreachable], [ErrOffline],
// [ErrInsecure], [ErrContent], [ErrTooLarge], [ErrAddress], [store.ErrWrite] or that of ctx, or is a
// [*ChecksumError].
func (c *Client) Get(ctx context.Context, r Request) (*Blob, error) {
	c.once.Do(func() { c.web = newWeb(c.HTTP.withDefaults(), c.UserAgent, c.OCI) })
	j, err := newJob(c, r)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", r.Name, err)
	}
	b := j.fromStore(ctx)
	if b == nil {
		total := c.web.limits.Total
		bounded, cancel := context.WithTimeoutCause(ctx, total, fmt.Errorf("not complete after %v", total))
		defer cancel()
		b, err = j.fromSources(bounded)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("fetch %s: %w", r.Name, ctx.Err())
	}
	if err == nil {
		c.done(j, b)
	}
	return b, err
}

// done reports checked content. Index files (Fresh or Optional) are not reported: a build asks for two of them
// per extension.
func (c *Client) done(j *job, b *Blob) {
	if j.Fresh || j.Optional {
		return
	}
	if b.plain {
		c.mu.Lock()
		c.firstUse = append(c.firstUse, j.Name)
		c.mu.Unlock()
	}
	if b.Size == 0 {
		return
	}
	e := ui.Event{Level: ui.Progress, Item: j.Name, Done: b.Size, Total: b.Size}
	if b.Cached {
		e.Text = "from the cache"
	}
	c.event(e)
}

func (c *Client) event(e ui.Event) {
	if c.Sink != nil {
		e.Step = "fetch"
		c.Sink.Event(e)
	}
}

// FirstUse returns the sorted names of the files that came over plain http, now or when they were stored, without
// a SHA-256 in the request: anyone on the way could have changed them, and the MD5 next to them. Small files that
// are asked for each time ([Request.Fresh], [Request.Optional]) are not counted.
func (c *Client) FirstUse() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.Sort(c.firstUse)
	return slices.Clone(slices.Compact(c.firstUse))
}
