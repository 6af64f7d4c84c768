package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"mkbuild/internal/store"
)

// fromWeb downloads source i: over https if its host has it, whatever the address says. The
// first file decides whether the host's https is the same mirror. It reports whether the answer came
// over https, from the first request to the last.
func (j *job) fromWeb(ctx context.Context, i int) (b *Blob, overTLS bool, err error) {
	s, web := j.sources[i], j.client.web
	up, secured := web.secured(ctx, s)
	if !secured {
		if s.u.Scheme != "https" && j.client.RequireHTTPS {
			return nil, false, ErrInsecure
		}
		b, err := j.fromHTTP(ctx, i, s)
		return b, s.u.Scheme == "https", err
	}
	host := web.host(up)
	b, err = j.fromHTTP(ctx, i, up)
	if err == nil {
		host.change(func(h *hostState) { h.proven = true })
		return b, true, nil
	}
	if j.client.RequireHTTPS || host.get().proven || ctx.Err() != nil || isA[*store.WriteError](err) {
		return nil, true, err
	}
	b, err = j.fromHTTP(ctx, i, s)
	if err == nil {
		host.change(func(h *hostState) { h.tls = false })
	}
	return b, false, err
}

// transfer is the way of one file from one HTTP address into the store, over as many attempts as
// it takes.
type transfer struct {
	job *job
	in  *incoming
	src source
	// known, if set, is what the store has: ask only for something newer.
	known *record
	// etag and modified are the validators of what has come.
	etag, modified string
	// resumed is true if it was put together from several answers.
	resumed     bool
	notModified bool
}

// fromHTTP downloads source i from s, which is its address or the https form of it, or finds that the
// stored copy is still its current content.
func (j *job) fromHTTP(ctx context.Context, i int, s source) (*Blob, error) {
	host := j.client.web.host(s)
	if down := host.get().down; down != nil {
		return nil, down
	}
	in, err := j.receive(ctx, s)
	if err != nil {
		return nil, err
	}
	defer in.out.Abort()
	t := &transfer{job: j, in: in, src: s}
	current := j.current(ctx, i)
	if current != nil {
		t.known = j.recorded(j.sources[i])
	}
	for {
		err := t.run(ctx)
		if dialFailed(err) {
			host.change(func(h *hostState) { h.down = err })
		}
		if err != nil {
			return nil, err
		}
		if t.notModified {
			return current, nil
		}
		b, err := in.keep(ctx, i, record{ETag: t.etag, LastModified: t.modified, TLS: s.u.Scheme == "https"})
		if !isA[*ChecksumError](err) || !t.resumed {
			return b, err
		}
		// Two versions of the file may have been spliced; one whole transfer settles it.
		t.etag, t.modified, t.resumed = "", "", false
		if err := in.restart(-1); err != nil {
			return nil, err
		}
	}
}

// current returns the stored content to revalidate, if the request allows it.
func (j *job) current(ctx context.Context, i int) *Blob {
	r := j.recorded(j.sources[i])
	if !j.Fresh || j.pinned() || j.refused(j.sources[i], r) || r == nil || r.ETag == "" && r.LastModified == "" {
		return nil
	}
	return j.stored(ctx, i, r)
}

// maxTransfers bounds the attempts on one address even when each of them moves forward.
const maxTransfers = 100

// run repeats attempts until the file is complete. Only failures in a row without a good step
// forward count, so that a connection that breaks every few megabytes still brings a large file home.
func (t *transfer) run(ctx context.Context) error {
	o := t.job.client.web.limits
	failed, best := 0, int64(0)
	for n := 1; ; n++ {
		err := t.attempt(ctx, o)
		if err == nil || ctx.Err() != nil || lasting(err) {
			return err
		}
		failed += weight(err)
		if t.validator() != "" && t.in.out.Size() >= best+o.leastStep() {
			failed, best = 1, t.in.out.Size()
		}
		wait, ok := pause(o, failed, err)
		if failed >= o.Attempts || n >= maxTransfers || !ok {
			return err
		}
		t.job.inform(t.job.passedOver(t.src, err) + "; trying again")
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// attempt sends one request and takes in what comes.
func (t *transfer) attempt(ctx context.Context, o Options) error {
	ctx, dog := o.watch(ctx)
	defer dog.stop()
	h, err := t.header()
	if err != nil {
		return err
	}
	resp, err := t.job.client.web.get(ctx, t.src.u, h)
	if err != nil {
		return cause(ctx, err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if err := t.accept(resp); err != nil || t.notModified {
		return err
	}
	if _, err := io.Copy(t.in, fedReader{resp.Body, dog}); err != nil {
		return cause(ctx, t.truncated(err))
	}
	if t.in.total >= 0 && t.in.out.Size() != t.in.total {
		return t.truncated(io.ErrUnexpectedEOF)
	}
	return nil
}

// header asks for the rest of the file if the server can tell that it still is the same one,
// otherwise for the whole.
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

// validator returns what If-Range may hold (RFC 9110 section 13.1.5): a strong ETag or a date.
func (t *transfer) validator() string {
	if t.etag != "" && !strings.HasPrefix(t.etag, "W/") {
		return t.etag
	}
	return t.modified
}

// accept looks at status and headers, and prepares for the body.
func (t *transfer) accept(resp *http.Response) error {
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

// rest prepares for the continuation of the file; one that does not fit starts it again.
func (t *transfer) rest(resp *http.Response) error {
	v, at := resp.Header.Get("Content-Range"), t.in.out.Size()
	start, end, total, err := contentRange(v)
	same := t.etag == "" || resp.Header.Get("ETag") == "" || resp.Header.Get("ETag") == t.etag
	if err == nil && same && at > 0 && start == at && end == total-1 && (t.in.total < 0 || total == t.in.total) && total <= t.job.MaxSize {
		t.in.total, t.resumed = total, true
		return nil
	}
	t.etag, t.modified = "", ""
	if err := t.in.restart(-1); err != nil {
		return err
	}
	return fmt.Errorf("the server answered range %q where byte %d was asked for", v, at)
}

// contentRange parses "bytes 5-9/10" (RFC 9110 section 14.4). A length of "*" is refused: it
// could not be checked.
func contentRange(v string) (start, end, total int64, err error) {
	bad := fmt.Errorf("content range %q", v)
	unit, spec, _ := strings.Cut(v, " ")
	span, size, _ := strings.Cut(spec, "/")
	from, to, _ := strings.Cut(span, "-")
	for _, f := range []struct {
		text string
		n    *int64
	}{{from, &start}, {to, &end}, {size, &total}} {
		u, perr := strconv.ParseUint(f.text, 10, 63)
		if perr != nil {
			return 0, 0, 0, bad
		}
		*f.n = int64(u) //nolint:gosec // 63 bits
	}
	if unit != "bytes" || start > end || end >= total {
		return 0, 0, 0, bad
	}
	return start, end, total, nil
}

// truncated adds to a broken transfer how far it came.
func (t *transfer) truncated(err error) error {
	if !errors.Is(err, io.ErrUnexpectedEOF) || t.in.total < 0 {
		return err
	}
	return fmt.Errorf("the transfer broke off at %d of %d bytes: %w", t.in.out.Size(), t.in.total, err)
}
