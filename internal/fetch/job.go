package fetch

import (
	"context"
	"crypto/md5" //nolint:gosec // upstream publishes nothing else
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"mkbuild/internal/store"
)

// record is what the store remembers of an address, besides the digest of what it gave.
type record struct {
	// ETag and LastModified are the validators of RFC 9110 section 8.8.
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
	// Size and MTime are those of a local source, MTime in nanoseconds since 1970; 0 means that it was
	// written too recently to tell one change from the next.
	Size  int64 `json:"size,omitempty"`
	MTime int64 `json:"mtime_ns,omitempty"`
	// TLS is true if the answer came over https, even to an http address.
	TLS bool `json:"tls,omitempty"`

	// sha256 is empty if the source does not have the file.
	sha256 string
}

// recorded returns what the store remembers of a source, or nil.
func (j *job) recorded(s source) *record {
	e, err := j.client.Store.Entry(store.KindDownload, s.key)
	r := &record{sha256: e.SHA256}
	if err != nil || json.Unmarshal(e.About, r) != nil {
		return nil
	}
	return r
}

func (j *job) record(ctx context.Context, s source, r record) error {
	about, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return j.client.Store.Put(ctx, store.KindDownload, store.Entry{Key: s.key, SHA256: r.sha256, About: about})
}

// plain reports whether what is recorded of a source came over plain http, and nothing in the request
// vouches for it but a digest from there.
func (j *job) plain(s source, r *record) bool {
	return j.SHA256 == "" && !s.local() && s.u.Scheme != "https" && !r.TLS
}

// refused reports whether [Client.RequireHTTPS] keeps stored content out.
func (j *job) refused(s source, r *record) bool {
	return j.client.RequireHTTPS && r != nil && j.plain(s, r)
}

// fromStore answers a request without the network, or returns nil. An earlier source that is not stored
// yields to a later one that is; the content was good when it came.
func (j *job) fromStore(ctx context.Context) *Blob {
	if j.SHA256 != "" {
		return j.bySHA256(ctx)
	}
	if j.Fresh && !j.client.Offline && !j.pinned() {
		return nil
	}
	for i, s := range j.sources {
		r := j.recorded(s)
		if j.refused(s, r) {
			j.overHTTP = true
			continue
		}
		trust := !s.local() || j.pinned()
		if trust || unchanged(s, r) {
			if b := j.stored(ctx, i, r); b != nil {
				return b
			}
		}
		if !trust && exists(s.path) {
			return nil // there, and new to us: read it in its turn
		}
	}
	return nil
}

// bySHA256 looks for the very content, whatever address it once came from.
func (j *job) bySHA256(ctx context.Context) *Blob {
	b := j.usable(ctx, j.SHA256)
	if b == nil {
		return nil
	}
	for i, s := range j.sources {
		if r := j.recorded(s); r != nil && r.sha256 == j.SHA256 {
			return j.blob(b, i, r)
		}
	}
	return j.blob(b, -1, nil)
}

// stored returns the content that r leads to, if it is what the request wants.
func (j *job) stored(ctx context.Context, i int, r *record) *Blob {
	if r == nil || r.sha256 == "" {
		return nil
	}
	b := j.usable(ctx, r.sha256)
	if b == nil {
		return nil
	}
	return j.blob(b, i, r)
}

// usable returns stored content, if it is what the request wants.
func (j *job) usable(ctx context.Context, sha256 string) *store.Blob {
	var sum hash.Hash
	if j.MD5 != "" {
		sum = md5.New() //nolint:gosec // see the import
	}
	b, err := j.client.Store.Get(ctx, sha256, sum)
	if errors.Is(err, store.ErrDamaged) {
		j.damaged = true
		j.warn("its cached copy was damaged and has been removed")
	}
	if err != nil || b.Size > j.MaxSize {
		return nil
	}
	head := make([]byte, min(b.Size, HeadSize))
	if _, err := io.ReadFull(b.Reader(), head); err != nil {
		return nil
	}
	if j.check("", sha256, sum, head) != nil {
		return nil
	}
	return b
}

// blob describes content for the caller; r is the record of source i.
func (j *job) blob(content *store.Blob, i int, r *record) *Blob {
	b := &Blob{SHA256: content.SHA256, Size: content.Size, Source: i, Cached: true, name: j.Name, content: content}
	if i >= 0 {
		b.URL, b.plain = j.sources[i].shown, j.plain(j.sources[i], r)
	}
	return b
}

// fromSources asks each source in turn and returns the first content that is right.
func (j *job) fromSources(ctx context.Context) (*Blob, error) {
	var attempts []attempt
	order := j.order()
	for n, i := range order {
		s := j.sources[i]
		b, err := j.fromSource(ctx, i)
		if err == nil {
			return b, nil
		}
		if isA[*store.WriteError](err) {
			return nil, fmt.Errorf("fetch %s: %w", j.Name, err) // no mirror helps against that
		}
		attempts = append(attempts, attempt{s.shown, err})
		if ctx.Err() != nil {
			break
		}
		if troubled(err) {
			j.client.web.host(s).change(func(h *hostState) { h.last = true })
		}
		if n+1 < len(order) && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrOffline) && !errors.Is(err, ErrInsecure) {
			j.warn(j.passedOver(s, err) + "; trying the next source")
		}
	}
	return nil, j.verdict(attempts)
}

// order returns the indices of the sources in the order in which to ask: hosts in trouble last.
func (j *job) order() []int {
	var first, last []int
	for i, s := range j.sources {
		if j.client.web.host(s).get().last {
			last = append(last, i)
		} else {
			first = append(first, i)
		}
	}
	return append(first, last...)
}

// passedOver says why a source was no use. Some errors name file and source themselves.
func (j *job) passedOver(s source, err error) string {
	text := strings.TrimPrefix(err.Error(), "fetch "+j.Name+": ")
	if strings.Contains(text, s.shown) {
		return text
	}
	return s.shown + ": " + text
}

func (j *job) fromSource(ctx context.Context, i int) (*Blob, error) {
	s := j.sources[i]
	switch {
	case s.local():
		return j.fromFile(ctx, i)
	case j.client.Offline:
		if r := j.recorded(s); j.Optional && r != nil && r.sha256 == "" && !j.refused(s, r) {
			return nil, ErrNotFound
		}
		return nil, ErrOffline
	}
	b, overTLS, err := j.fromWeb(ctx, i)
	if j.Optional && errors.Is(err, ErrNotFound) {
		if rerr := j.record(ctx, s, record{TLS: overTLS}); rerr != nil {
			return nil, rerr
		}
	}
	return b, err
}
