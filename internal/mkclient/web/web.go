// Package web sends mk-client's requests: over TLS with the operator's own certificates, with a time limit on
// every wait, and with redirects that keep method and body. It treats every answer as hostile and keeps passwords
// out of its errors. Start reading at [Client.Do].
package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"mkbuild/internal/fail"
	"mkbuild/internal/mkclient/settings"
)

// Timeouts are the time limits of requests.
type Timeouts struct {
	Connect  time.Duration // TCP and TLS, each
	Header   time.Duration // from the request to the answer's header
	Request  time.Duration // a whole check-in or question
	Stall    time.Duration // pause inside a download
	Download time.Duration // a whole download
}

// DefaultTimeouts are generous for a loaded server on a slow management network.
func DefaultTimeouts() Timeouts {
	return Timeouts{Connect: 10 * time.Second, Header: 30 * time.Second, Request: 60 * time.Second, Stall: 30 * time.Second, Download: 5 * time.Minute}
}

const (
	maxRedirects  = 5
	maxRetryAfter = 10 * time.Minute // longest accepted Retry-After
)

// Client sends requests. It does not use net/http's client, which turns a redirected POST into a GET without its
// body, and repeats an invalid Location in its errors.
type Client struct {
	Timeouts  Timeouts
	transport *http.Transport
	agent     string
}

// New prepares a client. ca is a file of the only trusted certificates, "" for the system's; an unreadable one is
// an error, and the client then trusts no certificate. now is the clock for certificates.
func New(ca string, t Timeouts, agent string, now func() time.Time) (*Client, error) {
	c := &Client{Timeouts: t, agent: agent, transport: &http.Transport{
		DialContext:           (&net.Dialer{Timeout: t.Connect}).DialContext,
		TLSHandshakeTimeout:   t.Connect,
		ResponseHeaderTimeout: t.Header,
		// The server may just be closing a connection of the last cycle.
		DisableKeepAlives: true,
		// Lengths must be those of the sent bytes: the extension's is compared.
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, Time: now},
	}}
	if ca == "" {
		return c, nil
	}
	return c, trust(c.transport.TLSClientConfig, ca, now)
}

// trust makes the certificates in file the only trusted ones. They are in the image, so today cannot be before
// their first day: a clock reset to 1970 does not lock the machine out. A clock in the future looks like an
// expired certificate.
func trust(cfg *tls.Config, file string, now func() time.Time) error {
	cfg.RootCAs = x509.NewCertPool()
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read razor.ca: %w", err)
	}
	var first time.Time
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue
		}
		cfg.RootCAs.AddCert(cert)
		if cert.NotBefore.After(first) {
			first = cert.NotBefore
		}
	}
	if first.IsZero() {
		return fmt.Errorf("read razor.ca: no certificate in %s", file)
	}
	cfg.Time = func() time.Time {
		if t := now(); t.After(first) {
			return t
		}
		return first
	}
	return nil
}

// StatusError is returned for an answer with an unexpected status.
type StatusError struct {
	URL    string
	Status int
	After  time.Duration // the server's Retry-After, if any
}

// Error names the status in words, without a password that the URL may hold.
func (e *StatusError) Error() string {
	return fmt.Sprintf("%s answered %d %s", settings.Redact(e.URL), e.Status, http.StatusText(e.Status))
}

// BadStatus makes the error of an answer.
func BadStatus(target string, resp *http.Response) error {
	e := &StatusError{URL: target, Status: resp.StatusCode}
	if n, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 31); err == nil {
		e.After = min(time.Duration(n)*time.Second, maxRetryAfter) //nolint:gosec // 31 bits
	}
	return e
}

// ErrRedirect is returned if a redirect cannot be followed.
var ErrRedirect = fail.New(fail.Network, "unusable redirect", "")

// Do sends a request and follows redirects with its method, header and body unchanged. The
// caller closes the answer's body.
func (c *Client) Do(ctx context.Context, method, target string, header http.Header, body []byte) (*http.Response, error) {
	for range maxRedirects + 1 {
		req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
		if err != nil {
			return nil, fmt.Errorf("%s %s: unusable URL", method, settings.Redact(target))
		}
		req.Header = header.Clone()
		req.Header.Set("User-Agent", c.agent)
		if u := req.URL.User; u != nil {
			password, _ := u.Password()
			req.SetBasicAuth(u.Username(), password)
		}
		resp, err := c.transport.RoundTrip(req)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", method, req.URL.Redacted(), err)
		}
		switch resp.StatusCode {
		case 301, 302, 307, 308: // not 303: its GET elsewhere does not answer a check-in
		default:
			return resp, nil
		}
		_ = resp.Body.Close()
		if target, err = redirectTarget(req.URL, resp); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: more than %d", ErrRedirect, maxRedirects)
}

// redirectTarget refuses to leave http(s) and to step down from https to http.
func redirectTarget(from *url.URL, resp *http.Response) (string, error) {
	to, err := resp.Location()
	if err != nil { // its text repeats the URL
		return "", fmt.Errorf("%w: no usable Location", ErrRedirect)
	}
	if to.Scheme != "https" && (to.Scheme != "http" || from.Scheme == "https") {
		return "", fmt.Errorf("%w: from %s to %s", ErrRedirect, from.Scheme, to.Scheme)
	}
	return to.String(), nil
}
