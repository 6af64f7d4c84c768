package testkit

import (
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"
)

// ServeMirror serves a mirror's files on the loopback like one of the two kinds of real mirrors: with a listing of
// every folder and the names of the extensions in info.lst, or without both. It returns the server's address.
func ServeMirror(t testing.TB, dir string, listing bool) string {
	t.Helper()
	files := http.FileServer(http.Dir(dir))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !listing && (strings.HasSuffix(r.URL.Path, "/") || path.Base(r.URL.Path) == "info.lst") {
			http.NotFound(w, r)
			return
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}
