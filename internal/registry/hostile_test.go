package registry

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/store"
)

// stand is a registry that serves a test's content, by the path after /v2/.
type stand struct {
	*httptest.Server
	*parcel
	mu    sync.Mutex
	asked []string
}

func newStand(t *testing.T) *stand {
	s := &stand{parcel: newParcel(nil)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *stand) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.URL.Path)
	s.mu.Unlock()
	open, ok := s.items[digest.Digest(filepath.Base(r.URL.Path))]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	in, _ := open()
	var text bytes.Buffer
	text.ReadFrom(in)
	w.Write(text.Bytes())
}

// tag points the tag 1 to an object.
func (s *stand) tag(d ocispec.Descriptor) { s.items["1"] = s.items[d.Digest] }

func (s *stand) ref() Reference {
	return Reference{Host: strings.TrimPrefix(s.URL, "http://"), Repository: "mk", Tag: "1"}
}

// pull pulls the tag, and returns the files left in the folder.
func (s *stand) pull(t *testing.T, arch string) ([]os.DirEntry, error) {
	c := &Client{HTTP: fetch.Options{Idle: time.Second}}
	dir := t.TempDir()
	f := &fetch.Client{Store: &store.Store{Dir: t.TempDir()}, OCI: c, HTTP: fetch.Options{Idle: time.Second, Attempts: 1}}
	_, err := c.Pull(t.Context(), f, s.ref(), arch, dir)
	left, rerr := os.ReadDir(dir)
	testkit.Must(t, rerr)
	return left, err
}

// TestHostileObjects: objects other than a pushed image are refused before any part is assembled, and before much
// is fetched.
func TestHostileObjects(t *testing.T) {
	text := func(l layout) []byte {
		out, err := json.Marshal(l)
		testkit.Must(t, err)
		return out
	}
	short := text(layout{layoutSchema, "iso", []layoutFile{{Size: 3, Pieces: []piece{{Rest: 3}}}}})
	manifest := func(s *stand, l []byte, more ...ocispec.Descriptor) ocispec.Descriptor {
		layers := append([]ocispec.Descriptor{s.text(typeLayout, "layout.json", l), s.text(typeRest, "rest.gz", zipped(t, "abc"))}, more...)
		d := s.manifest(ocispec.Manifest{ArtifactType: typeImage, Config: s.text(typeConfig, "", []byte("{}")), Layers: layers})
		d.Platform = platform("x86")
		return d
	}
	huge := func(n int64) ocispec.Descriptor {
		return ocispec.Descriptor{MediaType: typeFile, Digest: digest.FromString(fmt.Sprint(n)), Size: n}
	}
	for name, tt := range map[string]struct {
		put  func(s *stand) ocispec.Descriptor
		says string
		asks int // at most
	}{
		"an index in an index": {func(s *stand) ocispec.Descriptor {
			inner := s.index([]ocispec.Descriptor{manifest(s, short)})
			inner.Platform = platform("x86")
			return s.index([]ocispec.Descriptor{inner})
		}, " instead of ", 2},
		"an index that names itself by another digest": {func(s *stand) ocispec.Descriptor {
			return s.index([]ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageManifest, Digest: "sha256:../../x", Size: 1, Platform: platform("x86")}})
		}, "the digest", 1},
		"an index with very many images": {func(s *stand) ocispec.Descriptor {
			return s.index(make([]ocispec.Descriptor, maxLayers+1))
		}, "images", 1},
		"a manifest that is too long": {func(s *stand) ocispec.Descriptor {
			return s.text(ocispec.MediaTypeImageManifest, "", bytes.Repeat([]byte(" "), maxManifest+1))
		}, "over the limit", 1},
		"a manifest that is nested deeply": {func(s *stand) ocispec.Descriptor {
			return s.text(ocispec.MediaTypeImageManifest, "", bytes.Repeat([]byte("["), 1<<20))
		}, "not an image", 1},
		"a layer of terabytes":                 {func(s *stand) ocispec.Descriptor { return manifest(s, short, huge(1<<42)) }, "a layer of", 3},
		"a layer that is shorter than nothing": {func(s *stand) ocispec.Descriptor { return manifest(s, short, huge(-1)) }, "a layer of", 3},
		"layers that are too much together": {func(s *stand) ocispec.Descriptor {
			return manifest(s, short, huge(maxMedium/2), huge(maxMedium/2+1))
		}, "a layer of", 4},
		"a layout of another version": {func(s *stand) ocispec.Descriptor {
			return manifest(s, bytes.ReplaceAll(short, []byte(layoutSchema), []byte("mkbuild.layout/v99")))
		}, "its schema", 2},
		"a layout that is longer than its rest": {func(s *stand) ocispec.Descriptor {
			return manifest(s, bytes.ReplaceAll(short, []byte("3"), []byte("300000")))
		}, "EOF", 3},
		"what is no ISO": {func(s *stand) ocispec.Descriptor { return manifest(s, short) }, "not an image", 3},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			s.tag(tt.put(s))
			left, err := s.pull(t, "")
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
			if c := fail.ClassOf(err); c != fail.Verification && tt.says != "EOF" && tt.says != "over the limit" {
				t.Errorf("class %v of %v", c, err)
			}
			if len(s.asked) > tt.asks {
				t.Errorf("asked for %q", s.asked)
			}
			if len(left) > 0 && tt.asks < 3 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func zipped(t *testing.T, text string) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write([]byte(text))
	testkit.Must(t, errors.Join(err, z.Close()))
	return out.Bytes()
}

// TestHostileLayouts: a layout names only its own blobs, they fill its files, and no path leaves the folder.
func TestHostileLayouts(t *testing.T) {
	blob := strings.Repeat("a", 64)
	sizes := map[string]int64{blob: 10}
	good := []piece{{Blob: blob}, {Rest: 5}}
	for name, tt := range map[string]struct {
		form  string
		files []layoutFile
		says  string
	}{
		"an ISO":              {"iso", []layoutFile{{"", 15, good}}, ""},
		"a folder":            {"pxe", []layoutFile{{"a", 15, good}, {"b/c", 0, nil}}, ""},
		"another form":        {"tar", []layoutFile{{"", 15, good}}, "form"},
		"two ISOs":            {"iso", []layoutFile{{"", 15, good}, {"", 15, good}}, "form"},
		"no files":            {"pxe", nil, "form"},
		"too many files":      {"pxe", make([]layoutFile, maxFiles+1), "form"},
		"no path":             {"pxe", []layoutFile{{"", 15, good}}, "the path"},
		"one path twice":      {"pxe", []layoutFile{{"a", 15, good}, {"a", 15, good}}, "the path"},
		"a path that leaves":  {"pxe", []layoutFile{{"../a", 15, good}}, "the path"},
		"an absolute path":    {"pxe", []layoutFile{{"/etc/passwd", 15, good}}, "the path"},
		"the folder itself":   {"pxe", []layoutFile{{".", 15, good}}, "the path"},
		"a path with a NUL":   {"pxe", []layoutFile{{"a\x00b", 15, good}}, "the path"},
		"a roundabout path":   {"pxe", []layoutFile{{"a//b", 15, good}}, "the path"},
		"a foreign blob":      {"iso", []layoutFile{{"", 15, []piece{{Blob: strings.Repeat("b", 64)}}}}, "do not fill"},
		"a blob and rest":     {"iso", []layoutFile{{"", 15, []piece{{Blob: blob, Rest: 5}}}}, "do not fill"},
		"nothing":             {"iso", []layoutFile{{"", 0, []piece{{}}}}, "do not fill"},
		"less than nothing":   {"iso", []layoutFile{{"", 5, []piece{{Blob: blob}, {Rest: -5}}}}, "do not fill"},
		"another size":        {"iso", []layoutFile{{"", 14, good}}, "do not fill"},
		"too long":            {"iso", []layoutFile{{"", maxMedium + 1, []piece{{Rest: maxMedium + 1}}}}, "do not fill"},
		"too long in all":     {"pxe", []layoutFile{{"a", maxMedium, []piece{{Rest: maxMedium}}}, {"b", 1, []piece{{Rest: 1}}}}, "do not fill"},
		"a sum that overruns": {"iso", []layoutFile{{"", 0, []piece{{Rest: 1 << 62}, {Rest: 1 << 62}, {Rest: 1 << 62}, {Rest: 1 << 62}}}}, "do not fill"},
		"too many pieces":     {"iso", []layoutFile{{"", maxPieces + 1, slicesOf(maxPieces+1, piece{Rest: 1})}}, "do not fill"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := json.Marshal(layout{layoutSchema, tt.form, tt.files})
			testkit.Must(t, err)
			_, err = parseLayout(text, sizes)
			if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
		})
	}
	if _, err := parseLayout([]byte(`{"schema":"`+layoutSchema+`","form":"iso","files":[{"pieces":[],"link":"/etc"}]}`), sizes); err == nil {
		t.Error("a field that nobody knows was taken")
	}
}

func slicesOf(n int, p piece) []piece {
	out := make([]piece, n)
	for i := range out {
		out[i] = p
	}
	return out
}

// TestReferences tests usual references, and refused ones.
func TestReferences(t *testing.T) {
	sum := "@sha256:" + strings.Repeat("0", 64)
	for text, want := range map[string]string{
		"r.example/mk":                 "r.example/mk:latest",
		"oci://r.example:5000/a/b:1.0": "r.example:5000/a/b:1.0",
		"r.example/mk" + sum:           "r.example/mk" + sum,
		"r.example/mk:1" + sum:         "r.example/mk:1" + sum,
		"[::1]:5000/mk:1":              "[::1]:5000/mk:1",
		"":                             "",
		"mk":                           "",
		"r.example/":                   "",
		"r.example/MK:1":               "",
		"r.example/../mk:1":            "",
		"r.example/mk:1 2":             "",
		"r.example/mk:a/b":             "",
		"r.example/mk@sha256:00":       "",
		"r.example/mk@md5:" + sum[8:]:  "",
		"http://r.example/mk":          "",
		"oci://oci://r.example/mk":     "",
		"user:s3cret@r.example/mk":     "",
		"r.example/mk:" + strings.Repeat("1", 129): "",
	} {
		r, err := Parse(text)
		if got := r.String(); want != "" && (err != nil || got != want) || want == "" && !errors.Is(err, ErrReference) {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("said %v", err)
		}
	}
}

// TestCredentialsStay: neither the storage of a registry nor an error gets a password, and a token in the address
// of that storage is not printed.
func TestCredentialsStay(t *testing.T) {
	text := []byte("content")
	sum := fmt.Sprintf("sha256:%x", sha256.Sum256(text))
	var leaked []string
	dead := false
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaked = append(leaked, r.Header.Get("Authorization")+r.Header.Get("Referer"))
		if dead {
			panic(http.ErrAbortHandler)
		}
		w.Write(text)
	}))
	defer storage.Close()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "robot" || password != "s3cret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, storage.URL+"/bucket?signature=t0ken", http.StatusTemporaryRedirect)
	}))
	defer front.Close()
	host := strings.TrimPrefix(front.URL, "http://")
	docker := filepath.Join(t.TempDir(), "config.json")
	testkit.WriteFile(t, docker, `{"auths": {"`+host+`": {"auth": "cm9ib3Q6czNjcmV0"}}}`, 0o600)
	c := &Client{DockerConfig: docker}
	get := func() error {
		f := &fetch.Client{Store: &store.Store{Dir: t.TempDir()}, OCI: c, HTTP: fetch.Options{Attempts: 1}}
		_, err := f.Get(t.Context(), fetch.Request{Name: "x", URLs: []string{"oci://" + host + "/mk@" + sum}, SHA256: sum[7:]})
		return err
	}
	testkit.Must(t, get())
	if len(leaked) != 1 || leaked[0] != "" {
		t.Errorf("the storage got %q", leaked)
	}
	dead = true
	var warned []string
	places := config.Cache{From: []config.CachePlace{{URL: "oci://" + host + "/mk"}}}
	cache, err := NewCache(c, places, func(_, text string) { warned = append(warned, text) })
	testkit.Must(t, err)
	defer cache.End(t.Context(), 0)
	s := &store.Store{Dir: t.TempDir()}
	w, err := s.Create(t.Context())
	testkit.Must(t, err)
	defer w.Abort()
	if cache.Take(t.Context(), "segment", sum[7:], w) || len(warned) != 1 {
		t.Errorf("taken, %q", warned)
	}
	for _, said := range append(warned, fmt.Sprint(get())) {
		if strings.Contains(said, "t0ken") || strings.Contains(said, "s3cret") || said == "<nil>" {
			t.Errorf("said %q", said)
		}
	}
}

// TestSlowUpload: an upload may take longer than a registry's silence limit while it makes progress.
func TestSlowUpload(t *testing.T) {
	const idle = time.Second
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	defer s.Close()
	r, w := io.Pipe()
	go func() {
		for range 10 {
			time.Sleep(idle / 5)
			w.Write(make([]byte, 64<<10))
		}
		w.Close()
	}()
	c := &Client{HTTP: fetch.Options{Idle: idle}}
	resp, err := (&http.Client{Transport: c.transport()}).Post(s.URL, "a/b", r)
	testkit.Must(t, err)
	testkit.Must(t, resp.Body.Close())
}
