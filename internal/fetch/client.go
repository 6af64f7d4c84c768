// Package fetch gets the files a build needs: from HTTP mirrors, from a mirror on disk, or from what an
// earlier run has put into the [store]. It is the only room of the builder that opens sockets, and keeps
// nothing itself. Start reading at [Client.Get].
//
// Get tries the addresses of a [Request] in order, resumes broken transfers, checks the digests it is
// given and hands out a [Blob], whose content never changes afterwards. The rules:
//
//   - A request with a digest whose content is in the store never uses the network.
//   - A request without a digest is served from the store when one of its addresses is known
//     there, unless it is Fresh: then the mirror is asked whether the file has changed.
//   - Digests are computed from the content, but for an MD5 with TrustIndex.
//   - Files on disk are copied into the store and are noticed when they change.
//   - An http address is asked over https if its host answers there.
//   - With Offline nothing is ever dialled.
//
// Bodies are stored as they arrive: no transfer compression is asked for, and a Content-Encoding that a
// server puts on a .gz file is not undone.
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

// Client fetches into one store. Set the fields before the first call; the methods are safe for
// concurrent use. Store alone is required.
type Client struct {
	// Store keeps what is fetched.
	Store *store.Store
	// Offline forbids the network: only the store and files on disk are used.
	Offline bool
	// RequireHTTPS refuses what comes over plain http, from the store too, unless a SHA-256 of the
	// request vouches for it there. Files on disk are fine.
	RequireHTTPS bool
	// TrustIndex takes an MD5 that the store remembers, instead of computing it each time. An image that is
	// built without a lock trusts the store's index anyway: for what an address gave, and for what was
	// made of it. Whatever pins content, such as a lock, must not.
	TrustIndex bool
	// Sink hears about progress, and about mirrors that were passed over; nil drops it all.
	Sink ui.Sink
	// HTTP tunes the transfers; the zero value is right outside tests.
	HTTP Options
	// OCI answers requests for oci:// addresses, as a web server would: it is that of a registry. The header
	// Docker-Content-Digest of an answer is the digest of the whole file. Without it there are no such addresses.
	OCI http.RoundTripper
	// UserAgent is sent with each request; empty means "mkbuild".
	UserAgent string

	once     sync.Once
	web      *web
	mu       sync.Mutex
	firstUse []string
}

// Blob is a whole file that was checked, and where it came from.
type Blob struct {
	*store.Blob
	// URL is the source that gave it, without a password; empty when the SHA-256 alone found
	// it. It can differ from run to run with the state of mirrors and store, so it belongs in
	// messages, not in images.
	URL string
	// Source is the index of URL in [Request.URLs], or -1: the mirror to ask for what belongs
	// to this file.
	Source int

	plain bool // see [Client.FirstUse]
}

// Get returns the content that r asks for. Its error wraps [ErrNotFound], [ErrUnreachable],
// [ErrOffline], [ErrInsecure], [ErrContent], [ErrTooLarge], [ErrAddress], [store.ErrWrite] or that of
// ctx, or is a [*ChecksumError].
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

// done reports that content is there and checked. Index files (Fresh or Optional) pass without a word:
// a build asks for two of them per extension.
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

// FirstUse returns the names of the files, sorted, that were handed out so far although they came
// over plain http, now or when they were stored, and no SHA-256 of the request vouched for them:
// anyone on the way could have changed them, and the MD5 next to them. The small files that are
// asked for anew each time ([Request.Fresh], [Request.Optional]) are not counted.
func (c *Client) FirstUse() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.Sort(c.firstUse)
	return slices.Clone(slices.Compact(c.firstUse))
}
