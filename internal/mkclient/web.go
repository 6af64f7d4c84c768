package mkclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"time"
)

// Timeouts bounds everything that waits for somebody else.
type Timeouts struct {
	Connect  time.Duration // TCP and TLS, each
	Header   time.Duration // from the request to the answer's header
	Request  time.Duration // a whole check-in or question
	Stall    time.Duration // pause inside a download
	Download time.Duration // a whole download
	Source   time.Duration // one hardware tool
	Action   time.Duration // one action of the server
}

// DefaultTimeouts is generous for a loaded server on a slow management network.
func DefaultTimeouts() Timeouts {
	return Timeouts{
		Connect: 10 * time.Second, Header: 30 * time.Second, Request: 60 * time.Second,
		Stall: 30 * time.Second, Download: 5 * time.Minute,
		Source: 30 * time.Second, Action: 2 * time.Minute,
	}
}

const maxRedirects = 5

// web sends requests. It follows redirects itself: net/http would turn a redirected POST into
// a GET without its body.
type web struct {
	client *http.Client
	agent  string
}

// newWeb prepares the transport. now is the clock that certificates are checked against.
func newWeb(ca string, t Timeouts, agent string, now func() time.Time) (*web, error) {
	tr := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: t.Connect}).DialContext,
		TLSHandshakeTimeout:   t.Connect,
		ResponseHeaderTimeout: t.Header,
		// A connection kept from the last cycle may be one that the server is just closing.
		DisableKeepAlives: true,
		// A length must mean the bytes on the wire: the extension's is compared.
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, Time: now},
	}
	w := &web{agent: agent, client: &http.Client{
		Transport:     tr,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if ca == "" {
		return w, nil
	}
	return w, trust(tr.TLSClientConfig, ca, now)
}

// trust makes the certificates in file the only ones that count.
func trust(cfg *tls.Config, file string, now func() time.Time) error {
	cfg.RootCAs = x509.NewCertPool() // an unreadable file trusts nobody, never everybody
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read razor.ca: %w", err)
	}
	if !cfg.RootCAs.AppendCertsFromPEM(b) {
		return fmt.Errorf("read razor.ca: no certificate in %s", file)
	}
	cfg.Time = clockAfter(b, now)
	return nil
}

// clockAfter corrects a clock that is certainly wrong: the image carries the certificate, so
// today cannot be before its first day. A dead battery that says 1970 then does not lock the
// machine out; a clock in the future cannot be told from an expired certificate.
func clockAfter(pemBytes []byte, now func() time.Time) func() time.Time {
	var first time.Time
	for _, cert := range parseCertificates(pemBytes) {
		if cert.NotBefore.After(first) {
			first = cert.NotBefore
		}
	}
	return func() time.Time {
		if t := now(); t.After(first) {
			return t
		}
		return first
	}
}

// StatusError is an answer whose status is none that the client can use.
type StatusError struct {
	URL    string
	Status int
	After  time.Duration // the server's Retry-After, if any
}

// Error names the status in words, without a password that the URL may hold.
func (e *StatusError) Error() string {
	return fmt.Sprintf("%s answered %d %s", redact(e.URL), e.Status, http.StatusText(e.Status))
}

var urlPassword = regexp.MustCompile(`(//[^/?#:@\s]*:)[^\s"]*@`)

// redactedError keeps passwords out of an error of net/http, which repeats a Location that it
// cannot parse.
type redactedError struct{ error }

// Error is the error's text without passwords in URLs.
func (e redactedError) Error() string {
	return urlPassword.ReplaceAllString(e.error.Error(), "${1}xxxxx@")
}

// Unwrap gives the error itself.
func (e redactedError) Unwrap() error { return e.error }

// redact hides the password in text that is a URL, or was meant to be one.
func redact(text string) string {
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		return u.Redacted()
	}
	return urlPassword.ReplaceAllString(text, "${1}xxxxx@")
}

var errRedirect = errors.New("unusable redirect")

// do sends a request and follows redirects with its method, header and body unchanged. The
// caller closes the answer's body.
func (w *web) do(ctx context.Context, method, target string, header http.Header, body []byte) (*http.Response, error) {
	for range maxRedirects + 1 {
		req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
		if err != nil {
			return nil, redactedError{err}
		}
		req.Header = header.Clone()
		req.Header.Set("User-Agent", w.agent)
		resp, err := w.client.Do(req)
		if err != nil {
			return nil, redactedError{err}
		}
		if !isRedirect(resp.StatusCode) {
			return resp, nil
		}
		_ = resp.Body.Close()
		next, err := redirectTarget(req.URL, resp)
		if err != nil {
			return nil, err
		}
		target = next
	}
	return nil, fmt.Errorf("%w: more than %d", errRedirect, maxRedirects)
}

// isRedirect leaves 303 out: it asks for a GET elsewhere, which is no answer to a check-in.
func isRedirect(status int) bool {
	return status == 301 || status == 302 || status == 307 || status == 308
}

// redirectTarget refuses to leave http(s) and to step down from https to http.
func redirectTarget(from *url.URL, resp *http.Response) (string, error) {
	to, err := resp.Location()
	if err != nil { // its text repeats the URL
		return "", fmt.Errorf("%w: no usable Location", errRedirect)
	}
	if to.Scheme != "https" && (to.Scheme != "http" || from.Scheme == "https") {
		return "", fmt.Errorf("%w: from %s to %s", errRedirect, from.Scheme, to.Scheme)
	}
	return to.String(), nil
}
