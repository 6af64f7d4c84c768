package fetch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestOfflineMissing(t *testing.T) {
	t.Parallel()
	c := offline(t, newClient(t))
	_, err := c.Get(t.Context(), Request{Name: "ruby.tcz", URLs: []string{"http://mirror.test/ruby.tcz"}})
	e, ok := errors.AsType[*OfflineError](err)
	if !ok || !errors.Is(err, ErrOffline) || e.Damaged || e.Hint() == "" {
		t.Fatal(err)
	}
	exp := "fetch ruby.tcz: offline and it is not in the cache: http://mirror.test/ruby.tcz"
	if err.Error() != exp {
		t.Errorf("got %q, want %q", err, exp)
	}
	if _, err := os.Stat(c.CacheDir); err == nil {
		t.Error("an offline miss made a cache directory")
	}
}

func TestPinnedContentNeedsNoNetwork(t *testing.T) {
	t.Parallel()
	url, count := serve(t, static("right"))
	c := newClient(t)
	want(t, c, Request{Name: "x", URLs: []string{url}}, "right")
	b := want(t, c, Request{Name: "x", URLs: []string{url}, MD5: md5hex("right"), Fresh: true}, "right")
	if !b.Cached || count() != 1 {
		t.Errorf("md5: %d requests", count())
	}
	b = want(t, c, Request{Name: "x", URLs: []string{"http://elsewhere.test/x"}, SHA256: sha("right")}, "right")
	if !b.Cached || b.Source != -1 || b.URL != "" {
		t.Errorf("sha256: %+v", b)
	}
}

// TestMD5IsComputedOnce: it stands in the entry from then on, a wrong one there only costs another
// transfer, and damaged content is noticed all the same.
func TestMD5IsComputedOnce(t *testing.T) {
	t.Parallel()
	url, count := serve(t, static("right"))
	c := newClient(t)
	want(t, c, Request{Name: "x", URLs: []string{url}, SHA256: sha("right")}, "right")
	k := cache{dir: c.CacheDir, session: &c.session}
	s, err := parseSource(url)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(md5 string) {
		e := k.entry(s)
		e.MD5 = md5
		if err := k.record(s, *e); err != nil {
			t.Fatal(err)
		}
	}
	r := Request{Name: "x", URLs: []string{url}, MD5: md5hex("right")}
	for _, step := range []struct {
		stored   string
		requests int
	}{{"", 1}, {md5hex("right"), 1}, {md5hex("wrong"), 2}} {
		edit(step.stored)
		next := newClient(t)
		next.CacheDir = c.CacheDir
		want(t, next, r, "right")
		if got := k.entry(s).MD5; got != md5hex("right") || count() != step.requests {
			t.Errorf("%q stored: then %q, after %d requests", step.stored, got, count())
		}
	}
	if err := os.WriteFile(k.blobPath(sha("right")), []byte("wrong"), 0o644); err != nil {
		t.Fatal(err)
	}
	last := newClient(t)
	last.CacheDir = c.CacheDir
	if want(t, last, r, "right"); count() != 3 {
		t.Errorf("damaged content: %d requests", count())
	}
}

func TestChangedContentIsFetchedForItsDigest(t *testing.T) {
	t.Parallel()
	body := "old"
	url, count := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body)) })
	c := newClient(t)
	want(t, c, Request{Name: "x", URLs: []string{url}}, "old")
	body = "new"
	want(t, c, Request{Name: "x", URLs: []string{url}}, "old") // not Fresh, no digest
	want(t, c, Request{Name: "x", URLs: []string{url}, MD5: md5hex("new")}, "new")
	want(t, offline(t, c), Request{Name: "x", URLs: []string{url}}, "new")
	if count() != 2 {
		t.Errorf("%d requests", count())
	}
}

func TestFreshRevalidates(t *testing.T) {
	t.Parallel()
	const old = "Sat, 18 Feb 2012 10:00:00 GMT"
	for _, kind := range []string{"etag", "date", "none"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			body, tag, bodies := "one", `"1"`, 0
			url, count := serve(t, func(w http.ResponseWriter, r *http.Request) {
				switch kind {
				case "etag":
					w.Header().Set("ETag", tag)
				case "date":
					w.Header().Set("Last-Modified", old)
				}
				if r.Header.Get("If-None-Match") == tag || (r.Header.Get("If-Modified-Since") == old && body == "one") {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				bodies++
				w.Write([]byte(body))
			})
			c := newClient(t)
			r := Request{Name: "x.md5.txt", URLs: []string{url}, Fresh: true}
			want(t, c, r, "one")
			want(t, c, r, "one")
			body, tag = "two", `"2"`
			want(t, c, r, "two")
			want(t, offline(t, c), r, "two")
			wantBodies := map[string]int{"etag": 2, "date": 2, "none": 3}[kind]
			if count() != 3 || bodies != wantBodies {
				t.Errorf("%d requests, %d bodies", count(), bodies)
			}
		})
	}
}

func TestFreshNeedsTheMirror(t *testing.T) {
	t.Parallel()
	up := true
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !up {
			w.WriteHeader(500)
			return
		}
		w.Write([]byte("x"))
	})
	c := newClient(t)
	r := Request{Name: "x.md5.txt", URLs: []string{url}, Fresh: true}
	want(t, c, r, "x")
	up = false
	if _, err := c.Get(t.Context(), r); !errors.Is(err, ErrUnreachable) {
		t.Fatal(err)
	}
	want(t, offline(t, c), r, "x")
}

func TestOptionalAbsenceIsRemembered(t *testing.T) {
	t.Parallel()
	there := false
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !there {
			w.WriteHeader(404)
			return
		}
		w.Write([]byte("libffi.tcz\n"))
	})
	c := newClient(t)
	opt := Request{Name: "ruby.tcz.dep", URLs: []string{url + "/dep"}, Optional: true, Fresh: true}
	if _, err := c.Get(t.Context(), opt); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := offline(t, c).Get(t.Context(), opt); !errors.Is(err, ErrNotFound) || errors.Is(err, ErrOffline) {
		t.Fatalf("offline: %v", err)
	}
	must := opt
	must.Optional = false
	if _, err := offline(t, c).Get(t.Context(), must); !errors.Is(err, ErrOffline) {
		t.Fatalf("offline, not optional: %v", err)
	}
	more := opt
	more.URLs = []string{url + "/dep", "http://new-mirror.test/dep"}
	if _, err := offline(t, c).Get(t.Context(), more); !errors.Is(err, ErrOffline) {
		t.Fatalf("offline, a mirror never asked: %v", err)
	}
	there = true
	want(t, c, opt, "libffi.tcz\n")
	want(t, offline(t, c), opt, "libffi.tcz\n")
	there = false
	if _, err := c.Get(t.Context(), opt); !errors.Is(err, ErrNotFound) {
		t.Fatalf("gone again: %v", err)
	}
}

// blobOf returns the only blob of a cache.
func blobOf(t *testing.T, c *Client) string {
	t.Helper()
	m, err := filepath.Glob(filepath.Join(c.CacheDir, blobDir, "*", "*"))
	if err != nil || len(m) != 1 {
		t.Fatalf("%v, %v", m, err)
	}
	return m[0]
}

func TestDamagedBlob(t *testing.T) {
	t.Parallel()
	damage := map[string]func(name string) error{
		"changed":   func(n string) error { return os.WriteFile(n, []byte("rigHt"), 0o644) },
		"truncated": func(n string) error { return os.Truncate(n, 2) },
		"emptied":   func(n string) error { return os.Truncate(n, 0) },
		"removed":   os.Remove,
		"directory": func(n string) error { return errors.Join(os.Remove(n), os.Mkdir(n, 0o755)) },
	}
	for name, spoil := range damage {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, count := serve(t, static("right"))
			c := newClient(t)
			r := Request{Name: "x", URLs: []string{url}}
			want(t, c, r, "right")
			if err := spoil(blobOf(t, c)); err != nil {
				t.Fatal(err)
			}
			_, err := offline(t, c).Get(t.Context(), r)
			if e, ok := errors.AsType[*OfflineError](err); !ok || e.Damaged == (name == "removed" || name == "directory") {
				t.Fatalf("offline: %v", err)
			}
			if name == "directory" {
				return // no program does that; the error above is enough
			}
			sink := &recorder{}
			again := &Client{CacheDir: c.CacheDir, HTTP: quick, Sink: sink}
			want(t, again, r, "right")
			want(t, offline(t, c), r, "right")
			if count() != 2 {
				t.Errorf("%d requests", count())
			}
		})
	}
}

func TestDamageIsNoticedWithinAProcess(t *testing.T) {
	t.Parallel()
	url, count := serve(t, static("right"))
	c, sink := newClient(t), &recorder{}
	c.Sink = sink
	r := Request{Name: "x", URLs: []string{url}}
	want(t, c, r, "right")
	name := blobOf(t, c)
	if err := errors.Join(os.WriteFile(name, []byte("wrong"), 0o644), os.Chtimes(name, time.Unix(1, 0), time.Unix(1, 0))); err != nil {
		t.Fatal(err)
	}
	want(t, c, r, "right")
	if w := sink.warnings(); count() != 2 || len(w) != 1 || !strings.Contains(w[0], "damaged") {
		t.Errorf("%d requests, warnings %q", count(), w)
	}
}

func TestPoisonedIndex(t *testing.T) {
	t.Parallel()
	victim, _ := serve(t, static("victim"))
	url, _ := serve(t, static("right"))
	s, err := parseSource(url)
	if err != nil {
		t.Fatal(err)
	}
	good := entry{Schema: indexSchema, URL: s.shown, SHA256: sha("right"), Size: 5}
	tests := map[string]func(e *entry){
		"escaping path": func(e *entry) { e.SHA256 = "../../../../../../../../../../../../../../../../../etc/passwd000000" },
		"upper case":    func(e *entry) { e.SHA256 = strings.ToUpper(e.SHA256) },
		"short hash":    func(e *entry) { e.SHA256 = "ab" },
		"no hash":       func(e *entry) { e.SHA256 = "" },
		"negative size": func(e *entry) { e.Size = -1 },
		"wrong size":    func(e *entry) { e.Size = 6 },
		"other schema":  func(e *entry) { e.Schema = "mkbuild.cache/v9" },
		"other address": func(e *entry) { e.URL, e.SHA256, e.Size = victim, sha("victim"), 6 },
		"no such blob":  func(e *entry) { e.SHA256 = sha("nothing") },
	}
	for name, poison := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t)
			want(t, c, Request{Name: "v", URLs: []string{victim}}, "victim")
			e := good
			poison(&e)
			b, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			if err := cacheOf(c).writeFile(cacheOf(c).entryPath(s.key), b); err != nil {
				t.Fatal(err)
			}
			want(t, c, Request{Name: "x", URLs: []string{url}}, "right")
		})
	}
}

func TestMovedEntryCannotBeatADigest(t *testing.T) {
	t.Parallel()
	url, count := serve(t, static("right"))
	c := newClient(t)
	other, _ := serve(t, static("other"))
	want(t, c, Request{Name: "o", URLs: []string{other}}, "other")
	s, err := parseSource(url)
	if err != nil {
		t.Fatal(err)
	}
	if err := cacheOf(c).record(s, entry{SHA256: sha("other"), Size: 5}); err != nil {
		t.Fatal(err)
	}
	want(t, c, Request{Name: "x", URLs: []string{url}, MD5: md5hex("right")}, "right")
	if count() != 1 {
		t.Errorf("%d requests", count())
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Add([]byte(`{"schema":"mkbuild.cache/v1","url":"http://h/x","sha256":"` + strings.Repeat("ab", 32) + `","size":1}`))
	f.Add([]byte(`{"schema":"mkbuild.cache/v1","missing":true,"sha256":"../.."}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parseEntry(b)
		if err != nil {
			return
		}
		if !e.Missing && (len(e.SHA256) != 64 || strings.Trim(e.SHA256, "0123456789abcdef") != "") {
			t.Errorf("accepted hash %q", e.SHA256)
		}
		if e.Size < 0 || (e.Missing && e.SHA256 != "") {
			t.Errorf("accepted %+v", e)
		}
	})
}

func TestTwoClientsShareACache(t *testing.T) {
	t.Parallel()
	body := noise(300_000)
	url, _ := serve(t, static(body))
	dir := filepath.Join(t.TempDir(), "cache")
	var wg sync.WaitGroup
	errs := make(chan error, 100)
	for range 4 {
		c := &Client{CacheDir: dir, HTTP: quick}
		for i := range 6 {
			wg.Go(func() {
				// The same content under three addresses: blobs and entries both collide.
				b, err := c.Get(t.Context(), Request{Name: "x", URLs: []string{fmt.Sprintf("%s/%d", url, i%3)}, Fresh: i > 2})
				if err != nil {
					errs <- err
				} else if data, err := b.ReadAll(1 << 20); err != nil || string(data) != body {
					errs <- fmt.Errorf("%d bytes, %w", len(data), err)
				}
			})
		}
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	if got := files(t, dir); len(got) != 4 {
		t.Errorf("one blob and three entries expected: %v", got)
	}
}

// TestDeadPartsAreSwept: package wholefile tells the dead from the living.
func TestDeadPartsAreSwept(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, static("right"))
	c := newClient(t)
	dead := filepath.Join(c.CacheDir, tmpDir, ".mkbuild-tmp-1")
	if err := errors.Join(os.MkdirAll(filepath.Dir(dead), 0o755), os.WriteFile(dead, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	want(t, c, Request{Name: "x", URLs: []string{url}}, "right")
	noParts(t, c)
}

func TestReadAllLimit(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, static("0123456789"))
	b := want(t, newClient(t), Request{Name: "x", URLs: []string{url}}, "0123456789")
	if _, err := b.ReadAll(9); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	f, err := b.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if data, err := io.ReadAll(f); err != nil || string(data) != "0123456789" {
		t.Error(string(data), err)
	}
	if err := os.Truncate(b.Path, 3); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ReadAll(10); !errors.Is(err, errDamaged) {
		t.Error(err)
	}
}
