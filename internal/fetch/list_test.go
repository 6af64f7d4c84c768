package fetch

import (
	"errors"
	"net/http"
	"net/url"
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
		got, err := c.List(t.Context(), dir)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", dir, got, err)
		}
	}
	if _, err := c.List(t.Context(), u+"/nowhere"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if _, err := offline(t, newClient(t)).List(t.Context(), u+"/4.x"); !errors.Is(err, ErrOffline) {
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
	if _, err := newClient(t).List(t.Context(), u); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

func TestListDirectory(t *testing.T) {
	t.Parallel()
	dir, empty := t.TempDir(), t.TempDir()
	put(t, filepath.Join(dir, "b"), "", 0)
	put(t, filepath.Join(dir, "a", "x"), "", 0)
	c := offline(t, newClient(t))
	got, err := c.List(t.Context(), dir)
	if err != nil || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := c.List(t.Context(), empty); err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
	for _, name := range []string{"no", "b"} {
		if _, err := c.List(t.Context(), filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is listed", name)
		}
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
