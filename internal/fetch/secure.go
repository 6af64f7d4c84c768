package fetch

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// secureHosts remembers, for one Client, which hosts of http addresses answer on https, too.
type secureHosts struct {
	mu   sync.Mutex
	host map[string]*secureHost
}

func (s *secureHosts) of(host string) *secureHost {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.host == nil {
		s.host = map[string]*secureHost{}
	}
	if s.host[host] == nil {
		s.host[host] = &secureHost{}
	}
	return s.host[host]
}

// secureHost is what is known about a host's https.
type secureHost struct {
	probe  sync.Once
	mu     sync.Mutex
	usable bool // it answers there with a valid certificate
	proven bool // it has given a file there: it is the same mirror
}

func (h *secureHost) isUsable() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.usable
}

func (h *secureHost) isProven() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.proven
}

func (h *secureHost) set(usable, proven bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.usable, h.proven = usable, proven
}

// secured returns the https form of an http source, if its host answers there. Each host is asked
// once. Other ports than http's own are left alone: what answers beside them is not known.
func (c *Client) secured(ctx context.Context, s source) (source, *secureHost) {
	if s.local() || s.u.Scheme != "http" || s.u.Port() != "" && s.u.Port() != "80" {
		return s, nil
	}
	u := *s.u
	u.Scheme, u.Host = "https", strings.TrimSuffix(u.Host, ":80")
	h := c.secure.of(u.Host)
	h.probe.Do(func() { h.set(c.answers(ctx, u.Host), false) })
	if !h.isUsable() {
		return s, nil
	}
	s.u = &u
	return s, h
}

// answers reports whether a host speaks https with a certificate that this machine trusts.
func (c *Client) answers(ctx context.Context, host string) bool {
	ctx, cancel := context.WithTimeout(ctx, c.HTTP.withDefaults().Probe)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, (&url.URL{Scheme: "https", Host: host, Path: "/"}).String(), nil)
	if err != nil {
		return false
	}
	req.Header.Set("User-Agent", c.agent())
	resp, err := c.client().Transport.RoundTrip(req)
	if err != nil {
		return false
	}
	resp.Body.Close() //nolint:errcheck,gosec // it has none
	return true
}

// fromWeb downloads source i: over https where its host has it, whatever the address says. The
// first file decides whether the host's https is the same mirror. It reports whether the answer came
// over https, from the first request to the last.
func (j *job) fromWeb(ctx context.Context, i int) (b *Blob, overTLS bool, err error) {
	s := j.sources[i]
	up, host := j.secured(ctx, s)
	if host == nil {
		if s.u.Scheme != "https" && j.RequireHTTPS {
			return nil, false, ErrInsecure
		}
		b, err := j.fromHTTP(ctx, i, s)
		return b, s.u.Scheme == "https", err
	}
	b, err = j.fromHTTP(ctx, i, up)
	if err == nil {
		host.set(true, true)
		return b, true, nil
	}
	if j.RequireHTTPS || host.isProven() || ctx.Err() != nil || isA[*CacheError](err) {
		return nil, true, err
	}
	b, err = j.fromHTTP(ctx, i, s)
	if err == nil {
		host.set(false, false)
	}
	return b, false, err
}

// plain reports whether the content that an entry of source i points to came over plain http, and
// nothing in the request vouches for it but a digest from there.
func (j *job) plain(i int, e *entry) bool {
	s := j.sources[i]
	return j.SHA256 == "" && !s.local() && s.u.Scheme != "https" && !e.TLS
}

// refused reports whether [Client.RequireHTTPS] keeps cached content out.
func (j *job) refused(i int, e *entry) bool { return j.RequireHTTPS && e != nil && j.plain(i, e) }

// firstUse notes the files that are trusted because nothing better is known.
type firstUse struct {
	mu    sync.Mutex
	names []string
}

func (f *firstUse) add(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.names = append(f.names, name)
}

// FirstUse returns the names of the files, sorted, that were handed out so far although they came
// over plain http, now or when they were cached, and no SHA-256 of the request vouched for them:
// whoever sits on the way could have changed them, and the MD5 beside them. The small files that are
// asked for anew each time ([Request.Fresh], [Request.Optional]) are not counted.
func (c *Client) FirstUse() []string {
	c.first.mu.Lock()
	defer c.first.mu.Unlock()
	names := slices.Clone(c.first.names)
	slices.Sort(names)
	return slices.Compact(names)
}
