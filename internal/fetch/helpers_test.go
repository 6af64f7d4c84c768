// Helpers for this package's tests: mirrors, clients with short limits, and a network that fails the test.

package fetch

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/store"
	"mkbuild/internal/ui"
)

var must = testkit.Must

// quick are limits for mirrors that answer: short pauses, but enough patience for a loaded machine.
var quick = Options{
	Connect: 10 * time.Second, Idle: 10 * time.Second, Total: time.Minute,
	Attempts: 3, Backoff: time.Millisecond, MaxWait: 50 * time.Millisecond,
}

// impatient are limits for mirrors that stall.
const impatient = 150 * time.Millisecond

func newClient(t *testing.T) *Client {
	t.Helper()
	return &Client{Store: storeIn(filepath.Join(t.TempDir(), "cache")), HTTP: quick}
}

func storeIn(dir string) *store.Store { return &store.Store{Dir: dir} }

// again simulates another process on the same store and network.
func again(c *Client) *Client { return &Client{Store: storeIn(c.Store.Dir), HTTP: c.HTTP} }

// serve starts a mirror and counts its requests.
func serve(t *testing.T, h http.HandlerFunc) (url string, count func() int) {
	t.Helper()
	var n atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() int { return int(n.Load()) }
}

func static(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body)) }
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func md5hex(s string) string {
	b := md5.Sum([]byte(s))
	return hex.EncodeToString(b[:])
}

func sha(s string) string {
	b := sha256.Sum256([]byte(s))
	return hex.EncodeToString(b[:])
}

// want fetches and compares the content.
func want(t *testing.T, c *Client, r Request, body string) *Blob {
	t.Helper()
	b, err := c.Get(t.Context(), r)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	got, err := b.ReadAll()
	must(t, err)
	if string(got) != body {
		t.Fatalf("got %d bytes, want %d", len(got), len(body))
	}
	if b.SHA256 != sha(body) || b.Size != int64(len(body)) {
		t.Errorf("blob %+v does not describe its content", b)
	}
	return b
}

// files lists every file below dir.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, p)
			out = append(out, rel)
		}
		return nil
	})
	must(t, err)
	return out
}

// clean fails if a client's store has a fault, such as a file left by a transfer.
func clean(t *testing.T, c *Client) {
	t.Helper()
	if h, err := storeIn(c.Store.Dir).Verify(t.Context()); err != nil || !h.Clean() {
		t.Errorf("the store: %+v, %v", h, err)
	}
}

// noDial is the network of a test that must not use it.
type noDial struct{ t *testing.T }

func (n noDial) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("the network was used: %s", r.URL)
	return nil, errors.New("no network in this test")
}

// offline returns a client on the same cache that fails the test if it dials.
func offline(t *testing.T, c *Client) *Client {
	o := quick
	o.Transport = noDial{t}
	return &Client{Store: storeIn(c.Store.Dir), Offline: true, HTTP: o}
}

// recorder is a Sink that records all events.
type recorder struct {
	mu     sync.Mutex
	events []ui.Event
}

func (r *recorder) Event(e ui.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) warnings() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, e := range r.events {
		if e.Level == ui.Warning {
			out = append(out, e.Item+": "+e.Text)
		}
	}
	return out
}

// fails fetches a file, which must fail.
func fails(t *testing.T, c *Client, r Request, want error) {
	t.Helper()
	if _, err := c.Get(t.Context(), r); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}
