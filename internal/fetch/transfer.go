package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// transfer is the way of one file from one HTTP address into a part, over as many attempts as
// it takes.
type transfer struct {
	intake
	src source
	// known, if set, is what the cache has: ask only for something newer.
	known *entry
	// etag and modified are the validators of the representation in the part.
	etag, modified string
	// total is its length; -1 when the server does not say.
	total int64
	// resumed says that the part was put together from several answers.
	resumed     bool
	notModified bool
}

// fromHTTP downloads source i from s, which is its address or the https form of it, or finds that the
// cached copy is still its current content.
func (j *job) fromHTTP(ctx context.Context, i int, s source) (*Blob, error) {
	if down := j.hosts.get(s).down; down != nil {
		return nil, down
	}
	p, err := j.cache.newPart(j.needsMD5())
	if err != nil {
		return nil, err
	}
	defer p.discard()
	known, d := j.current(i)
	t := &transfer{intake: intake{job: j, part: p, shown: s.shown, meter: j.meter(0)}, src: s, known: known}
	for {
		if err := t.run(ctx); err != nil {
			j.hosts.note(s, err)
			return nil, err
		}
		if t.notModified {
			return j.blob(d, i, known), nil
		}
		b, err := j.keep(p, i, entry{ETag: t.etag, LastModified: t.modified, TLS: s.u.Scheme == "https"})
		if !isA[*ChecksumError](err) || !t.resumed {
			return b, err
		}
		// Two versions of the file may have been spliced; one whole transfer settles it.
		t.etag, t.modified, t.resumed = "", "", false
		if err := p.reset(); err != nil {
			return nil, err
		}
	}
}

// current returns the entry to revalidate, if the request allows and the cache can.
func (j *job) current(i int) (*entry, digests) {
	if !j.Fresh || j.pinned() {
		return nil, digests{}
	}
	e := j.cache.entry(j.sources[i])
	if j.refused(i, e) || e == nil || e.ETag == "" && e.LastModified == "" {
		return nil, digests{}
	}
	d, ok := j.cached(e)
	if !ok {
		return nil, digests{}
	}
	return e, d
}

// run repeats attempts until the part is complete. Only failures in a row without a good step
// forward count, so that a line that breaks every few megabytes still brings a large file home.
func (t *transfer) run(ctx context.Context) error {
	o := t.HTTP.withDefaults()
	failed, best := 0, int64(0)
	for n := 1; ; n++ {
		err := t.attempt(ctx, o)
		if err == nil || ctx.Err() != nil || lasting(err) {
			return err
		}
		failed += weight(err)
		if t.validator() != "" && t.part.size >= best+o.leastStep() {
			failed, best = 1, t.part.size
		}
		wait, ok := pause(o, failed, err)
		if failed >= o.Attempts || n >= maxTransfers || !ok {
			return err
		}
		t.inform(t.passedOver(t.src, err) + "; trying again")
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// attempt sends one request and takes in what comes.
func (t *transfer) attempt(ctx context.Context, o Options) error {
	ctx, dog := watch(ctx, o)
	defer dog.stop()
	h, err := t.header()
	if err != nil {
		return err
	}
	resp, err := t.get(ctx, t.src, h)
	if err != nil {
		return cause(ctx, plain(err))
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if err := t.accept(resp); err != nil || t.notModified {
		return err
	}
	if err := t.intake.copy(ctx, fedReader{resp.Body, dog}); err != nil {
		return cause(ctx, t.truncated(err))
	}
	if t.total >= 0 && t.part.size != t.total {
		return t.truncated(io.ErrUnexpectedEOF)
	}
	return nil
}

// header asks for the rest of the part if the server can tell that it still is the same file,
// else for the whole.
func (t *transfer) header() (http.Header, error) {
	h := http.Header{}
	if v := t.validator(); t.part.size > 0 && v != "" {
		h.Set("Range", fmt.Sprintf("bytes=%d-", t.part.size))
		h.Set("If-Range", v)
		return h, nil
	}
	if t.known != nil && t.known.ETag != "" {
		h.Set("If-None-Match", t.known.ETag)
	} else if t.known != nil {
		h.Set("If-Modified-Since", t.known.LastModified)
	}
	return h, t.part.reset()
}

// validator returns what If-Range may hold (RFC 9110 section 13.1.5): a strong ETag or a date.
func (t *transfer) validator() string {
	if t.etag != "" && !strings.HasPrefix(t.etag, "W/") {
		return t.etag
	}
	return t.modified
}

// accept looks at status and headers, and makes the part ready for the body.
func (t *transfer) accept(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusOK:
		return t.whole(resp)
	case http.StatusPartialContent:
		return t.rest(resp)
	case http.StatusNotModified:
		if t.known != nil && t.part.size == 0 {
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

// whole prepares for a complete body, also from a server that ignores Range.
func (t *transfer) whole(resp *http.Response) error {
	t.etag, t.modified = resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")
	t.total, t.resumed = resp.ContentLength, false
	t.meter = t.job.meter(t.total)
	if t.total > t.MaxSize {
		return &SizeError{Name: t.Name, URL: t.shown, Limit: t.MaxSize}
	}
	return t.part.reset()
}

// rest prepares for the continuation of the part; one that does not fit starts the file again.
func (t *transfer) rest(resp *http.Response) error {
	v := resp.Header.Get("Content-Range")
	start, end, total, err := contentRange(v)
	same := t.etag == "" || resp.Header.Get("ETag") == "" || resp.Header.Get("ETag") == t.etag
	if err == nil && same && t.part.size > 0 && start == t.part.size && end == total-1 &&
		(t.total < 0 || total == t.total) && total <= t.MaxSize {
		t.total, t.resumed = total, true
		return nil
	}
	at := t.part.size
	t.etag, t.modified = "", ""
	if err := t.part.reset(); err != nil {
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
	if !errors.Is(err, io.ErrUnexpectedEOF) || t.total < 0 {
		return err
	}
	return fmt.Errorf("the transfer broke off at %d of %d bytes: %w", t.part.size, t.total, err)
}
