package fetch

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// cutter is a mirror that breaks off each answer after a while.
type cutter struct {
	body         string
	cut          int    // bytes per answer; 0: all
	etag         string // "" for none
	modified     string
	ignoreRange  bool
	badRange     bool
	changeAfter  int // answers after which the content, but not the ETag, changes
	requests     int
	ranged       int
	fullRequests int
}

func (c *cutter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.requests++
	body := c.body
	if c.changeAfter > 0 && c.requests <= c.changeAfter {
		body = strings.Repeat("o", len(body))
	}
	off := c.offset(r)
	if off > 0 {
		c.ranged++
		from := off
		if c.badRange {
			from--
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
	} else {
		c.fullRequests++
	}
	c.headers(w, len(body)-off)
	if off > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	end := len(body)
	if c.cut > 0 {
		end = min(end, off+c.cut)
	}
	w.Write([]byte(body[off:end]))
	if end < len(body) {
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

func (c *cutter) headers(w http.ResponseWriter, length int) {
	if c.etag != "" {
		w.Header().Set("ETag", c.etag)
	}
	if c.modified != "" {
		w.Header().Set("Last-Modified", c.modified)
	}
	w.Header().Set("Content-Length", strconv.Itoa(length))
}

// offset reads the range that a server would honour, If-Range included.
func (c *cutter) offset(r *http.Request) int {
	v := r.Header.Get("If-Range")
	if c.ignoreRange || r.Header.Get("Range") == "" || (v != c.etag && v != c.modified) {
		return 0
	}
	off, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-"))
	if err != nil {
		return 0
	}
	return off
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
	const date = "Sat, 18 Feb 2012 10:00:00 GMT"
	body := noise(1 << 20)
	tests := []struct {
		name         string
		mirror       cutter
		ok           bool
		ranged, full int
	}{
		{"by etag", cutter{cut: 300_000, etag: `"v1"`}, true, 3, 1},
		{"by date", cutter{cut: 300_000, modified: date}, true, 3, 1},
		{"more breaks than attempts", cutter{cut: 100_000, etag: `"v1"`}, true, 10, 1},
		{"weak etag is no proof", cutter{cut: 300_000, etag: `W/"v1"`}, false, 0, 3},
		{"nothing to go by", cutter{cut: 300_000}, false, 0, 3},
		{"range ignored", cutter{cut: 300_000, etag: `"v1"`, ignoreRange: true}, false, 0, 3},
		{"wrong range", cutter{cut: 300_000, etag: `"v1"`, badRange: true}, false, 1, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := tt.mirror
			m.body = body
			url, _ := serve(t, m.ServeHTTP)
			c := newClient(t)
			r := Request{Name: "core.gz", URLs: []string{url}}
			if tt.ok {
				want(t, c, r, body)
			} else if _, err := c.Get(t.Context(), r); !errors.Is(err, ErrUnreachable) {
				t.Errorf("got %v", err)
			}
			if m.ranged != tt.ranged || m.fullRequests != tt.full {
				t.Errorf("%d ranged and %d full requests, want %d and %d", m.ranged, m.fullRequests, tt.ranged, tt.full)
			}
			if !tt.ok && len(files(t, c.Store.Dir)) != 0 {
				t.Error("something was left in the cache")
			}
			clean(t, c)
		})
	}
}

func TestResumeSplicedVersionsStartAgain(t *testing.T) {
	t.Parallel()
	body := noise(500_000)
	m := cutter{body: body, cut: 300_000, etag: `"same"`, changeAfter: 1}
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if m.ranged > 0 {
			m.cut = 0
		}
		m.ServeHTTP(w, r)
	})
	want(t, newClient(t), Request{Name: "x", URLs: []string{url}, MD5: md5hex(body)}, body)
	if m.fullRequests != 2 || m.ranged != 1 {
		t.Errorf("%d full, %d ranged", m.fullRequests, m.ranged)
	}
}

func TestContentRange(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in                string
		start, end, total int64
		ok                bool
	}{
		{"bytes 5-9/10", 5, 9, 10, true},
		{"bytes 0-0/1", 0, 0, 1, true},
		{"bytes 5-9/*", 0, 0, 0, false},
		{"bytes */10", 0, 0, 0, false},
		{"bytes 9-5/10", 0, 0, 0, false},
		{"bytes 5-10/10", 0, 0, 0, false},
		{"items 5-9/10", 0, 0, 0, false},
		{"bytes -5-9/10", 0, 0, 0, false},
		{"bytes 5-9/9223372036854775808", 0, 0, 0, false},
		{"", 0, 0, 0, false},
	}
	for _, tt := range tests {
		s, e, n, err := contentRange(tt.in)
		if (err == nil) != tt.ok || s != tt.start || e != tt.end || n != tt.total {
			t.Errorf("%q: %d-%d/%d, %v", tt.in, s, e, n, err)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	f.Add("bytes 5-9/10")
	f.Add("bytes */10")
	f.Fuzz(func(t *testing.T, s string) {
		start, end, total, err := contentRange(s)
		if err == nil && (start < 0 || start > end || end >= total) {
			t.Errorf("%q: %d-%d/%d", s, start, end, total)
		}
	})
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
