package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mkbuild/internal/fail"
	"mkbuild/internal/ui"
)

func TestGetDownloadsOnceAndServesFromCache(t *testing.T) {
	t.Parallel()
	url, count := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "identity" || r.UserAgent() != "mkbuild/test" {
			t.Errorf("headers: %v", r.Header)
		}
		w.Write([]byte("squashfs"))
	})
	c := newClient(t)
	c.UserAgent = "mkbuild/test"
	r := Request{Name: "ruby.tcz", URLs: []string{url + "/ruby.tcz"}}
	first := want(t, c, r, "squashfs")
	second := want(t, c, r, "squashfs")
	if first.Cached || !second.Cached || count() != 1 {
		t.Errorf("cached %v then %v, %d requests", first.Cached, second.Cached, count())
	}
	want(t, offline(t, c), r, "squashfs")
	clean(t, c)
}

func TestGetFailures(t *testing.T) {
	t.Parallel()
	html := "<!DOCTYPE html><html>Welcome to the hotel</html>"
	drop := func(w http.ResponseWriter, r *http.Request) { // never idle, never done
		for r.Context().Err() == nil {
			w.Write([]byte("x"))
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	}
	tests := []struct {
		name     string
		handler  http.HandlerFunc
		req      Request
		is       error
		text     string
		requests int // 0: any
	}{
		{"404", status(404), Request{}, ErrNotFound, "x.tcz", 1},
		{"410", status(410), Request{}, ErrNotFound, "x.tcz", 1},
		{"403", status(403), Request{}, ErrUnreachable, "403 Forbidden", 1},
		{"500 is retried", status(500), Request{}, ErrUnreachable, "500 Internal Server Error", 3},
		{"retry-after too long", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(503)
		}, Request{}, ErrUnreachable, "503", 1},
		{"silent before the answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			Request{}, ErrUnreachable, "nothing received for 150ms", 2},
		{"never done", drop, Request{}, ErrUnreachable, "not complete after 200ms", 1},
		{"declared too large", static(strings.Repeat("x", 11)), Request{MaxSize: 10}, ErrTooLarge, "10 bytes", 1},
		{"html page", static(html), Request{MD5: md5hex("x"), Check: RefuseHTML}, errHTML, "sent another file", 1},
		{"unasked 206", status(206), Request{}, ErrUnreachable, "range", 3},
		{"unasked 304", status(304), Request{}, ErrUnreachable, "304", 1},
		{"redirect loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
			Request{}, ErrUnreachable, "more than 10 in a row", 11},
		{"redirect to a file", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		},
			Request{}, ErrUnreachable, "redirect refused: to file:", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url, count := serve(t, tt.handler)
			c := newClient(t)
			if strings.Contains(tt.text, "nothing received") {
				c.HTTP.Idle = impatient
			}
			if strings.Contains(tt.text, "not complete") {
				c.HTTP.Total = 200 * time.Millisecond
			}
			tt.req.Name, tt.req.URLs = "x.tcz", []string{url + "/x.tcz"}
			_, err := c.Get(t.Context(), tt.req)
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), "fetch x.tcz: ") {
				t.Fatalf("got %v, want %v with %q", err, tt.is, tt.text)
			}
			if tt.requests != 0 && count() != tt.requests {
				t.Errorf("%d requests, want %d", count(), tt.requests)
			}
			if fail.HintOf(err) == "" || fail.ClassOf(err) == fail.Unexpected {
				t.Errorf("no hint, or no class: %v", err)
			}
			if got := files(t, c.Store.Dir); len(got) != 0 {
				t.Errorf("left in the cache: %v", got)
			}
		})
	}
}

func TestGetUnreachableHostIsAskedOnce(t *testing.T) {
	t.Parallel()
	dead := httptest.NewServer(nil)
	url := dead.URL
	dead.Close()
	c := newClient(t)
	for range 2 {
		_, err := c.Get(t.Context(), Request{Name: "x", URLs: []string{url + "/x"}})
		if !errors.Is(err, ErrUnreachable) || !strings.HasSuffix(err.Error(), ": "+strings.TrimPrefix(url, "http://")+": connection refused") {
			t.Fatal(err)
		}
		c.web.client.Transport = noDial{t}
	}
}

func TestGetMirrorsInOrder(t *testing.T) {
	t.Parallel()
	good, _ := serve(t, static("right"))
	liar, _ := serve(t, static("wrong"))
	broken, _ := serve(t, status(500))
	none, _ := serve(t, status(404))
	page, _ := serve(t, static("<html>"))
	moved, _ := serve(t, http.RedirectHandler(good+"/x", http.StatusMovedPermanently).ServeHTTP)
	dir := t.TempDir()
	tests := []struct {
		name string
		urls []string
		is   func(error) bool // nil: the content arrives
	}{
		{"moved elsewhere", []string{none, moved}, nil},
		{"after a 404", []string{none, good}, nil},
		{"after a 500", []string{broken, good}, nil},
		{"after a lie", []string{liar, good}, nil},
		{"after a page", []string{page, good}, nil},
		{"after an empty directory", []string{filepath.Join(dir, "x"), good}, nil},
		{"all lie", []string{liar, none, broken}, isA[*ChecksumError]},
		{"page and 500", []string{broken, page}, is(ErrContent)},
		{"404 everywhere", []string{none, filepath.Join(dir, "x"), none}, is(ErrNotFound)},
		{"404 and unreachable prove nothing", []string{none, broken}, func(err error) bool {
			return errors.Is(err, ErrUnreachable) && !errors.Is(err, ErrNotFound)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, sink := newClient(t), &recorder{}
			c.Sink = sink
			r := Request{Name: "x.tcz", URLs: tt.urls, MD5: strings.ToUpper(md5hex("right")), Check: RefuseHTML}
			if tt.is == nil {
				if b := want(t, c, r, "right"); b.URL != tt.urls[1] || b.Source != 1 {
					t.Errorf("from %s (%d)", b.URL, b.Source)
				}
				exp := "x.tcz: wrong md5 from " + liar + ": want " + md5hex("right") + ", got " + md5hex("wrong") + "; trying the next source"
				if got := sink.warnings(); tt.urls[0] == liar && (len(got) != 1 || got[0] != exp) {
					t.Errorf("got %q, want %q", got, exp)
				}
				return
			}
			_, err := c.Get(t.Context(), r)
			if err == nil || !tt.is(err) {
				t.Fatalf("got %T %v", err, err)
			}
		})
	}
}

func TestGetChecksumErrorFields(t *testing.T) {
	t.Parallel()
	url, count := serve(t, static("wrong"))
	c := newClient(t)
	_, err := c.Get(t.Context(), Request{Name: "x", URLs: []string{url}, SHA256: sha("right")})
	e, ok := errors.AsType[*ChecksumError](err)
	if !ok || *e != (ChecksumError{Name: "x", URL: url, Algorithm: "sha256", Want: sha("right"), Got: sha("wrong")}) {
		t.Fatalf("%+v", err)
	}
	if count() != 1 {
		t.Errorf("a lying mirror was asked %d times", count())
	}
}

func TestGetFlappingMirror(t *testing.T) {
	t.Parallel()
	n := 0
	url, count := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n++; n < 3 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(503)
			return
		}
		w.Write([]byte("up again"))
	})
	c, sink := newClient(t), &recorder{}
	c.Sink = sink
	want(t, c, Request{Name: "x", URLs: []string{url}}, "up again")
	if count() != 3 || len(sink.events) != 3 || len(sink.warnings()) != 0 {
		t.Errorf("%d requests, events %+v", count(), sink.events)
	}
	if e := sink.events[0]; e.Level != ui.Info || e.Text != url+": the server answered 503 Service Unavailable; trying again" {
		t.Errorf("%+v", e)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	plainURL, count := serve(t, static("x"))
	s := httptest.NewUnstartedServer(http.RedirectHandler(plainURL, http.StatusFound))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	for text, transport := range map[string]http.RoundTripper{"certificate signed by unknown authority": nil, "redirect refused: from https": s.Client().Transport} {
		kind := ErrUnreachable
		if transport == nil {
			kind = ErrCertificate
		}
		c := newClient(t)
		c.HTTP.Transport = transport
		_, err := c.Get(t.Context(), Request{Name: "x", URLs: []string{s.URL}})
		if !errors.Is(err, kind) || !strings.Contains(err.Error(), text) || count() != 0 || transport == nil && !strings.Contains(fail.HintOf(err), "SSL_CERT_FILE") {
			t.Errorf("%v, %d plain requests", err, count())
		}
	}
}

// TestNoNames: without a network the error names each server once. Only the first gets a warning: no other server
// follows the second.
func TestNoNames(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	sink := &recorder{}
	c.Sink = sink
	_, err := c.Get(t.Context(), Request{Name: "x", URLs: []string{"http://a.invalid/1", "http://a.invalid/2", "http://b.invalid/1", "http://b.invalid/2"}})
	if !errors.Is(err, ErrUnresolved) || !strings.HasSuffix(err.Error(), ": a.invalid; b.invalid") || len(sink.warnings()) != 1 {
		t.Errorf("%v, %q", err, sink.warnings())
	}
}

func TestGetHidesPasswords(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != "me" || p != "s3cret" {
			w.WriteHeader(401)
			return
		}
		if r.URL.Path != "/x" {
			w.WriteHeader(404)
			return
		}
		w.Write([]byte("private"))
	})
	url = strings.Replace(url, "://", "://me:s3cret@", 1)
	c := newClient(t)
	b := want(t, c, Request{Name: "x", URLs: []string{url + "/x"}}, "private")
	_, err := c.Get(t.Context(), Request{Name: "y", URLs: []string{url + "/y"}})
	if strings.Contains(b.URL+err.Error(), "s3cret") || !errors.Is(err, ErrNotFound) {
		t.Errorf("%s, %v", b.URL, err)
	}
	for _, f := range files(t, c.Store.Dir) {
		if data, _ := os.ReadFile(filepath.Join(c.Store.Dir, f)); bytes.Contains(data, []byte("s3cret")) {
			t.Errorf("%s holds the password", f)
		}
	}
}

func TestGetCancelLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		w.Write(make([]byte, 500_000))
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
	})
	c := newClient(t)
	_, err := c.Get(ctx, Request{Name: "x", URLs: []string{url, url}})
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreachable) {
		t.Fatal(err)
	}
	if got := files(t, c.Store.Dir); len(got) != 0 {
		t.Errorf("left in the cache: %v", got)
	}
}

func TestGetRefusesBadRequests(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		req  Request
		text string
	}{
		{"no source", Request{}, "none given"},
		{"ftp", Request{URLs: []string{"ftp://ftp.nluug.nl/x"}}, "not ftp"},
		{"no host", Request{URLs: []string{"http:///x"}}, "not a web address"},
		{"control character", Request{URLs: []string{"http://h/\x1b[2J"}}, "not a web address"},
		{"file host", Request{URLs: []string{"file://server/x"}}, "three slashes"},
		{"empty", Request{URLs: []string{""}}, "not a path"},
		{"md5", Request{URLs: []string{"/x"}, MD5: "d41d8"}, "32 hex digits"},
		{"sha256", Request{URLs: []string{"/x"}, SHA256: strings.Repeat("g", 64)}, "64 hex digits"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := newClient(t).Get(t.Context(), tt.req)
			if err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %q", err, tt.text)
			}
		})
	}
}

func TestProgressEvents(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("x", 1<<20)
	url, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1048576")
		w.Write([]byte(body))
	})
	c, sink := newClient(t), &recorder{}
	c.Sink = sink
	r := Request{Name: "core.gz", URLs: []string{url}}
	want(t, c, r, body)
	want(t, c, r, body)
	last := int64(0)
	for i, e := range sink.events {
		if e.Step != "fetch" || e.Item != "core.gz" || e.Done < last || e.Total != 1<<20 {
			t.Errorf("event %d: %+v", i, e)
		}
		last = e.Done
	}
	n := len(sink.events)
	if n < 3 || n > 8 || sink.events[n-1].Text != "from the cache" || sink.events[n-2].Done != 1<<20 || sink.events[n-2].Text != "" {
		t.Errorf("events %+v", sink.events)
	}
}

func TestRefuseHTML(t *testing.T) {
	t.Parallel()
	for in, page := range map[string]bool{
		"hsqs\x00\x01":                   false,
		"":                               false,
		"ruby.tcz\n":                     false,
		"<!DOCTYPE html>":                true,
		"\ufeff\r\n <HTML lang=en>":      true,
		"<?xml version='1.0'?><!DOCTYPE": true,
		"a <html> inside":                false,
	} {
		if err := RefuseHTML([]byte(in)); (err != nil) != page {
			t.Errorf("%q: %v", in, err)
		}
	}
}
