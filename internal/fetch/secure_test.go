package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mkbuild/internal/fail"
	"mkbuild/internal/store"
)

// network has servers by scheme and host; others refuse the connection.
type network struct {
	mu    sync.Mutex
	hosts map[string]http.HandlerFunc
	log   []string
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log = append(n.log, r.Method+" "+r.URL.String())
	h := n.hosts[r.URL.Scheme+"://"+r.URL.Host]
	if h == nil {
		return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	}
	w := httptest.NewRecorder()
	h(w, r)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

// asked returns and clears the requests so far.
func (n *network) asked() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := strings.Join(n.log, ", ")
	n.log = nil
	return s
}

func worldClient(t *testing.T, hosts map[string]http.HandlerFunc) (*Client, *network) {
	t.Helper()
	n := &network{hosts: hosts}
	c := newClient(t)
	c.HTTP.Transport = n
	return c, n
}

func only(path, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path {
			w.WriteHeader(404)
			return
		}
		w.Write([]byte(body))
	}
}

func TestHTTPSFirst(t *testing.T) {
	t.Parallel()
	const probe = "HEAD https://m.test/, "
	redirect := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://m.test"+r.URL.Path, http.StatusFound)
	}
	tests := []struct {
		name, url string
		tls       http.HandlerFunc
		asked     string
		firstUse  bool
	}{
		{"the host has it", "http://m.test/x", only("/x", "right"), probe + "GET https://m.test/x", false},
		{"with the port", "http://m.test:80/x", only("/x", "right"), probe + "GET https://m.test/x", false},
		{"no https there", "http://m.test/x", nil, probe + "GET http://m.test/x", true},
		{"another site on https", "http://m.test/x", status(404), probe + "GET https://m.test/x, GET http://m.test/x", true},
		{"a page on https", "http://m.test/x", static("<html>parked"), probe + "GET https://m.test/x, GET http://m.test/x", true},
		{"it sends back to http", "http://m.test/x", redirect, probe + "GET https://m.test/x, GET http://m.test/x", true},
		{"it forbids", "http://m.test/x", status(403), probe + "GET https://m.test/x, GET http://m.test/x", true},
		{"another port", "http://m.test:8080/x", only("/x", "wrong"), "GET http://m.test:8080/x", true},
		{"https is asked for", "https://m.test/x", only("/x", "right"), "GET https://m.test/x", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, n := worldClient(t, map[string]http.HandlerFunc{
				"https://m.test": tt.tls, "http://m.test": only("/x", "right"), "http://m.test:80": only("/x", "right"), "http://m.test:8080": only("/x", "right")})
			r := Request{Name: "x", URLs: []string{tt.url}, Check: RefuseHTML}
			if b := want(t, c, r, "right"); b.URL != tt.url {
				t.Errorf("the address is %s", b.URL)
			}
			if got := n.asked(); got != tt.asked {
				t.Errorf("asked %s\nwant  %s", got, tt.asked)
			}
			if got := len(c.FirstUse()) == 1; got != tt.firstUse {
				t.Errorf("trusted on first use: %q", c.FirstUse())
			}
			second := again(c)
			want(t, second, r, "right")
			if got := len(second.FirstUse()) == 1; got != tt.firstUse || n.asked() != "" {
				t.Errorf("trusted on first use, from the cache: %q", second.FirstUse())
			}
		})
	}
}

// TestOneProbe: a host is probed once, and its absences count after it has sent a file.
func TestOneProbe(t *testing.T) {
	t.Parallel()
	c, n := worldClient(t, map[string]http.HandlerFunc{"https://m.test": only("/x", "right"), "http://m.test": only("/dep", "wrong")})
	want(t, c, Request{Name: "x", URLs: []string{"http://m.test/x"}}, "right")
	n.asked()
	opt := Request{Name: "dep", URLs: []string{"http://m.test/dep"}, Optional: true}
	if _, err := c.Get(t.Context(), opt); !errors.Is(err, ErrNotFound) || n.asked() != "GET https://m.test/dep" {
		t.Error(err)
	}
	// The reverse: a file that only http has ends the search.
	c, n = worldClient(t, map[string]http.HandlerFunc{"https://m.test": status(404), "http://m.test": only("/x", "right")})
	want(t, c, Request{Name: "x", URLs: []string{"http://m.test/x"}}, "right")
	n.asked()
	if _, err := c.Get(t.Context(), Request{Name: "y", URLs: []string{"http://m.test/y"}}); !errors.Is(err, ErrNotFound) || n.asked() != "GET http://m.test/y" {
		t.Error(err)
	}
}

// TestNoDowngrade: after a success, a failure of https does not lead to http, and an https address never does.
func TestNoDowngrade(t *testing.T) {
	t.Parallel()
	broken := false
	c, n := worldClient(t, map[string]http.HandlerFunc{"http://m.test": static("evil"), "https://m.test": func(w http.ResponseWriter, _ *http.Request) {
		if broken {
			w.WriteHeader(500)
			return
		}
		w.Write([]byte("right"))
	}})
	want(t, c, Request{Name: "x", URLs: []string{"http://m.test/x"}}, "right")
	broken = true
	for _, scheme := range []string{"http", "https"} {
		n.asked()
		_, err := c.Get(t.Context(), Request{Name: "y", URLs: []string{scheme + "://m.test/y"}})
		if got := n.asked(); !errors.Is(err, ErrUnreachable) || strings.Contains(got, "GET http:") {
			t.Errorf("%v, asked %s", err, got)
		}
	}
}

func TestRequireHTTPS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, n := worldClient(t, map[string]http.HandlerFunc{"http://plain.test": static("right"), "https://m.test": only("/x", "right"), "http://m.test": static("evil")})
	plainURL := Request{Name: "x", URLs: []string{"http://plain.test/x"}}
	want(t, c, plainURL, "right") // into the cache
	strict := again(c)
	strict.RequireHTTPS = true
	n.asked()
	_, err := strict.Get(t.Context(), plainURL)
	if !errors.Is(err, ErrInsecure) || !strings.Contains(err.Error(), "http://plain.test/x") || fail.HintOf(err) == "" || n.asked() != "HEAD https://plain.test/" {
		t.Fatal(err)
	}
	pinned := plainURL
	pinned.MD5 = md5hex("right")
	fails(t, strict, pinned, ErrInsecure)
	pinned.SHA256 = sha("right")
	want(t, strict, pinned, "right")
	want(t, strict, Request{Name: "x", URLs: []string{"http://plain.test/x", "http://m.test/x"}}, "right")
	fails(t, strict, Request{Name: "y", URLs: []string{"http://m.test/y"}}, ErrNotFound)
	both := []string{"http://plain.test/y", "https://down.test/y"}
	if _, err := strict.Get(t.Context(), Request{Name: "y", URLs: both}); !errors.Is(err, ErrUnreachable) || fail.ClassOf(err) != fail.Network {
		t.Errorf("a dead https mirror is a matter of the network: %v", err)
	}
	fails(t, strict, Request{Name: "y", URLs: []string{dir + "/none"}}, ErrNotFound)
	if _, err := strict.List(t.Context(), "http://plain.test/"); !errors.Is(err, ErrInsecure) {
		t.Errorf("list: %v", err)
	}
	if strings.Contains(n.asked(), "GET http:") {
		t.Error("plain http was used")
	}
	strict.Offline = true
	_, err = strict.Get(t.Context(), plainURL)
	if !errors.Is(err, ErrOffline) || !strings.Contains(err.Error(), "plain http") {
		t.Errorf("offline: %v", err)
	}
}

// TestRequireHTTPSForgetsPlainAnswers: a remembered absence or validator from plain http does not count.
func TestRequireHTTPSForgetsPlainAnswers(t *testing.T) {
	t.Parallel()
	hosts := map[string]http.HandlerFunc{"http://m.test": func(w http.ResponseWriter, r *http.Request) {
		if w.Header().Set("ETag", `"1"`); r.URL.Path != "/x" {
			w.WriteHeader(404)
			return
		}
		w.Write([]byte("evil"))
	}}
	c, n := worldClient(t, hosts)
	fresh := Request{Name: "x", URLs: []string{"http://m.test/x"}, Fresh: true}
	dep := Request{Name: "dep", URLs: []string{"http://m.test/dep"}, Fresh: true, Optional: true}
	want(t, c, fresh, "evil")
	fails(t, c, dep, ErrNotFound)
	n.hosts["https://m.test"] = func(w http.ResponseWriter, r *http.Request) {
		if w.Header().Set("ETag", `"1"`); r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(304)
			return
		}
		w.Write([]byte("right"))
	}
	strict := again(c)
	strict.RequireHTTPS, strict.Offline = true, true
	fails(t, strict, dep, ErrOffline)
	strict = again(c)
	strict.RequireHTTPS = true
	want(t, strict, fresh, "right")
}

// TestFirstUseCounts: files with a known SHA-256, index files and files on disk are not counted.
func TestFirstUseCounts(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, static("right"))
	c := newClient(t)
	want(t, c, Request{Name: "b", URLs: []string{url + "/b"}, MD5: md5hex("right")}, "right")
	want(t, c, Request{Name: "a", URLs: []string{url + "/a"}}, "right")
	want(t, c, Request{Name: "a", URLs: []string{url + "/a"}}, "right")
	want(t, c, Request{Name: "locked", URLs: []string{url + "/l"}, SHA256: sha("right")}, "right")
	want(t, c, Request{Name: "index", URLs: []string{url + "/i"}, Fresh: true}, "right")
	if got := c.FirstUse(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%q", got)
	}
}

// TestRealCertificates: a host with an untrusted certificate counts as a host without https.
func TestRealCertificates(t *testing.T) {
	t.Parallel()
	tlsServer := httptest.NewUnstartedServer(static("over tls"))
	tlsServer.Config.ErrorLog = log.New(io.Discard, "", 0)
	tlsServer.StartTLS()
	defer tlsServer.Close()
	plainServer := httptest.NewServer(static("plain"))
	defer plainServer.Close()
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		to := plainServer.Listener.Addr().String()
		if strings.HasSuffix(addr, ":443") {
			to = tlsServer.Listener.Addr().String()
		}
		return (&net.Dialer{}).DialContext(ctx, network, to)
	}
	trusting := tlsServer.Client().Transport.(*http.Transport).Clone()
	trusting.DialContext = dial
	for body, tr := range map[string]*http.Transport{"over tls": trusting, "plain": {DialContext: dial}} {
		defer tr.CloseIdleConnections()
		c := newClient(t)
		c.HTTP.Transport, c.HTTP.Probe = tr, time.Minute
		want(t, c, Request{Name: "x", URLs: []string{"http://example.com/x"}}, body)
	}
}

// TestSilentProbe: a host that accepts connections on 443 and stays silent costs only the probe.
func TestSilentProbe(t *testing.T) {
	t.Parallel()
	c, n := worldClient(t, map[string]http.HandlerFunc{"http://m.test": static("right"), "https://m.test": nil})
	c.HTTP.Probe = time.Millisecond
	c.HTTP.Transport = silentTLS{n}
	want(t, c, Request{Name: "x", URLs: []string{"http://m.test/x"}}, "right")
}

// silentTLS never answers https.
type silentTLS struct{ http.RoundTripper }

func (s silentTLS) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return s.RoundTripper.RoundTrip(r)
}

// TestQueriesAreSecrets: the record of an address with a query does not contain the query and distinguishes two
// queries. A redirect does not pass the query on.
func TestQueriesAreSecrets(t *testing.T) {
	t.Parallel()
	var referers []string
	end, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		referers = append(referers, r.Referer())
		io.WriteString(w, r.URL.Query().Get("file"))
	})
	start, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, end+"?file="+r.URL.Query().Get("token"), http.StatusFound)
	})
	c := newClient(t)
	c.Store.Key = []byte("key")
	want(t, c, Request{Name: "x", URLs: []string{start + "?token=s3cret"}}, "s3cret")
	want(t, c, Request{Name: "x", URLs: []string{start + "?token=0ther"}}, "0ther")
	off := again(c)
	off.Offline = true
	off.Store.Key = c.Store.Key
	want(t, off, Request{Name: "x", URLs: []string{start + "?token=s3cret"}}, "s3cret")
	if strings.Join(referers, "") != "" {
		t.Errorf("referers: %q", referers)
	}
	_, err := c.Get(t.Context(), Request{Name: "x", URLs: []string{strings.Replace(start, "http:", "https:", 1) + "?token=s3cret"}})
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("an error: %v", err)
	}
	items, err := c.Store.Items(t.Context())
	must(t, err)
	if text := fmt.Sprint(items); strings.Contains(text, "token") || strings.Contains(text, "s3cret") || strings.Count(text, "?xxxxx ") != 2 {
		t.Errorf("remembered: %s", text)
	}
}

// TestSealedEntries: without a digest, an entry written by somebody else is not used, even if the server answers
// that nothing has changed.
func TestSealedEntries(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if w.Header().Set("ETag", `"1"`); r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		io.WriteString(w, "right")
	})
	c := newClient(t)
	planted, _ := serve(t, static("planted"))
	want(t, c, Request{Name: "y", URLs: []string{planted}}, "planted")
	for _, sealed := range []bool{false, true} {
		user := again(c)
		user.Store.Key, user.Store.Sealed = []byte("key"), sealed
		want(t, user, Request{Name: "x", URLs: []string{url}, Fresh: true}, "right")
		e, err := user.Store.Entry(store.KindDownload, url)
		must(t, err)
		bad, err := c.Store.Entry(store.KindDownload, planted)
		must(t, err)
		e.SHA256 = bad.SHA256
		must(t, c.Store.Put(t.Context(), store.KindDownload, e)) // with the old content's seal
		got := map[bool]string{false: "planted", true: "right"}[sealed]
		user = again(c)
		user.Store.Key, user.Store.Sealed = []byte("key"), sealed
		want(t, user, Request{Name: "x", URLs: []string{url}, Fresh: true}, got)
	}
}
