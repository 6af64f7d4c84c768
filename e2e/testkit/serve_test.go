package testkit

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestServeMirror(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "tcz"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bash.tcz", "info.lst"} {
		WriteFile(t, filepath.Join(dir, "tcz", name), name, 0o644)
	}
	for _, tc := range []struct {
		path     string
		listing  bool
		status   int
		contains string
	}{
		{"/tcz/bash.tcz", true, 200, "bash.tcz"}, {"/tcz/", true, 200, ">bash.tcz<"}, {"/tcz/info.lst", true, 200, "info.lst"},
		{"/tcz/bash.tcz", false, 200, "bash.tcz"}, {"/tcz/", false, 404, ""}, {"/tcz", false, 404, ""}, {"/tcz/info.lst", false, 404, ""},
		{"/tcz/none.tcz", true, 404, ""},
	} {
		resp, err := http.Get(ServeMirror(t, dir, tc.listing) + tc.path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tc.status || !strings.Contains(string(body), tc.contains) {
			t.Errorf("%s, listing %v: %d, %v, %q", tc.path, tc.listing, resp.StatusCode, err, body)
		}
	}
}
