package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

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

// web asks servers, and remembers for one [Client] what they are good for.
type web struct {
	limits Options
	agent  string
	client *http.Client
	mu     sync.Mutex
	hosts  map[string]*host
}

// newWeb finds proxies as all Go programs do (HTTP_PROXY, HTTPS_PROXY, NO_PROXY).
func newWeb(o Options, agent string) *web {
	if agent == "" {
		agent = "mkbuild"
	}
	t := o.Transport
	if t == nil {
		t = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: o.Connect}).DialContext,
			TLSHandshakeTimeout: o.Connect,
			IdleConnTimeout:     o.Idle,
			MaxIdleConnsPerHost: 8,
			ForceAttemptHTTP2:   true,
			DisableCompression:  true,
		}
	}
	return &web{limits: o, agent: agent, client: &http.Client{Transport: t, CheckRedirect: checkRedirect}, hosts: map[string]*host{}}
}

// maxRedirects is what browsers of the careful kind follow.
const maxRedirects = 10

// checkRedirect ends loops, and keeps what began under TLS there: md5 files are only as
// trustworthy as the way they came.
func checkRedirect(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("%w: more than %d in a row", errRedirect, maxRedirects)
	}
	if next.URL.Scheme != "http" && next.URL.Scheme != "https" {
		return fmt.Errorf("%w: to %s", errRedirect, redacted(next.URL))
	}
	if via[len(via)-1].URL.Scheme == "https" && next.URL.Scheme != "https" {
		return fmt.Errorf("%w: from https to %s", errRedirect, redacted(next.URL))
	}
	return nil
}

// get sends one request. The watchdog of ctx bounds the wait for the answer. Errors do not name method
// and address: the caller does, without a password.
func (w *web) get(ctx context.Context, u *url.URL, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrAddress, redacted(u))
	}
	req.Header = header
	// Digests are of the file as stored: a proxy must not compress it on the way.
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", w.agent)
	resp, err := w.client.Do(req)
	if framed, ok := errors.AsType[*url.Error](err); ok {
		err = framed.Err
	}
	return resp, err
}

// host is what is known of a server; its http and its https are two.
type host struct {
	probe sync.Once
	mu    sync.Mutex
	state hostState
}

type hostState struct {
	// down is set if no connection could be made.
	down error
	// last means that others are to be asked before it.
	last bool
	// tls means that it answers with a certificate that this machine trusts; proven that it has given
	// a file: it is the same mirror as its http.
	tls, proven bool
}

func (h *host) get() hostState {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state
}

func (h *host) change(f func(*hostState)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(&h.state)
}

// host is that of a source. Nothing is wrong with that of a file.
func (w *web) host(s source) *host {
	if s.local() {
		return &host{}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	key := s.u.Scheme + "://" + s.u.Host
	if w.hosts[key] == nil {
		w.hosts[key] = &host{}
	}
	return w.hosts[key]
}

// secured returns the https form of an http source, if its host answers there. Each host is asked
// once. Other ports than http's own are left alone: what answers next to them is not known.
func (w *web) secured(ctx context.Context, s source) (source, bool) {
	if s.u.Scheme != "http" || s.u.Port() != "" && s.u.Port() != "80" {
		return s, false
	}
	u := *s.u
	u.Scheme, u.Host = "https", strings.TrimSuffix(u.Host, ":80")
	up := s
	up.u = &u
	h := w.host(up)
	h.probe.Do(func() {
		answers := w.answers(ctx, u.Host)
		h.change(func(h *hostState) { h.tls = answers })
	})
	if !h.get().tls {
		return s, false
	}
	return up, true
}

// answers reports whether a host speaks https with a certificate that this machine trusts.
func (w *web) answers(ctx context.Context, host string) bool {
	ctx, cancel := context.WithTimeout(ctx, w.limits.Probe)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, (&url.URL{Scheme: "https", Host: host, Path: "/"}).String(), nil)
	if err != nil {
		return false
	}
	req.Header.Set("User-Agent", w.agent)
	resp, err := w.client.Transport.RoundTrip(req)
	if err != nil {
		return false
	}
	resp.Body.Close() //nolint:errcheck,gosec // it has none
	return true
}
