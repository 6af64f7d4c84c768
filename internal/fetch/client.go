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
//   - Digests are computed from the content, never taken from the store.
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
	"io"
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
	// Sink hears about progress, and about mirrors that were passed over; nil drops it all.
	Sink ui.Sink
	// HTTP tunes the transfers; the zero value is right outside tests.
	HTTP Options
	// UserAgent is sent with each request; empty means "mkbuild".
	UserAgent string

	once     sync.Once
	web      *web
	mu       sync.Mutex
	firstUse []string
}

// Get returns the content that r asks for. Its error wraps [ErrNotFound], [ErrUnreachable],
// [ErrOffline], [ErrContent], [ErrTooLarge] or [ErrAddress], is a [*ChecksumError], wraps a
// [*store.WriteError] or that of ctx, or says that https is required.
func (c *Client) Get(ctx context.Context, r Request) (*Blob, error) {
	j, err := c.newJob(r)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", r.Name, err)
	}
	b := j.fromStore(ctx)
	if b == nil {
		bounded, cancel := c.web.limits.bound(ctx)
		defer cancel()
		b, err = j.fromSources(bounded)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("fetch %s: %w", r.Name, ctx.Err())
	}
	if err != nil {
		return nil, err
	}
	j.done(b)
	return b, nil
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

// trust notes a name for [Client.FirstUse].
func (c *Client) trust(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.firstUse = append(c.firstUse, name)
}

func (c *Client) event(e ui.Event) {
	if c.Sink != nil {
		e.Step = "fetch"
		c.Sink.Event(e)
	}
}

// start makes what asks the servers, once.
func (c *Client) start() *web {
	c.once.Do(func() { c.web = newWeb(c.HTTP.withDefaults(), c.UserAgent) })
	return c.web
}

// Blob is a whole file that was checked. Its bytes never change.
type Blob struct {
	// SHA256 is the hex digest of the content.
	SHA256 string
	// Size is the length in bytes.
	Size int64
	// URL is the source that gave it, without a password; empty when the SHA-256 alone found
	// it. It can differ from run to run with the state of mirrors and store, so it belongs in
	// messages, not in images.
	URL string
	// Source is the index of URL in [Request.URLs], or -1: the mirror to ask for what belongs
	// to this file.
	Source int
	// Cached is true if nothing was transferred.
	Cached bool

	name    string
	plain   bool // see [Client.FirstUse]
	content *store.Blob
}

// Reader reads the content from its beginning. It may be used until the store is closed.
func (b *Blob) Reader() *io.SectionReader { return b.content.Reader() }

// ReadAll returns the content, or an [ErrTooLarge] if it is longer than limit bytes.
func (b *Blob) ReadAll(limit int64) ([]byte, error) {
	if b.Size > limit {
		return nil, tooLarge(b.name, b.URL, limit)
	}
	data := make([]byte, b.Size)
	if _, err := io.ReadFull(b.Reader(), data); err != nil {
		return nil, fmt.Errorf("read cached %s: %w", b.name, err)
	}
	return data, nil
}

// Discard drops the content from the store, so that the next [Client.Get] fetches it anew. It is for
// content that no digest vouched for and that turned out to be unusable, such as an archive that a
// proxy has cut off.
func (b *Blob) Discard() { b.content.Discard() }
