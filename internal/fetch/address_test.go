package fetch

import (
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

func TestLocalPath(t *testing.T) {
	t.Parallel()
	rel, err := filepath.Abs("a/b")
	must(t, err)
	for address, want := range map[string]string{
		"/srv/tinycore/":          "/srv/tinycore",
		"a/b":                     rel,
		"file:///srv/tiny%20core": "/srv/tiny core",
		"file://localhost/srv":    "/srv",
		"http://h/srv":            "",
		"https://h":               "",
		"file://elsewhere/srv":    "",
		"ftp://h/srv":             "",
		"":                        "",
		"http://":                 "",
		"a\x00b":                  "",
	} {
		got, ok := LocalPath(address)
		if filepath.ToSlash(got) != filepath.ToSlash(want) || ok != (want != "") {
			t.Errorf("%q: %q, %v", address, got, ok)
		}
	}
}

// Some services expect a token in place of the user's name.
func TestShownHidesTokens(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://t0ken@h/x":       "https://xxxxx@h/x",
		"https://t0ken:@h/x":      "https://xxxxx@h/x",
		"https://me:t0ken@h/x":    "https://me:xxxxx@h/x",
		"https://:t0ken@h/x?a=b":  "https://:xxxxx@h/x?xxxxx",
		"https://h/x?token=t0ken": "https://h/x?xxxxx", "https://h/x?": "https://h/x?", "https://h/x?t0ken#t0ken": "https://h/x?xxxxx",
		"https://h/x@y":        "https://h/x@y",
		"oci://h/x:1?manifest": "oci://h/x:1",
		"https://@h/x":         "https://@h/x",
	} {
		if got := Shown(address); got != want {
			t.Errorf("%s is shown as %s, want %s", address, got, want)
		}
	}
	if _, err := Join("https://me:t0ken@h/?a=b", "x"); err == nil || strings.Contains(err.Error(), "t0ken") {
		t.Errorf("%v: a mirror that cannot be used is named with its password", err)
	}
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

func FuzzParseSource(f *testing.F) {
	f.Add("http://u:p@h/x")
	f.Add("file:///x%00")
	f.Fuzz(func(t *testing.T, s string) {
		src, err := parseSource(s)
		if err == nil && (src.shown == "" || src.local() == (src.u != nil)) {
			t.Errorf("%q: %+v", s, src)
		}
	})
}
