// Package fetch brings the files a build needs into a content-addressed cache: from HTTP
// mirrors, from a mirror on disk, or from what an earlier run has left. It is the only room of
// the builder that opens sockets.
//
// [Client.Get] tries the addresses of a [Request] in order, resumes broken transfers, checks
// the digests it is given and hands out a [Blob]: a whole file under its SHA-256, which never
// changes afterwards. The rules:
//
//   - A request with a digest whose content is in the cache never uses the network.
//   - A request without a digest is served from the cache when one of its addresses is known
//     there, unless it is Fresh: then the mirror is asked whether the file has changed.
//   - Files on disk are read through the same cache and are noticed when they change.
//   - An http address is asked over https where its host answers there.
//   - With Offline nothing is ever dialled.
//   - Every cached byte is hashed again before its first use in a process; damaged content is
//     dropped and fetched anew.
//   - Entries appear by rename, so several processes can share a cache without a lock, and an
//     interrupt leaves no partial file.
//
// Bodies are stored as they arrive: no transfer compression is asked for, and a
// Content-Encoding that a server puts on a .gz file is not undone.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"mkbuild/internal/ui"
)

// Client fetches into one cache. Set the fields before the first call; the methods are safe
// for concurrent use. CacheDir alone is required.
type Client struct {
	// CacheDir holds blobs and index; it is made when something is first stored.
	CacheDir string
	// Offline forbids the network: only the cache and files on disk are used.
	Offline bool
	// RequireHTTPS refuses what comes over plain http, from the cache too, unless a SHA-256 of the
	// request vouches for it there. Files on disk are fine.
	RequireHTTPS bool
	// Sink hears about progress, and about mirrors that were passed over; nil drops it all.
	Sink ui.Sink
	// HTTP tunes the transfers; the zero value is right outside tests.
	HTTP Options
	// UserAgent is sent with each request; empty means "mkbuild".
	UserAgent string

	once    sync.Once
	http    *http.Client
	session session
	hosts   hosts

	secure secureHosts
	first  firstUse
}

// Options are the limits of HTTP transfers. A zero field takes its default.
type Options struct {
	// Transport replaces the network in tests.
	Transport http.RoundTripper
	// Connect bounds one connection attempt, name look-up included: 10 s.
	Connect time.Duration
	// Probe bounds the question whether the host of an http address answers on https: 3 s.
	Probe time.Duration
	// Idle bounds the wait for the next byte: 30 s.
	Idle time.Duration
	// MinRate is how many bytes a second a body must bring, counted over one and a half Idle: 1024. A
	// mirror that is slower counts as one that stalls.
	MinRate int64
	// Total bounds one Get, retries and every mirror included: 2 h.
	Total time.Duration
	// Attempts is how often one address may fail in a row without moving forward: 4.
	Attempts int
	// Backoff is the pause after the first failure, doubled for each further one and
	// shortened by up to half at random: 500 ms.
	Backoff time.Duration
	// MaxWait bounds a single pause; a server whose Retry-After asks for more is given up: 30 s.
	MaxWait time.Duration
}

// withDefaults fills the zero fields of o.
func (o Options) withDefaults() Options {
	set := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	set(&o.Connect, 10*time.Second)
	set(&o.Probe, 3*time.Second)
	set(&o.Idle, 30*time.Second)
	set(&o.Total, 2*time.Hour)
	set(&o.Backoff, 500*time.Millisecond)
	set(&o.MaxWait, 30*time.Second)
	if o.Attempts <= 0 {
		o.Attempts = 4
	}
	if o.MinRate <= 0 {
		o.MinRate = 1024
	}
	return o
}

// rateWindow is the time over which a rate is counted. It is longer than Idle, so that a mirror that
// falls silent after its first bytes is one that is silent.
func (o Options) rateWindow() time.Duration { return o.Idle * 3 / 2 }

// leastStep is what a transfer must bring within a rateWindow.
func (o Options) leastStep() int64 { return int64(o.rateWindow().Seconds() * float64(o.MinRate)) }

// Get returns the content that r asks for. Its error is one of [*NotFoundError],
// [*NetworkError], [*OfflineError], [*ChecksumError], [*ContentError], [*SizeError],
// [*CacheError], [*InsecureError], an [ErrAddress], or wraps the error of ctx.
func (c *Client) Get(ctx context.Context, r Request) (*Blob, error) {
	j, err := c.newJob(r)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", r.Name, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("fetch %s: %w", r.Name, err)
	}
	if err := j.session.use(ctx, c.CacheDir); err != nil {
		return nil, fmt.Errorf("fetch %s: %w", r.Name, err)
	}
	if b := j.fromCache(); b != nil {
		j.finished(b)
		return b, nil
	}
	total := c.HTTP.withDefaults().Total
	bounded, cancel := context.WithTimeoutCause(ctx, total, &StallError{After: total, Whole: true})
	defer cancel()
	b, err := j.fromSources(bounded)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("fetch %s: %w", r.Name, ctx.Err())
	}
	if err != nil {
		return nil, err
	}
	j.finished(b)
	return b, nil
}

func (c *Client) sink() ui.Sink {
	if c.Sink == nil {
		return ui.Discard{}
	}
	return c.Sink
}

func (j *job) inform(text string) {
	j.sink().Event(ui.Event{Level: ui.Info, Step: stepName, Item: j.Name, Text: text})
}

func (c *Client) warn(item, text string) {
	c.sink().Event(ui.Event{Level: ui.Warning, Step: stepName, Item: item, Text: text})
}

// stepName is the name of this room's events.
const stepName = "fetch"

// errNoCacheDir is a mistake of the caller, not of the user.
var errNoCacheDir = errors.New("no cache directory given")
