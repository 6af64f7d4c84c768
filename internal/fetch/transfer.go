package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mkbuild/internal/store"
	"mkbuild/internal/ui"
)

// fromWeb downloads a source, over https if its host has it. The first file decides whether the host's https is
// the same mirror.
func (j *job) fromWeb(ctx context.Context, s source) (*Blob, error) {
	up, host := j.client.web.secured(ctx, s)
	if host == nil {
		if s.u.Scheme == "http" && j.client.RequireHTTPS {
			return nil, ErrInsecure
		}
		return j.fromHTTP(ctx, s, s.u)
	}
	b, err := j.fromHTTP(ctx, s, up.u)
	if err == nil {
		host.proven.Store(true)
	}
	if err == nil || j.client.RequireHTTPS || host.proven.Load() || ctx.Err() != nil || errors.Is(err, store.ErrWrite) {
		return b, err
	}
	if b, err = j.fromHTTP(ctx, s, s.u); err == nil {
		host.tls.Store(false)
	}
	return b, err
}

// transfer downloads one file from one HTTP address into the store, in several attempts if needed.
type transfer struct {
	job *job
	in  *incoming
	u   *url.URL
	// known, if set, is the stored content: ask only for something newer.
	known *record
	// etag and modified are the validators of the received bytes.
	etag, modified string
	// resumed is true if it was put together from several answers.
	resumed     bool
	tls         bool // it came over https
	notModified bool
}

// fromHTTP downloads a source from u, its address or the https form of it, or finds that the stored copy is
// current. It records the absence of an optional file.
func (j *job) fromHTTP(ctx context.Context, s source, u *url.URL) (*Blob, error) {
	host := j.client.web.host(source{u: u})
	if down := host.down.Load(); down != nil {
		return nil, &hostError{host: u.Host, err: *down, again: true}
	}
	in, err := j.receive(ctx, s)
	if err != nil {
		return nil, err
	}
	defer in.out.Abort()
	t := &transfer{job: j, in: in, u: u}
	current := t.revalidate(ctx)
	b, err := t.get(ctx, current)
	if dialFailed(err) || isA[*tls.CertificateVerificationError](err) {
		why := err
		host.down.Store(&why)
		err = &hostError{host: u.Host, err: err}
	}
	if j.Optional && errors.Is(err, ErrNotFound) {
		if rerr := j.record(ctx, s, record{TLS: u.Scheme == "https" || t.tls}); rerr != nil {
			return nil, rerr
		}
	}
	return b, err
}

// revalidate returns the stored content for a conditional request; nil if the request does not allow one.
func (t *transfer) revalidate(ctx context.Context) *Blob {
	j, s := t.job, t.in.src
	r := j.recorded(s)
	if !j.Fresh || j.pinned() || j.refused(s, r) || r == nil || r.ETag == "" && r.LastModified == "" {
		return nil
	}
	b := j.stored(ctx, s, r)
	if b != nil {
		t.known = r
	}
	return b
}

// get downloads the file, unless current still is its content.
func (t *transfer) get(ctx context.Context, current *Blob) (*Blob, error) {
	for {
		if err := t.run(ctx); err != nil {
			return nil, err
		}
		if t.notModified {
			return current, nil
		}
		b, err := t.in.keep(ctx, record{ETag: t.etag, LastModified: t.modified, TLS: t.u.Scheme == "https" || t.tls})
		if !isA[*ChecksumError](err) || !t.resumed {
			return b, err
		}
		// Two versions of the file may have been spliced; one whole transfer settles it.
		t.etag, t.modified, t.resumed = "", "", false
		if err := t.in.restart(-1); err != nil {
			return nil, err
		}
	}
}

// run repeats attempts until the file is complete. Only failures in a row without progress count, so that a large
// file arrives even if the connection breaks every few megabytes.
func (t *transfer) run(ctx context.Context) error {
	o := t.job.client.web.limits
	failed, best := 0, int64(0)
	for {
		err := t.attempt(ctx, o)
		if err == nil || ctx.Err() != nil || lasting(err) {
			return err
		}
		failed += weight(err)
		if t.validator() != "" && t.in.out.Size() >= best+o.leastStep() {
			failed, best = 1, t.in.out.Size()
		}
		wait, ok := pause(o, failed, err)
		if failed >= o.Attempts || !ok {
			return err
		}
		t.job.say(ui.Info, t.job.passedOver(t.in.src, err)+"; trying again")
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// attempt sends one request and reads the answer.
func (t *transfer) attempt(ctx context.Context, o Options) error {
	ctx, dog := o.watch(ctx)
	defer dog.stop()
	h, err := t.header()
	if err != nil {
		return err
	}
	resp, err := t.job.client.web.get(ctx, t.u, h)
	if err != nil {
		return cause(ctx, err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if err := t.accept(resp); err != nil || t.notModified {
		return err
	}
	dog.Reader = resp.Body
	if _, err := io.Copy(t.in, dog); err != nil {
		return cause(ctx, t.truncated(err))
	}
	if t.in.total >= 0 && t.in.out.Size() != t.in.total {
		return t.truncated(io.ErrUnexpectedEOF)
	}
	return nil
}

// header asks for the rest of the file if the server can tell that it is unchanged, otherwise for the whole.
func (t *transfer) header() (http.Header, error) {
	h := http.Header{}
	if v := t.validator(); t.in.out.Size() > 0 && v != "" {
		h.Set("Range", fmt.Sprintf("bytes=%d-", t.in.out.Size()))
		h.Set("If-Range", v)
		return h, nil
	}
	if t.known != nil && t.known.ETag != "" {
		h.Set("If-None-Match", t.known.ETag)
	} else if t.known != nil {
		h.Set("If-Modified-Since", t.known.LastModified)
	}
	return h, t.in.restart(-1)
}

// validator returns a valid value of If-Range (RFC 9110 section 13.1.5): a strong ETag or a date.
func (t *transfer) validator() string {
	if t.etag != "" && !strings.HasPrefix(t.etag, "W/") {
		return t.etag
	}
	return t.modified
}

// accept looks at status and headers, and prepares for the body.
func (t *transfer) accept(resp *http.Response) error {
	if t.u.Scheme == "oci" {
		t.tls, t.in.digest = resp.TLS != nil, strings.TrimPrefix(resp.Header.Get("Docker-Content-Digest"), "sha256:")
	}
	switch resp.StatusCode {
	case http.StatusOK: // also from a server that ignores Range
		t.etag, t.modified, t.resumed = resp.Header.Get("ETag"), resp.Header.Get("Last-Modified"), false
		return t.in.restart(resp.ContentLength)
	case http.StatusPartialContent:
		return t.rest(resp)
	case http.StatusNotModified:
		if t.known != nil && t.in.out.Size() == 0 {
			t.notModified = true
			return nil
		}
	case http.StatusNotFound, http.StatusGone:
		return ErrNotFound
	case http.StatusRequestedRangeNotSatisfiable:
		t.etag, t.modified = "", "" // the file has shrunk: start again
	}
	return &statusError{code: resp.StatusCode, after: retryAfter(resp.Header)}
}

// rest prepares for the continuation of the file (RFC 9110 section 14.4); one that does not fit starts it
// again. A length of "*" does not fit: it could not be checked.
func (t *transfer) rest(resp *http.Response) error {
	v, at := resp.Header.Get("Content-Range"), t.in.out.Size()
	same := t.etag == "" || resp.Header.Get("ETag") == "" || resp.Header.Get("ETag") == t.etag
	size, err := strconv.ParseInt(v[strings.LastIndex(v, "/")+1:], 10, 64)
	if err == nil && same && at > 0 && size > at && size <= t.job.MaxSize && (t.in.total < 0 || size == t.in.total) &&
		v == fmt.Sprintf("bytes %d-%d/%d", at, size-1, size) {
		t.in.total, t.resumed = size, true
		return nil
	}
	t.etag, t.modified = "", ""
	if err := t.in.restart(-1); err != nil {
		return err
	}
	return fmt.Errorf("the server answered range %q to a request from byte %d", v, at)
}

// truncated adds to a broken transfer how far it came.
func (t *transfer) truncated(err error) error {
	if !errors.Is(err, io.ErrUnexpectedEOF) || t.in.total < 0 {
		return err
	}
	return fmt.Errorf("the transfer broke off at %d of %d bytes: %w", t.in.out.Size(), t.in.total, err)
}
