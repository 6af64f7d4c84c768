package fetch

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const apachePage = `<html><head><title>Index of /4.x</title></head><body><h1>Index of /4.x</h1>
<a href="?C=N;O=D">Name</a> <A HREF="/">Parent Directory</A>
<img src="/icons/folder.gif"> <a href="x86/">x86/</a> <a class=x href='archive/'>archive/</a>
<a href="Core-4.7.7.iso">Core-4.7.7.iso</a> <a href=libstdc%2B%2B.tcz>libstdc++.tcz</a> <a href="a&amp;b.tcz">a&b.tcz</a>
<a href="/4.x/absolute.iso">x</a> <a href="http://evil.test/4.x/other.iso">x</a> <a href="../5.x/">5.x</a>
<a href="deep/er.iso">x</a> <a href="%2e%2e">x</a> <a href="a%5cb">x</a> <a href="a%1bb">x</a> <a href="#top">top</a> <a href="%zz">x</a>
<a href="x86/">again</a></body></html>`

func TestListPage(t *testing.T) {
	t.Parallel()
	want := []string{"Core-4.7.7.iso", "a&b.tcz", "absolute.iso", "archive", "libstdc++.tcz", "x86"}
	u, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/4.x/" {
			w.WriteHeader(404)
			return
		}
		w.Write([]byte(apachePage))
	})
	c := newClient(t)
	for _, dir := range []string{u + "/4.x", u + "/4.x/"} {
		got, err := c.List(t.Context(), []string{u + "/nowhere", dir})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", dir, got, err)
		}
	}
	if _, err := c.List(t.Context(), []string{u + "/nowhere"}); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if _, err := offline(t, c).List(t.Context(), []string{u + "/4.x"}); !errors.Is(err, ErrOffline) {
		t.Error(err)
	}
}

func TestListEndlessPage(t *testing.T) {
	t.Parallel()
	u, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			w.Write([]byte(strings.Repeat("<a href=", 8<<10)))
		}
	})
	if _, err := newClient(t).List(t.Context(), []string{u}); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

func TestListDirectory(t *testing.T) {
	t.Parallel()
	dir, empty := t.TempDir(), t.TempDir()
	put(t, filepath.Join(dir, "b"), "", 0)
	put(t, filepath.Join(dir, "a", "x"), "", 0)
	c := offline(t, newClient(t))
	got, err := c.List(t.Context(), []string{filepath.Join(dir, "no"), dir})
	if err != nil || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := c.List(t.Context(), []string{empty}); err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := c.List(t.Context(), []string{filepath.Join(dir, "no")}); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if _, err := c.List(t.Context(), []string{filepath.Join(dir, "b")}); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func FuzzChildren(f *testing.F) {
	f.Add([]byte(apachePage))
	f.Add([]byte(`<a href="//x/%2f">`))
	base, err := url.Parse("http://h.test/4.x/")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		for _, n := range children(base, page) {
			if _, err := Join("http://h.test/4.x/", n); err != nil || strings.Contains(n, "/") {
				t.Errorf("name %q: %v", n, err)
			}
		}
	})
}

func TestJoin(t *testing.T) {
	t.Parallel()
	tests := []struct {
		base  string
		elems []string
		want  string // "": refused
	}{
		{"http://h/tc", []string{"4.x", "x86/release", "Core-4.7.7.iso"}, "http://h/tc/4.x/x86/release/Core-4.7.7.iso"},
		{"http://h/tc/", []string{"/4.x/", "./x86"}, "http://h/tc/4.x/x86"},
		{"https://h", []string{"libstdc++.tcz"}, "https://h/libstdc++.tcz"},
		{"http://h:8080/a%20b/", []string{"100%.tcz", "a b"}, "http://h:8080/a%20b/100%25.tcz/a%20b"},
		{"http://h/tc", []string{"a?b#c"}, "http://h/tc/a%3Fb%23c"},
		{"HTTP://h/tc", []string{"x"}, "http://h/tc/x"},
		{"file:///srv/tc", []string{"4.x"}, "file:///srv/tc/4.x"},
		{"/srv/tc/", []string{"4.x", "a b"}, "/srv/tc/4.x/a b"},
		{"../mirror", []string{"4.x"}, "../mirror/4.x"},
		{"http://h/tc", nil, "http://h/tc"},
		{"http://h/tc", []string{".."}, ""},
		{"http://h/tc", []string{"a/../../b"}, ""},
		{"/srv", []string{"../etc/passwd"}, ""},
		{"/srv", []string{`..\etc`}, ""},
		{"/srv", []string{"c:x"}, ""},
		{"/srv", []string{"a\x00b"}, ""},
		{"/srv", []string{"a\x1bb"}, ""},
		{"http://h/tc?x=1", []string{"a"}, ""},
		{"http://%zz", []string{"a"}, ""},
		{"ftp://h", []string{"a"}, ""},
		{"", []string{"a"}, ""},
	}
	for _, tt := range tests {
		got, err := Join(tt.base, tt.elems...)
		if tt.want == "" {
			if !errors.Is(err, ErrAddress) {
				t.Errorf("%q + %q: %q, %v", tt.base, tt.elems, got, err)
			}
			continue
		}
		if err != nil || filepath.ToSlash(got) != tt.want {
			t.Errorf("%q + %q: %q, %v; want %q", tt.base, tt.elems, got, err, tt.want)
		}
	}
}

func FuzzJoin(f *testing.F) {
	f.Add("4.x/x86", "ruby.tcz")
	f.Add("..", "%2e%2e")
	f.Fuzz(func(t *testing.T, a, b string) {
		if got, err := Join("http://h.test/tc", a, b); err == nil {
			u, perr := url.Parse(got)
			if perr != nil || u.Host != "h.test" || (u.Path != "/tc" && !strings.HasPrefix(u.Path, "/tc/")) || strings.Contains(u.Path+"/", "/../") {
				t.Errorf("%q, %q: %q (%v)", a, b, got, perr)
			}
		}
		if got, err := Join("/srv/tc", a, b); err == nil {
			if rel, rerr := filepath.Rel("/srv/tc", got); rerr != nil || !filepath.IsLocal(rel) {
				t.Errorf("%q, %q: %q", a, b, got)
			}
		}
	})
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

func FuzzParseSource(f *testing.F) {
	f.Add("http://u:p@h/x")
	f.Add("file:///x%00")
	f.Fuzz(func(t *testing.T, s string) {
		src, err := parseSource(s)
		if err == nil && (src.key == "" || src.local() == (src.u != nil)) {
			t.Errorf("%q: %+v", s, src)
		}
	})
}
