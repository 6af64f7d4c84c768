package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
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
	// MinRate is the minimum rate of a body in bytes a second, measured over one and a half Idle: 1024. A slower
	// mirror counts as stalled.
	MinRate int64
	// Total bounds one Get, retries and every mirror included: 2 h.
	Total time.Duration
	// Attempts is how often one address may fail in a row without progress: 4.
	Attempts int
	// Backoff is the pause after the first failure, doubled for each later one and shortened by up to half at
	// random: 500 ms.
	Backoff time.Duration
	// MaxWait bounds a single pause; a server whose Retry-After asks for more is given up: 30 s.
	MaxWait time.Duration
}

// withDefaults fills the zero fields of o.
func (o Options) withDefaults() Options {
	o.Connect = cmp.Or(o.Connect, 10*time.Second)
	o.Probe = cmp.Or(o.Probe, 3*time.Second)
	o.Idle = cmp.Or(o.Idle, 30*time.Second)
	o.MinRate = cmp.Or(o.MinRate, 1024)
	o.Total = cmp.Or(o.Total, 2*time.Hour)
	o.Attempts = cmp.Or(o.Attempts, 4)
	o.Backoff = cmp.Or(o.Backoff, 500*time.Millisecond)
	o.MaxWait = cmp.Or(o.MaxWait, 30*time.Second)
	return o
}

// web sends requests, and remembers the state of servers for one [Client].
type web struct {
	limits Options
	agent  string
	client *http.Client
	oci    *http.Client // for oci:// addresses; nil for none
	hosts  sync.Map     // of *host, by scheme and name
}

// Network returns the default transport. It uses the proxies of HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
func (o Options) Network() *http.Transport {
	o = o.withDefaults()
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: o.Connect}).DialContext,
		TLSHandshakeTimeout: o.Connect,
		IdleConnTimeout:     o.Idle,
		MaxIdleConnsPerHost: 8,
		ForceAttemptHTTP2:   true,
		DisableCompression:  true,
	}
}

func newWeb(o Options, agent string, oci http.RoundTripper) *web {
	t := o.Transport
	if t == nil {
		t = o.Network()
	}
	w := &web{limits: o, agent: cmp.Or(agent, "mkbuild"), client: &http.Client{Transport: t, CheckRedirect: CheckRedirect}}
	if oci != nil {
		w.oci = &http.Client{Transport: oci, CheckRedirect: CheckRedirect}
	}
	return w
}

// maxRedirects is the limit of careful browsers.
const maxRedirects = 10

// CheckRedirect is for HTTP clients: it ends loops, and refuses redirects from https to http: md5 files are only
// as trustworthy as their transport.
func CheckRedirect(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("%w: more than %d in a row", errRedirect, maxRedirects)
	}
	if next.URL.Scheme != "http" && next.URL.Scheme != "https" {
		return fmt.Errorf("%w: to %s", errRedirect, redacted(next.URL))
	}
	if via[len(via)-1].URL.Scheme == "https" && next.URL.Scheme != "https" {
		return fmt.Errorf("%w: from https to %s", errRedirect, redacted(next.URL))
	}
	next.Header.Del("Referer") // it would contain the earlier query
	return nil
}

// get sends one request. The watchdog of ctx bounds the wait for the answer. Errors do not name method and
// address: the caller names them, without a password.
func (w *web) get(ctx context.Context, u *url.URL, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrAddress, redacted(u))
	}
	req.Header = header
	// Digests are of the file as stored: a proxy must not compress it on the way.
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", w.agent)
	client := w.client
	if u.Scheme == "oci" {
		client = w.oci
	}
	if client == nil {
		return nil, fmt.Errorf("%w: %s: this command takes nothing from registries", ErrAddress, redacted(u))
	}
	resp, err := client.Do(req)
	if framed, ok := errors.AsType[*url.Error](err); ok {
		err = framed.Err
	}
	return resp, err
}

// host is the state of a server; its http and its https are two hosts.
type host struct {
	// down is set if no connection could be made.
	down atomic.Pointer[error]
	// last means that others are asked before it.
	last atomic.Bool
	// tls means that it answers with a trusted certificate, which is probed once; proven, that it returned a
	// file, so it is the same mirror as its http.
	probe       sync.Once
	tls, proven atomic.Bool
}

// host is the host of a source. A file's host is never in trouble.
func (w *web) host(s source) *host {
	if s.local() {
		return &host{}
	}
	h, _ := w.hosts.LoadOrStore(s.u.Scheme+"://"+s.u.Host, &host{})
	return h.(*host)
}

// secured returns the https form of an http source and its host, if the host answers there. Other ports than
// http's own stay: their https port is unknown.
func (w *web) secured(ctx context.Context, s source) (source, *host) {
	if s.u.Scheme != "http" || s.u.Port() != "" && s.u.Port() != "80" {
		return s, nil
	}
	up, u := s, *s.u
	u.Scheme, u.Host = "https", strings.TrimSuffix(u.Host, ":80")
	up.u = &u
	h := w.host(up)
	h.probe.Do(func() { h.tls.Store(w.answers(ctx, u.Host)) })
	if !h.tls.Load() {
		return s, nil
	}
	return up, h
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
