package fetch

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// fromSources asks each source in turn and returns the first content that is right.
func (j *job) fromSources(ctx context.Context) (*Blob, error) {
	var attempts []Attempt
	order := j.order()
	for n, i := range order {
		s := j.sources[i]
		b, err := j.fromSource(ctx, i)
		if err == nil {
			return b, nil
		}
		if isA[*CacheError](err) {
			return nil, fmt.Errorf("fetch %s: %w", j.Name, err) // no mirror can mend that
		}
		attempts = append(attempts, Attempt{URL: s.shown, Err: err})
		if ctx.Err() != nil {
			break
		}
		if !s.local() && troubled(err) {
			j.hosts.postpone(s)
		}
		if n+1 < len(order) && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrOffline) && !errors.Is(err, ErrInsecure) {
			j.warn(j.Name, j.passedOver(s, err)+"; trying the next source")
		}
	}
	return nil, j.verdict(attempts)
}

// passedOver says why a source was no use. The typed errors name file and source themselves.
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
	case j.Offline:
		if e := j.cache.entry(s); j.Optional && e != nil && e.Missing && !j.refused(i, e) {
			return nil, ErrNotFound
		}
		return nil, ErrOffline
	}
	b, overTLS, err := j.fromWeb(ctx, i)
	if j.Optional && errors.Is(err, ErrNotFound) {
		if rerr := j.cache.record(s, entry{Missing: true, TLS: overTLS}); rerr != nil {
			return nil, rerr
		}
	}
	return b, err
}

// keep verifies a complete part and makes it the content of source i.
func (j *job) keep(p *part, i int, e entry) (*Blob, error) {
	shown := j.sources[i].shown
	if j.Check != nil {
		head, err := p.head()
		if err != nil {
			return nil, err
		}
		if err := j.Check(head); err != nil {
			return nil, &ContentError{Name: j.Name, URL: shown, Err: err}
		}
	}
	d := p.sum()
	if err := j.match(shown, d); err != nil {
		return nil, err
	}
	// Index files are soon fetched again, should a power cut take them.
	if err := j.cache.commit(p, !j.Fresh && !j.Optional); err != nil {
		return nil, err
	}
	e.SHA256, e.MD5, e.Size = d.sha256, d.md5, d.size
	if err := j.cache.record(j.sources[i], e); err != nil {
		return nil, err
	}
	b := j.blob(d, i, &e)
	b.Cached = false
	return b, nil
}
