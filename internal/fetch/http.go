package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// maxRedirects is what browsers of the careful kind follow.
const maxRedirects = 10

var errRedirect = errors.New("redirect refused")

// client returns the HTTP client of c. Proxies are found as all Go programs find them
// (HTTP_PROXY, HTTPS_PROXY, NO_PROXY).
func (c *Client) client() *http.Client {
	c.once.Do(func() {
		t := c.HTTP.Transport
		if t == nil {
			t = newTransport(c.HTTP.withDefaults())
		}
		c.http = &http.Client{Transport: t, CheckRedirect: checkRedirect}
	})
	return c.http
}

func newTransport(o Options) http.RoundTripper {
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

// get sends one request. The watchdog of ctx, see [watch], bounds the wait for the answer.
func (c *Client) get(ctx context.Context, s source, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrAddress, s.shown)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	// Digests are of the file as stored: a proxy must not compress it on the way.
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", c.agent())
	return c.client().Do(req)
}

func (c *Client) agent() string {
	if c.UserAgent == "" {
		return "mkbuild"
	}
	return c.UserAgent
}

// cause names the real reason of an error on ctx: net/http reports a bare "context canceled"
// for a watchdog, too.
func cause(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || isA[*CacheError](err) || isA[*SizeError](err) {
		return err
	}
	return context.Cause(ctx)
}

// statusError is an answer other than the file.
type statusError struct {
	code int
	// after is what Retry-After asks for; 0 without it.
	after time.Duration
}

// Error uses the standard text of the code: the server's own could be anything.
func (e *statusError) Error() string {
	return fmt.Sprintf("the server answered %d %s", e.code, http.StatusText(e.code))
}

// Is reports that e is an ErrForbidden, if it is.
func (e *statusError) Is(target error) bool {
	return target == ErrForbidden && (e.code == http.StatusForbidden || e.code == http.StatusUnauthorized)
}

// plain takes off the frame net/http puts around an error: method and address are named once
// by the caller, without a password.
func plain(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
