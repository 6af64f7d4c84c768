package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/lock"
)

// fleet is a group of machines that share a cache in a registry.
type fleet struct {
	*mirrors
	wire  *wire
	cache string // its address
	lock  string
}

// newFleet fills a cache, and locks its content.
func newFleet(t *testing.T) *fleet {
	f := &fleet{mirrors: newMirrors(t), wire: newWire(t, testkit.Registry(t, ""))}
	f.cache, f.lock = "oci://"+f.wire.host+"/razor/cache", filepath.Join(t.TempDir(), "x.lock")
	b := f.builder(t)
	for n := 0; n == 0 || strings.Contains(b.stderr.String(), "not everything"); n++ { // a busy machine
		if code := b.run("lock", "--lockfile", f.lock, "--cache-to", f.cache); code != exitOK || n == 20 {
			t.Fatalf("%d\n%s", code, b.stderr.String())
		}
	}
	l, err := lock.Load(f.lock, "")
	testkit.Must(t, err)
	if len(l.Derived) < 5 {
		t.Fatalf("the lock pins %d segments", len(l.Derived))
	}
	return f
}

// build builds on an empty machine, and returns the duration.
func (f *fleet) build(t *testing.T, args ...string) (*builder, time.Duration) {
	t.Helper()
	b, begin := f.builder(t), time.Now()
	if code := b.iso(append([]string{"--lockfile", f.lock, "--locked"}, args...)...); code != exitOK {
		t.Fatalf("exit status %d\n%s", code, b.stderr.String())
	}
	took := time.Since(begin)
	f.same(t, b)
	return b, took
}

// TestSharedCache: an empty machine fetches content pinned by its lock from the registry, and gets the same bytes.
// Other content is used only if the user trusts the source. Sharing inputs is optional.
func TestSharedCache(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	var b *builder
	for n := 0; n == 0 || f.wire.got < 10_000 && n < 20; n++ { // a busy machine: builds wait only briefly for a cache
		f.wire.reset()
		b, _ = f.build(t, "--cache-from", f.cache)
	}
	if f.wire.got < 10_000 || strings.Contains(b.stderr.String(), "warning: cache") {
		t.Errorf("%d bytes came from the cache\n%s", f.wire.got, b.stderr.String())
	}
	f.wire.reset()
	b = f.builder(t)
	if code := b.iso("--cache-from", f.cache); code != exitOK || f.wire.got != 0 {
		t.Errorf("without a lock: %d, %d bytes\n%s", code, f.wire.got, b.stderr.String())
	}
	config := string(must(os.ReadFile(b.config)))
	put(t, b.config, config+"cache: {from: [{url: '"+f.cache+"', trust: true}]}\n")
	code := exitOK
	for n := 0; n == 0 || f.wire.got == 0 && n < 20; n++ { // as above
		b.cache = filepath.Join(t.TempDir(), "cache")
		code = b.iso()
	}
	if code != exitOK || f.wire.got == 0 {
		t.Errorf("trusted: %d, %d bytes\n%s", code, f.wire.got, b.stderr.String())
	}
	f.same(t, b)
	f.wire.reset()
	if code := b.iso("--offline"); code != exitOK || len(f.wire.sent) > 0 {
		t.Errorf("offline: %d, %v\n%s", code, f.wire.sent, b.stderr.String())
	}
	inputs := "cache: {from: [{url: '" + f.cache + "', inputs: true}], to: [{url: '" + f.cache + "', inputs: true}]}\n"
	put(t, b.config, config+inputs)
	for n := 0; n == 0 || strings.Contains(b.stderr.String(), "not everything was sent"); n++ { // a busy machine
		if code := b.iso("--lockfile", f.lock, "--locked"); code != exitOK || n == 20 {
			t.Fatal(b.stderr.String())
		}
	}
	bare := f.builder(t)
	put(t, bare.config, config+inputs)
	if code := bare.iso("--lockfile", f.lock, "--locked", "--mirror", t.TempDir()); code != exitOK {
		t.Fatalf("inputs from the cache alone: %d\n%s", code, bare.stderr.String())
	}
	f.same(t, bare)
	list := b.ok("cache", "prune", "--remote", f.cache, "--dry-run", "--older-than", "0")
	if !strings.Contains(list, "segment") || !strings.Contains(list, "would be removed") {
		t.Errorf("pruning would remove\n%s", list)
	}
	if kept := b.ok("cache", "prune", "--remote", f.cache); !strings.Contains(kept, "removed: 0 files") {
		t.Errorf("what is young goes:\n%s", kept)
	}
	if gone := b.ok("cache", "prune", "--remote", f.cache, "--older-than", "0"); strings.Count(gone, "\n") != strings.Count(list, "\n") {
		t.Errorf("removed\n%s\nof\n%s", gone, list)
	}
	if again := b.ok("cache", "prune", "--remote", f.cache, "--older-than", "0"); !strings.Contains(again, "removed: 0 files") {
		t.Errorf("left\n%s", again)
	}
	b.fails(exitUsage, "not a reference", "iso", "--cache-from", "registry.example/x", "--config", b.config)
}

// TestPoisonedCache: whatever a shared cache sends for content pinned by the lock, the image has the right bytes.
func TestPoisonedCache(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	blob := func(do func([]byte) []byte) func(string, http.Header, []byte) []byte {
		return func(path string, _ http.Header, body []byte) []byte {
			if strings.Contains(path, "/blobs/") {
				return do(body)
			}
			return body
		}
	}
	for name, lie := range map[string]func(string, http.Header, []byte) []byte{
		"a changed blob":   blob(func(b []byte) []byte { b = bytes.Clone(b); b[len(b)/3] ^= 1; return b }),
		"a truncated blob": blob(func(b []byte) []byte { return b[:len(b)/2] }),
		"a longer blob":    blob(func(b []byte) []byte { return append(bytes.Clone(b), 0) }),
		"an empty blob":    blob(func([]byte) []byte { return nil }),
		"swapped keys":     swapped("/blobs/"),
		"another format":   blob(func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`"files"`), []byte(`"fyles"`)) }),
		"a web page":       blob(func([]byte) []byte { return []byte("<html>log in</html>") }),
		"another type":     func(_ string, h http.Header, b []byte) []byte { h.Set("Content-Type", "text/html"); return b },
	} {
		t.Run(name, func(t *testing.T) {
			f.wire.reset()
			f.wire.lie = lie
			b, _ := f.build(t, "--cache-from", f.cache)
			if warned := strings.Contains(b.stderr.String(), "it sent other content for sha256:"); warned != (name != "another type") {
				t.Errorf("warned: %v\n%s", warned, b.stderr.String())
			}
			f.wire.reset()
			if code := b.iso("--lockfile", f.lock, "--locked", "--offline"); code != exitOK {
				t.Errorf("again: %d\n%s", code, b.stderr.String())
			}
			f.same(t, b)
		})
	}
	// Manifests and tags decide nothing that a lock pins. A source trusted without a lock must name the requested
	// content.
	manifest := func(honest bool, old, other string) func(string, http.Header, []byte) []byte {
		return func(path string, h http.Header, body []byte) []byte {
			if !strings.Contains(path, "/manifests/") {
				return body
			}
			body = bytes.ReplaceAll(body, []byte(old), []byte(other))
			if honest {
				h.Set("Docker-Content-Digest", fmt.Sprintf("sha256:%x", sha256.Sum256(body)))
			}
			return body
		}
	}
	for name, lie := range map[string]func(string, http.Header, []byte) []byte{
		"a changed manifest":   manifest(false, `"mkbuild.key":"`, `"mkbuild.key":"x`),
		"another key":          manifest(true, `"mkbuild.key":"`, `"mkbuild.key":"x`),
		"another kind":         manifest(true, `"mkbuild.kind":"segment"`, `"mkbuild.kind":"sum"`),
		"another type":         manifest(true, `derived.v1`, `derived.v2`),
		"no digest":            manifest(true, `"sha256:`, `"md5:`),
		"two layers":           manifest(true, `"layers":[`, `"layers":[{"mediaType":"a/b","digest":"sha256:00","size":1},`),
		"a tag that is moved":  swapped("/manifests/"),
		"a changed blob":       blob(func(b []byte) []byte { return append(bytes.Clone(b), 0) }),
		"another media type":   func(_ string, h http.Header, b []byte) []byte { h.Set("Content-Type", "text/html"); return b },
		"a manifest that ends": func(_ string, _ http.Header, b []byte) []byte { return b[:len(b)/2] },
	} {
		t.Run("trusted, "+name, func(t *testing.T) {
			f.wire.reset()
			f.wire.lie = lie
			b := f.builder(t)
			put(t, b.config, string(must(os.ReadFile(b.config)))+"cache: {from: [{url: '"+f.cache+"', trust: true}]}\n")
			if code := b.iso(); code != exitOK {
				t.Error(b.stderr.String())
			}
			f.same(t, b)
			f.wire.reset()
			f.wire.lie = lie
			f.build(t, "--cache-from", f.cache)
		})
	}
	var entry lock.Lock
	testkit.Must(t, json.Unmarshal(must(os.ReadFile(f.lock)), &entry))
	f.wire.reset()
	keys := &fleet{f.mirrors, f.wire, f.cache, filepath.Join(t.TempDir(), "keys.lock")}
	right := slices.Clone(entry.Derived)
	for i := range entry.Derived { // content of another version of the format
		entry.Derived[i].Key += "9"
	}
	other, err := entry.Text()
	testkit.Must(t, err)
	put(t, keys.lock, string(other))
	keys.build(t, "--cache-from", f.cache)
	if f.wire.got != 0 {
		t.Errorf("%d bytes came for other keys", f.wire.got)
	}
	entry.Derived = slices.Clone(right)
	entry.Derived[0].SHA256 = strings.Repeat("0", 64)
	text, err := entry.Text()
	testkit.Must(t, err)
	wrong := &fleet{f.mirrors, f.wire, f.cache, filepath.Join(t.TempDir(), "wrong.lock")}
	put(t, wrong.lock, string(text))
	if b, _ := wrong.build(t, "--cache-from", f.cache); !strings.Contains(b.stderr.String(), "`mkbuild lock` updates it") {
		t.Errorf("a pin that nothing has:\n%s", b.stderr.String())
	}
}

// TestLostContent: if a registry has lost the content behind a tag, the next build that makes it uploads it again.
func TestLostContent(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	l, err := lock.Load(f.lock, "")
	testkit.Must(t, err)
	ask := func(method string) int {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+f.wire.host+"/v2/razor/cache/blobs/sha256:"+l.Derived[0].SHA256, nil)
		testkit.Must(t, err)
		resp, err := http.DefaultClient.Do(req)
		testkit.Must(t, err)
		resp.Body.Close()
		return resp.StatusCode
	}
	if gone, status := ask(http.MethodDelete), ask(http.MethodHead); gone != http.StatusAccepted || status != http.StatusNotFound {
		t.Fatalf("deleted: %d, and then %d", gone, status)
	}
	for n := 0; n < 20 && ask(http.MethodHead) != http.StatusOK; n++ { // a busy machine: builds wait only briefly for a cache
		f.build(t, "--cache-to", f.cache)
	}
	if status := ask(http.MethodHead); status != http.StatusOK {
		t.Errorf("what was lost has status %d", status)
	}
}

// swapped returns the previously requested content each time.
func swapped(kind string) func(string, http.Header, []byte) []byte {
	var last []byte
	return func(path string, h http.Header, body []byte) []byte {
		if !strings.Contains(path, kind) {
			return body
		}
		body, last = last, body
		if kind == "/manifests/" {
			h.Set("Docker-Content-Digest", fmt.Sprintf("sha256:%x", sha256.Sum256(body)))
		}
		return body
	}
}

// maxGarbage is the size of a registry's endless answer.
const maxGarbage = 1 << 30

// TestBadCache: no state of a registry fails a build or delays it by more than two seconds.
func TestBadCache(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	_, plain := f.build(t)
	dead := fmt.Sprintf("oci://127.0.0.1:%d/cache", testkit.FreePort(t))
	killed := 0
	for name, tt := range map[string]struct {
		cache string
		deny  func(http.ResponseWriter, *http.Request) bool
	}{
		"dead": {dead, nil},
		"silent": {f.cache, func(_ http.ResponseWriter, r *http.Request) bool {
			select {
			case <-r.Context().Done():
			case <-time.After(20 * time.Second):
			}
			return true
		}},
		"slow to answer": {f.cache, func(http.ResponseWriter, *http.Request) bool { time.Sleep(300 * time.Millisecond); return false }},
		"slow to give": {f.cache, func(w http.ResponseWriter, r *http.Request) bool {
			for n := 0; r.Context().Err() == nil && n < 2000; n++ {
				io.WriteString(w, "x")
				w.(http.Flusher).Flush()
				time.Sleep(10 * time.Millisecond)
			}
			return true
		}},
		"giving without end": {f.cache, func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Length", strconv.Itoa(maxGarbage))
			for n := 0; r.Context().Err() == nil && n < maxGarbage && r.Method == http.MethodGet; n += 1 << 20 {
				w.Write(make([]byte, 1<<20))
			}
			return true
		}},
		"full":      {f.cache, status500(http.StatusInsufficientStorage, http.MethodPost, http.MethodPut, http.MethodPatch)},
		"read-only": {f.cache, status500(http.StatusMethodNotAllowed, http.MethodPost, http.MethodPut, http.MethodPatch)},
		"forbidden": {f.cache, status500(http.StatusForbidden, http.MethodGet, http.MethodHead, http.MethodPost)},
		"broken":    {f.cache, status500(http.StatusInternalServerError, http.MethodGet, http.MethodHead, http.MethodPost)},
		"killed in the middle": {f.cache, func(http.ResponseWriter, *http.Request) bool {
			if killed++; killed > 6 {
				panic(http.ErrAbortHandler)
			}
			return false
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f.wire.reset()
			f.wire.mu.Lock()
			f.wire.deny = tt.deny
			f.wire.mu.Unlock()
			b, took := f.build(t, "--cache-from", tt.cache, "--cache-to", strings.Replace(tt.cache, "/cache", "/other", 1))
			if took > plain+10*time.Second { // a busy machine: see patience for the intended time
				t.Errorf("took %v, %v without\n%s", took, plain, b.stderr.String())
			}
			if n := strings.Count(b.stderr.String(), "warning: cache"); n > 3 || n == 0 {
				t.Errorf("%d warnings\n%s", n, b.stderr.String())
			}
		})
	}
}

// status500 refuses requests of some methods.
func status500(code int, methods ...string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		for _, m := range methods {
			if r.Method == m {
				w.WriteHeader(code)
				return true
			}
		}
		return false
	}
}

// TestMirrorInRegistry: a site without a network needs only a registry, and its content is checked.
func TestMirrorInRegistry(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	w := newWire(t, testkit.Registry(t, ""))
	b := m.builder(t)
	if code := b.run("lock", "--mirror", m.good); code != exitOK {
		t.Fatal(b.stderr.String())
	}
	if code := b.run("mirror", "--oci", w.host+"/razor/inputs:1"); code != exitOK {
		t.Fatal(b.stderr.String())
	}
	pinned := strings.TrimSpace(b.stdout.String())
	w.reset()
	if code := b.run("mirror", "--oci", w.host+"/razor/inputs:1"); code != exitOK || strings.TrimSpace(b.stdout.String()) != pinned || w.sent["POST"]+w.sent["PUT"] > 0 {
		t.Errorf("again: %d, %q after %v", code, b.stdout.String(), w.sent)
	}
	lockfile := filepath.Join(filepath.Dir(b.config), "mkbuild.lock")
	elsewhere := strings.ReplaceAll(string(must(os.ReadFile(b.config))), m.good, "http://127.0.0.1:1")
	for _, tt := range []struct {
		mirror string
		locked bool
	}{{pinned, true}, {pinned, false}, {w.host + "/razor/inputs:1", false}} {
		site := m.builder(t)
		put(t, site.config, elsewhere)
		args := []string{"--mirror", "oci://" + tt.mirror}
		if tt.locked {
			args = append(args, "--locked", "--lockfile", lockfile)
		}
		if code := site.iso(args...); code != exitOK {
			t.Fatalf("%+v: %d\n%s", tt, code, site.stderr.String())
		}
		m.same(t, site)
	}
	w.lie = func(path string, _ http.Header, body []byte) []byte {
		if strings.Contains(path, "/blobs/") && len(body) > 100 {
			body = bytes.Clone(body)
			body[50] ^= 1
		}
		return body
	}
	site := m.builder(t)
	put(t, site.config, elsewhere)
	if code := site.iso("--mirror", "oci://"+pinned); code != exitVerify {
		t.Errorf("changed inputs: %d\n%s", code, site.stderr.String())
	}
	w.reset()
	if code := site.iso("--mirror", "oci://"+w.host+"/razor/gone"); code != exitNetwork {
		t.Errorf("no mirror: %d\n%s", code, site.stderr.String())
	}
	b.fails(exitUsage, "cannot be combined", "mirror", "x", "--oci", w.host+"/x", "--config", b.config)
}
