package main

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/fetch"
	"mkbuild/internal/store"
)

// fault is a mirror's misbehaviour with files of some suffixes; body is the right content. It returns false to
// behave correctly this time.
type fault func(w http.ResponseWriter, r *http.Request, body []byte, asked int) bool

// impatient are short limits: a good mirror on a busy machine stays within them.
func impatient() fetch.Options {
	return fetch.Options{Idle: time.Second, MinRate: 500, Attempts: 3, Backoff: time.Millisecond, MaxWait: 2 * time.Second}
}

// mirrors are a good server and the reference for tests of bad ones.
type mirrors struct {
	dir, good string
	image     string // digest of the good mirror's image
}

func newMirrors(t *testing.T) *mirrors {
	t.Helper()
	m := &mirrors{}
	m.dir, m.good = tinymirror.Serve(t)
	b := m.builder(t)
	if code := b.iso("--mirror", m.good); code != 0 {
		t.Fatal(b.stderr.String())
	}
	m.image = digest(t, b.out)
	return m
}

// bad is a mirror that misbehaves with files of a suffix.
func (m *mirrors) bad(t *testing.T, suffix string, do fault) string {
	t.Helper()
	var mu sync.Mutex
	asked := map[string]int{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.URL.Path]++
		n := asked[r.URL.Path]
		mu.Unlock()
		name := filepath.Join(m.dir, filepath.FromSlash(r.URL.Path))
		body, err := os.ReadFile(name)
		if err != nil || !strings.HasSuffix(r.URL.Path, suffix) || !do(w, r, body, n) {
			http.ServeFile(w, r, name)
		}
	}))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.URL
}

// builder is mkbuild with a separate cache and output folder.
type builder struct {
	t                  *testing.T
	config, cache, out string
	stdout, stderr     bytes.Buffer
}

func (m *mirrors) builder(t *testing.T) *builder {
	dir := t.TempDir()
	b := &builder{t: t, config: filepath.Join(dir, "mkbuild.yaml"), cache: filepath.Join(dir, "cache"), out: filepath.Join(dir, "out", "image.iso")}
	put(t, b.config, tinymirror.ConfigAt(m.good))
	testkit.Must(t, os.Mkdir(filepath.Dir(b.out), 0o755))
	return b
}

// getenv places the user's key outside the cache.
func (b *builder) getenv(name string) string {
	return map[string]string{cacheKeyEnv: filepath.Join(filepath.Dir(b.config), "key")}[name]
}

// run runs mkbuild and returns its exit status.
func (b *builder) run(args ...string) int {
	return b.exec(append(args, "--config", b.config, "--cache-dir", b.cache, "--progress", "plain")...)
}

// exec runs mkbuild with only these arguments.
func (b *builder) exec(args ...string) int {
	b.stdout.Reset()
	b.stderr.Reset()
	w := &world{stdout: &b.stdout, stderr: &b.stderr, getenv: b.getenv, client: testClient, transfers: impatient()}
	return run(b.t.Context(), w, args)
}

func (b *builder) iso(args ...string) int {
	return b.run(append([]string{"iso", "-o", b.out}, args...)...)
}

// faults are all tested faults of mirrors.
func faults() []struct {
	name, suffix string
	do           fault
	code         int
	says         string
} {
	const tcz = "/ruby.tcz"
	return []struct {
		name, suffix string
		do           fault
		code         int // without another mirror
		says         string
	}{
		{"a changed byte", tcz, changed, exitVerify, "ruby.tcz: wrong md5"},
		{"a changed ISO", "/Core-4.5.2.iso", changed, exitVerify, "Core-4.5.2.iso: wrong md5"},
		{"a wrong md5", tcz + ".md5.txt", wrongSum, exitVerify, "ruby.tcz: wrong md5"},
		{"a wrong md5 of the ISO", ".iso.md5.txt", wrongSum, exitVerify, "Core-4.5.2.iso: wrong md5"},
		{"an md5 file of noise", tcz + ".md5.txt", always("\x00\x01\x02 not a digest"), exitVerify, "ruby.tcz.md5.txt"},
		{"an empty md5 file", tcz + ".md5.txt", always(""), exitVerify, "ruby.tcz.md5.txt"},
		{"an empty file", tcz, always(""), exitVerify, "ruby.tcz: wrong md5"},
		{"cut off", tcz, cutOff, exitNetwork, "ruby.tcz.*broke off at"},
		{"cut off, and nobody tells", tcz, shortened, exitVerify, "ruby.tcz: wrong md5"},
		{"changed since the md5 was made", tcz, replaced, exitVerify, "ruby.tcz: wrong md5"},
		{"a page", tcz, loginPage, exitVerify, "ruby.tcz.*HTML page"},
		{"a page for the ISO", ".iso", loginPage, exitVerify, "Core-4.5.2.iso.*HTML page"},
		{"a page for the md5", ".md5.txt", loginPage, exitVerify, "md5.txt.*HTML page"},
		{"a page for the dependencies", "/bash.tcz.dep", loginPage, exitVerify, "bash.tcz.dep.*HTML page"},
		{"a stall before the answer", tcz, silent, exitNetwork, "ruby.tcz.*nothing received for"},
		{"a stall amid the file", ".iso", stalled, exitNetwork, "Core-4.5.2.iso.*nothing received for"},
		{"a stall in the dependencies", "/bash.tcz.dep", silent, exitNetwork, "bash.tcz.dep.*nothing received for"},
		{"a stall in the licence", "/bash.tcz.info", silent, exitNetwork, "bash.tcz.info.*nothing received for"},
		{"a slow drip", ".iso", dripping, exitNetwork, "Core-4.5.2.iso.*too slow"},
		{"503", tcz, busy("", 1000), exitNetwork, "ruby.tcz.*503"},
		{"503 of an index file", tcz + ".md5.txt", busy("", 1000), exitNetwork, "ruby.tcz.md5.txt.*503"},
		{"503, and to come back tomorrow", tcz, busy("86400", 1000), exitNetwork, "ruby.tcz.*503"},
		{"503 twice", tcz, busy("", 2), exitOK, ""},
		{"503 twice, and to come back soon", tcz, busy("1", 2), exitOK, ""},
		{"a redirect loop", tcz, loop, exitNetwork, "ruby.tcz.*redirect refused"},
		{"compressed on the way", tcz, compressed(true), exitVerify, "ruby.tcz: wrong md5"},
		{"said to be compressed", tcz, compressed(false), exitOK, ""},
		{"endless", tcz + ".md5.txt", endless, exitVerify, "over the limit"},
		{"said to be huge", tcz, huge, exitVerify, "over the limit"},
		{"another range", tcz, partial, exitNetwork, "range"},
		{"gone", tcz, gone, exitNetwork, "ruby.tcz.*not found"},
	}
}

// Wrong content of a mirror never gets into an image and never stays in the cache. There is one clear error of the
// right class, and with a good mirror next to it the image is the same as without the bad one.
func TestMirrorFaults(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	for _, tt := range faults() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url := m.bad(t, tt.suffix, tt.do)
			b := m.builder(t)
			code := b.iso("--mirror", url)
			if code != tt.code {
				t.Fatalf("exit status %d, want %d\n%s", code, tt.code, b.stderr.String())
			}
			if code == exitOK {
				m.same(t, b)
			} else {
				b.failed(tt.says)
			}
			if code := b.iso("--mirror", m.good); code != exitOK {
				t.Fatalf("the good mirror, on the cache that the bad one has filled: %d\n%s", code, b.stderr.String())
			}
			m.same(t, b)
			helped := m.builder(t)
			if code := helped.iso("--mirror", url, "--mirror", m.good); code != exitOK {
				t.Fatalf("with a good mirror next to it: %d\n%s", code, helped.stderr.String())
			}
			m.same(t, helped)
		})
	}
}

// same checks that the image equals the good mirror's, and that the cache is clean.
func (m *mirrors) same(t *testing.T, b *builder) {
	t.Helper()
	if got := digest(t, b.out); got != m.image {
		t.Errorf("another image: %s, want %s\n%s", got, m.image, b.stderr.String())
	}
	h, err := (&store.Store{Dir: b.cache}).Verify(t.Context())
	if err != nil || !h.Clean() {
		t.Errorf("the cache: %+v, %v", h, err)
	}
}

// failed checks a failed build: one error, one hint, no output.
func (b *builder) failed(says string) {
	b.t.Helper()
	text := b.stderr.String()
	if strings.Count(text, "mkbuild: error: ") != 1 || strings.Count(text, "mkbuild: hint: ") != 1 || b.stdout.Len() != 0 {
		b.t.Errorf("not one error and one hint:\n%s%s", b.stdout.String(), text)
	}
	line := text[strings.Index(text, "mkbuild: error: "):]
	line, _, _ = strings.Cut(line, "\n")
	for _, word := range strings.Split(says, ".*") {
		_, rest, ok := strings.Cut(line, word)
		if !ok {
			b.t.Errorf("error %q, want %q", line, says)
		}
		line = rest
	}
	if left, err := os.ReadDir(filepath.Dir(b.out)); err != nil || len(left) != 0 {
		b.t.Errorf("left: %v, %v", left, err)
	}
}

// Only a lock detects a wrong file with a matching md5.
func TestWrongFileWithFittingSum(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	wrong := func(w http.ResponseWriter, _ *http.Request, body []byte, _ int) bool {
		w.Write(other(body))
		return true
	}
	file := m.bad(t, "/ruby.tcz", wrong)
	both := m.badWithSum(t)
	b := m.builder(t)
	if code := b.run("lock", "--mirror", m.good); code != exitOK {
		t.Fatal(b.stderr.String())
	}
	for _, tt := range []struct {
		flag string
		code int
	}{{"--locked", exitDrift}, {"--progress=plain", exitVerify}} {
		for _, url := range []string{file, both} {
			fresh := m.builder(t)
			fresh.config = b.config
			if code := fresh.iso("--mirror", url, tt.flag); code != tt.code {
				t.Fatalf("%s: exit status %d, want %d\n%s", tt.flag, code, tt.code, fresh.stderr.String())
			}
			fresh.failed("ruby.tcz.*sha256")
			if code := fresh.iso("--mirror", url, "--mirror", m.good, tt.flag); code != exitOK {
				t.Fatalf("with a good mirror: %d\n%s", code, fresh.stderr.String())
			}
			if strings.Contains(fresh.stderr.String(), "first use") {
				t.Errorf("locked, and trusted on first use:\n%s", fresh.stderr.String())
			}
			m.same(t, fresh)
		}
	}
}

// badWithSum is a mirror with another ruby.tcz, and its md5.
func (m *mirrors) badWithSum(t *testing.T) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(m.dir, "4.x/x86/tcz/ruby.tcz"))
	testkit.Must(t, err)
	return m.bad(t, "", func(w http.ResponseWriter, r *http.Request, _ []byte, _ int) bool {
		switch {
		case strings.HasSuffix(r.URL.Path, "/ruby.tcz"):
			w.Write(other(body))
		case strings.HasSuffix(r.URL.Path, "/ruby.tcz.md5.txt"):
			fmt.Fprintf(w, "%x  ruby.tcz\n", md5.Sum(other(body)))
		default:
			return false
		}
		return true
	})
}

// other returns a body with one byte changed.
func other(body []byte) []byte {
	b := bytes.Clone(body)
	b[len(b)/2] ^= 0xff
	return b
}

func changed(w http.ResponseWriter, _ *http.Request, body []byte, _ int) bool {
	w.Write(other(body))
	return true
}

func wrongSum(w http.ResponseWriter, _ *http.Request, body []byte, _ int) bool {
	w.Write(append([]byte(strings.Repeat("0", 32)), body[32:]...))
	return true
}

func always(text string) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ []byte, _ int) bool {
		w.Write([]byte(text))
		return true
	}
}

func loginPage(w http.ResponseWriter, _ *http.Request, _ []byte, _ int) bool {
	w.Write([]byte("<!DOCTYPE html><html><body>please log in</body></html>"))
	return true
}

func cutOff(w http.ResponseWriter, _ *http.Request, body []byte, _ int) bool {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body[:len(body)/2])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func shortened(w http.ResponseWriter, _ *http.Request, body []byte, _ int) bool {
	w.Write(body[:len(body)/2])
	return true
}

// replaced returns another valid extension.
func replaced(w http.ResponseWriter, r *http.Request, _ []byte, _ int) bool {
	u := *r.URL
	u.Path = strings.Replace(u.Path, "ruby", "lshw", 1)
	http.Redirect(w, r, u.Path, http.StatusFound)
	return true
}

func silent(_ http.ResponseWriter, r *http.Request, _ []byte, _ int) bool {
	<-r.Context().Done()
	return true
}

func stalled(w http.ResponseWriter, r *http.Request, body []byte, _ int) bool {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body[:len(body)/2])
	w.(http.Flusher).Flush()
	<-r.Context().Done()
	return true
}

func dripping(w http.ResponseWriter, r *http.Request, body []byte, _ int) bool {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	for _, b := range body {
		w.Write([]byte{b})
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			return true
		case <-time.After(50 * time.Millisecond):
		}
	}
	return true
}

// busy answers 503 the first times.
func busy(after string, times int) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ []byte, asked int) bool {
		if asked > times {
			return false
		}
		if after != "" {
			w.Header().Set("Retry-After", after)
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
}

func loop(w http.ResponseWriter, r *http.Request, _ []byte, _ int) bool {
	http.Redirect(w, r, r.URL.Path, http.StatusFound)
	return true
}

// compressed names an encoding that nobody requested, and applies it or not.
func compressed(really bool) fault {
	return func(w http.ResponseWriter, _ *http.Request, body []byte, _ int) bool {
		w.Header().Set("Content-Encoding", "gzip")
		if really {
			var out bytes.Buffer
			z := gzip.NewWriter(&out)
			z.Write(body)
			z.Close()
			body = out.Bytes()
		}
		w.Write(body)
		return true
	}
}

func endless(w http.ResponseWriter, r *http.Request, _ []byte, _ int) bool {
	for r.Context().Err() == nil {
		w.Write(bytes.Repeat([]byte("0"), 64<<10))
	}
	return true
}

func huge(w http.ResponseWriter, r *http.Request, body []byte, _ int) bool {
	w.Header().Set("Content-Length", strconv.FormatInt(4<<30, 10))
	w.Write(body)
	w.(http.Flusher).Flush()
	<-r.Context().Done()
	return true
}

func partial(w http.ResponseWriter, _ *http.Request, body []byte, _ int) bool {
	w.Header().Set("Content-Range", fmt.Sprintf("bytes 10-%d/%d", len(body)-1, len(body)))
	w.WriteHeader(http.StatusPartialContent)
	w.Write(body[10:])
	return true
}

func gone(w http.ResponseWriter, r *http.Request, _ []byte, _ int) bool {
	http.NotFound(w, r)
	return true
}
