package fetch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// put writes a file with an old modification time.
func put(t *testing.T, name, body string, age time.Duration) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(t, os.WriteFile(name, []byte(body), 0o644))
	st, err := os.Stat(name)
	must(t, err)
	then := st.ModTime().Add(-age)
	must(t, os.Chtimes(name, then, then))
}

func TestLocalSource(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "mir ror", "ruby.tcz")
	put(t, name, "one", time.Hour)
	for _, url := range []string{name, "file://" + strings.ReplaceAll(filepath.ToSlash(name), " ", "%20"), "file:" + filepath.ToSlash(name)} {
		c := offline(t, newClient(t)) // files on disk need no network
		url = strings.ReplaceAll(url, "file:"+filepath.ToSlash(name), "file:"+strings.ReplaceAll(filepath.ToSlash(name), " ", "%20"))
		r := Request{Name: "ruby.tcz", URLs: []string{url}}
		if b := want(t, c, r, "one"); b.Cached || b.URL != url {
			t.Errorf("%+v", b)
		}
		for _, fresh := range []bool{false, true} {
			online := again(c)
			r.Fresh = fresh
			if b := want(t, online, r, "one"); !b.Cached {
				t.Errorf("%s: an unchanged file was read again", url)
			}
		}
		clean(t, c)
	}
}

func TestLocalChangesAreNoticed(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "x")
	c := newClient(t)
	r := Request{Name: "x", URLs: []string{name}}
	for _, v := range []struct {
		body string
		age  time.Duration
	}{{"one", time.Hour}, {"two", 30 * time.Minute}, {"three", 30 * time.Minute}, {"four!", 0}, {"five!", 0}} {
		put(t, name, v.body, v.age)
		want(t, c, r, v.body)
	}
	want(t, c, Request{Name: "x", URLs: []string{name}, SHA256: sha("one")}, "one")
	if _, err := c.Get(t.Context(), Request{Name: "x", URLs: []string{name}, SHA256: sha("six")}); !isA[*ChecksumError](err) {
		t.Error(err)
	}
	must(t, os.Remove(name))
	fails(t, c, r, ErrNotFound)
}

func TestLocalFailures(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	big := filepath.Join(dir, "big")
	put(t, big, "0123456789", 0)
	tests := []struct {
		name string
		req  Request
		is   error
		text string
	}{
		{"missing", Request{URLs: []string{filepath.Join(dir, "no")}}, ErrNotFound, "not found"},
		{"missing mirror", Request{URLs: []string{filepath.Join(dir, "no", "way", "x")}}, ErrNotFound, "not found"},
		{"directory", Request{URLs: []string{dir}}, ErrUnreachable, "not a regular file"},
		{"below a file", Request{URLs: []string{filepath.Join(big, "x")}}, ErrUnreachable, big},
		{"too large", Request{URLs: []string{big}, MaxSize: 9}, ErrTooLarge, "9 bytes"},
		{"page", Request{URLs: []string{big}, Check: func([]byte) error { return errHTML }}, errHTML, "HTML"},
		{"missing here, offline there", Request{URLs: []string{filepath.Join(dir, "no"), "http://h.test/x"}}, ErrOffline, "not in the cache or at "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.req.Name = "x"
			c := offline(t, newClient(t))
			if _, err := c.Get(t.Context(), tt.req); !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %v with %q", err, tt.is, tt.text)
			}
			if _, err := os.Stat(c.Store.Dir); err == nil {
				clean(t, c)
			}
		})
	}
}

func TestSourceOrderInTheCache(t *testing.T) {
	t.Parallel()
	url, count := serve(t, static("web"))
	name := filepath.Join(t.TempDir(), "x")
	c := newClient(t)
	want(t, c, Request{Name: "x", URLs: []string{name, url}}, "web") // not on disk yet
	put(t, name, "disk", 0)
	want(t, c, Request{Name: "x", URLs: []string{name, url}}, "disk")
	want(t, c, Request{Name: "x", URLs: []string{url, name}}, "web")
	if count() != 1 {
		t.Errorf("%d requests", count())
	}
}
