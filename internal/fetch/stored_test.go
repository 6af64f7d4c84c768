package fetch

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/internal/fail"
	"mkbuild/internal/store"
)

func TestOfflineMissing(t *testing.T) {
	t.Parallel()
	c := offline(t, newClient(t))
	_, err := c.Get(t.Context(), Request{Name: "ruby.tcz", URLs: []string{"http://mirror.test/ruby.tcz"}})
	exp := "fetch ruby.tcz: offline, and it is not in the cache"
	if !errors.Is(err, ErrOffline) || err.Error() != exp {
		t.Errorf("got %q, want %q", err, exp)
	}
	if _, err := os.Stat(c.Store.Dir); err == nil {
		t.Error("an offline miss made a folder")
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
			body, tag, bodies, up := "one", `"1"`, 0, true
			url, count := serve(t, func(w http.ResponseWriter, r *http.Request) {
				switch kind {
				case "etag":
					w.Header().Set("ETag", tag)
				case "date":
					w.Header().Set("Last-Modified", old)
				}
				switch {
				case !up:
					w.WriteHeader(http.StatusNotImplemented)
				case r.Header.Get("If-None-Match") == tag, r.Header.Get("If-Modified-Since") == old && body == "one":
					w.WriteHeader(http.StatusNotModified)
				default:
					bodies++
					w.Write([]byte(body))
				}
			})
			c := newClient(t)
			r := Request{Name: "x.md5.txt", URLs: []string{url}, Fresh: true}
			want(t, c, r, "one")
			want(t, c, r, "one")
			body, tag = "two", `"2"`
			want(t, c, r, "two")
			wantBodies := map[string]int{"etag": 2, "date": 2, "none": 3}[kind]
			if count() != 3 || bodies != wantBodies {
				t.Errorf("%d requests, %d bodies", count(), bodies)
			}
			up = false
			fails(t, c, r, ErrUnreachable)
			want(t, offline(t, c), r, "two")
		})
	}
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
	fails(t, c, opt, ErrNotFound)
	needed, more := opt, opt
	needed.Optional = false
	more.URLs = []string{url + "/dep", "http://new-mirror.test/dep"}
	fails(t, offline(t, c), opt, ErrNotFound)
	fails(t, offline(t, c), needed, ErrOffline)
	fails(t, offline(t, c), more, ErrOffline)
	there = true
	want(t, c, opt, "libffi.tcz\n")
	want(t, offline(t, c), opt, "libffi.tcz\n")
	there = false
	fails(t, c, opt, ErrNotFound)
}

// TestDamagedContent: the next process fetches it again.
func TestDamagedContent(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(name string) error{
		"changed":   func(n string) error { return os.WriteFile(n, []byte("rigHt"), 0o644) },
		"truncated": func(n string) error { return os.Truncate(n, 2) },
		"a folder":  func(n string) error { return errors.Join(os.Remove(n), os.Mkdir(n, 0o755)) },
		"removed":   os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, count := serve(t, static("right"))
			c := newClient(t)
			r := Request{Name: "x", URLs: []string{url}}
			want(t, c, r, "right")
			blob := filepath.Join(c.Store.Dir, "sha256", sha("right")[:2], sha("right"))
			must(t, spoil(blob))
			if _, err := offline(t, c).Get(t.Context(), r); !errors.Is(err, ErrOffline) || strings.Contains(err.Error(), "damaged") == (name == "removed") {
				t.Fatalf("offline: %v", err)
			}
			want(t, again(c), r, "right")
			want(t, offline(t, c), r, "right")
			must(t, spoil(blob))
			last, sink := again(c), &recorder{}
			last.Sink = sink
			want(t, last, r, "right")
			if w := sink.warnings(); count() != 3 || len(w) == 1 != (name != "removed") {
				t.Errorf("%d requests, warnings %q", count(), w)
			}
		})
	}
}

// TestPoisonedStore: digests are computed from the content, whatever the store records for an address.
func TestPoisonedStore(t *testing.T) {
	t.Parallel()
	other, _ := serve(t, static("other"))
	for name, poison := range map[string]store.Entry{
		"another's content":   {SHA256: sha("other")},
		"and its md5 as ours": {SHA256: sha("other"), About: []byte(`{"md5":"` + md5hex("right") + `"}`)},
		"no such content":     {SHA256: sha("nothing")},
		"no content":          {},
		"another form":        {SHA256: sha("other"), About: []byte(`[]`)},
	} {
		url, count := serve(t, static("right"))
		c := newClient(t)
		want(t, c, Request{Name: "o", URLs: []string{other}}, "other")
		poison.Key = url
		must(t, c.Store.Put(t.Context(), store.KindDownload, poison))
		if want(t, c, Request{Name: "x", URLs: []string{url}, MD5: md5hex("right")}, "right"); count() != 1 {
			t.Errorf("%s: %d requests", name, count())
		}
	}
}

// TestTrustIndex: with it the store's record is trusted for an MD5 that it remembers, and for no other.
func TestTrustIndex(t *testing.T) {
	t.Parallel()
	url, count := serve(t, static("right"))
	c := newClient(t)
	want(t, c, Request{Name: "x", URLs: []string{url}, MD5: md5hex("right")}, "right")
	e, err := c.Store.Entry(store.KindDownload, url)
	must(t, err)
	e.About = bytes.ReplaceAll(e.About, []byte(md5hex("right")), []byte(md5hex("other")))
	must(t, c.Store.Put(t.Context(), store.KindDownload, e))
	trusting := again(c)
	trusting.TrustIndex = true
	want(t, trusting, Request{Name: "x", URLs: []string{url}, MD5: md5hex("other")}, "right")
	if _, err := c.Get(t.Context(), Request{Name: "x", URLs: []string{url}, MD5: md5hex("other")}); !isA[*ChecksumError](err) {
		t.Error(err)
	}
	want(t, trusting, Request{Name: "x", URLs: []string{url}, MD5: md5hex("right")}, "right")
	if count() != 2 {
		t.Errorf("%d requests", count())
	}
}

// TestUnwritableStore: no mirror can help, so none is asked.
func TestUnwritableStore(t *testing.T) {
	t.Parallel()
	url, count := serve(t, static("right"))
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	c := &Client{Store: storeIn(filepath.Join(file, "cache")), HTTP: quick}
	_, err := c.Get(t.Context(), Request{Name: "x", URLs: []string{url, url}})
	if !errors.Is(err, store.ErrWrite) || !strings.Contains(err.Error(), c.Store.Dir) || !strings.Contains(fail.HintOf(err), "--cache-dir") || !lasting(err) || count() != 0 {
		t.Errorf("%v, %d requests", err, count())
	}
}
