package fetch

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// cutter is a mirror that truncates each answer.
type cutter struct {
	body     string
	cut      int    // bytes per answer; 0: all
	etag     string // "" for none
	modified time.Time
	ranges   func(string) string // changes Content-Range; nil if ranges are ignored

	ranged, full int // answers
}

func (c *cutter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c.ranges == nil {
		r.Header.Del("Range")
	}
	if c.etag != "" {
		w.Header().Set("ETag", c.etag)
	}
	http.ServeContent(&cutAnswer{w, c, c.cut}, r, "core.gz", c.modified, strings.NewReader(c.body))
}

type cutAnswer struct {
	http.ResponseWriter
	cutter *cutter
	left   int
}

func (a *cutAnswer) WriteHeader(code int) {
	if code == http.StatusPartialContent {
		a.cutter.ranged++
		a.Header().Set("Content-Range", a.cutter.ranges(a.Header().Get("Content-Range")))
	} else {
		a.cutter.full++
	}
	a.ResponseWriter.WriteHeader(code)
}

func (a *cutAnswer) Write(b []byte) (int, error) {
	if a.cutter.cut == 0 || len(b) <= a.left {
		a.left -= len(b)
		return a.ResponseWriter.Write(b)
	}
	a.ResponseWriter.Write(b[:a.left])
	a.ResponseWriter.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func noise(n int) string {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.UintN(256))
	}
	return string(b)
}

func TestResume(t *testing.T) {
	t.Parallel()
	as := func(s string) string { return s }
	other := func(old, now string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, now, 1) }
	}
	date := time.Date(2012, 2, 18, 10, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		mirror       cutter
		ok           bool
		ranged, full int
	}{
		"by etag":                   {cutter{cut: 300_000, etag: `"v1"`, ranges: as}, true, 3, 1},
		"by date":                   {cutter{cut: 300_000, modified: date, ranges: as}, true, 3, 1},
		"more breaks than attempts": {cutter{cut: 100_000, etag: `"v1"`, ranges: as}, true, 10, 1},
		"weak etag is no proof":     {cutter{cut: 300_000, etag: `W/"v1"`, ranges: as}, false, 0, 3},
		"nothing to go by":          {cutter{cut: 300_000, ranges: as}, false, 0, 3},
		"range ignored":             {cutter{cut: 300_000, etag: `"v1"`}, false, 0, 3},
		"another start":             {cutter{cut: 300_000, etag: `"v1"`, ranges: other("bytes ", "bytes 1")}, false, 1, 2},
		"another end":               {cutter{cut: 300_000, etag: `"v1"`, ranges: other("/", "0/")}, false, 1, 2},
		"another unit":              {cutter{cut: 300_000, etag: `"v1"`, ranges: other("bytes", "items")}, false, 1, 2},
		"a length that is not told": {cutter{cut: 300_000, etag: `"v1"`, ranges: other("/1048576", "/*")}, false, 1, 2},
		"a larger file":             {cutter{cut: 300_000, etag: `"v1"`, ranges: other("1048575/1048576", "1048576/1048577")}, false, 1, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := tt.mirror
			m.body = noise(1 << 20)
			url, _ := serve(t, m.ServeHTTP)
			c := newClient(t)
			r := Request{Name: "core.gz", URLs: []string{url}}
			if tt.ok {
				want(t, c, r, m.body)
			} else if _, err := c.Get(t.Context(), r); !errors.Is(err, ErrUnreachable) || len(files(t, c.Store.Dir)) != 0 {
				t.Errorf("%v, in the store: %q", err, files(t, c.Store.Dir))
			}
			if m.ranged != tt.ranged || m.full != tt.full {
				t.Errorf("%d ranged and %d full answers, want %d and %d", m.ranged, m.full, tt.ranged, tt.full)
			}
			clean(t, c)
		})
	}
}

func TestResumeSplicedVersionsStartAgain(t *testing.T) {
	t.Parallel()
	body := noise(500_000)
	m := cutter{body: strings.Repeat("o", len(body)), cut: 300_000, etag: `"same"`, ranges: func(s string) string { return s }}
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if m.full > 0 {
			m.body = body
		}
		if m.ranged > 0 {
			m.cut = 0
		}
		m.ServeHTTP(w, r)
	})
	want(t, newClient(t), Request{Name: "x", URLs: []string{url}, MD5: md5hex(body)}, body)
	if m.full != 2 || m.ranged != 1 {
		t.Errorf("%d full, %d ranged", m.full, m.ranged)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	tests := []struct {
		after, date string
		want        time.Duration
	}{
		{"7", "", 7 * time.Second},
		{"Sat, 18 Feb 2012 10:00:30 GMT", "Sat, 18 Feb 2012 10:00:00 GMT", 30 * time.Second},
		{"Sat, 18 Feb 2012 10:00:00 GMT", "Sat, 18 Feb 2012 10:00:30 GMT", 0},
		{"Sat, 18 Feb 2012 10:00:30 GMT", "", 0},
		{"-1", "", 0},
		{"99999999999", "", 0},
		{"soon", "", 0},
	}
	for _, tt := range tests {
		h := http.Header{"Retry-After": {tt.after}, "Date": {tt.date}}
		if got := retryAfter(h); got != tt.want {
			t.Errorf("%q at %q: %v, want %v", tt.after, tt.date, got, tt.want)
		}
	}
}

func TestPauseGrowsAndIsBounded(t *testing.T) {
	t.Parallel()
	o := Options{Backoff: 100 * time.Millisecond, MaxWait: time.Second}
	for n, top := range []time.Duration{1: 100, 2: 200, 3: 400, 4: 800, 5: 1000, 60: 1000} {
		top *= time.Millisecond
		if top == 0 {
			continue
		}
		if d, ok := pause(o, n, errors.New("x")); !ok || d > top || d < top/2 {
			t.Errorf("failure %d: %v, want %v to %v", n, d, top/2, top)
		}
	}
}

func TestSilentHostUsesUpAttemptsFaster(t *testing.T) {
	t.Parallel()
	silent := &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	if weight(silent) != 2 || weight(errors.New("x")) != 1 || weight(&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}) != 1 {
		t.Error("wrong weights")
	}
}
