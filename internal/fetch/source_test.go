package fetch

import (
	"path/filepath"
	"testing"
)

func TestLocalPath(t *testing.T) {
	t.Parallel()
	rel, err := filepath.Abs("a/b")
	if err != nil {
		t.Fatal(err)
	}
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
