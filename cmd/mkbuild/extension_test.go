package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

func TestInside(t *testing.T) {
	dir := t.TempDir()
	testkit.Must(t, os.MkdirAll(filepath.Join(dir, "site/bin"), 0o755))
	testkit.Must(t, os.Symlink("site/bin", filepath.Join(dir, "link")))
	for name, want := range map[string]bool{
		"site/x.zip": true, "site/bin/x.zip": true, "link/x.zip": true, "site/../x.zip": false, "x.zip": false, "site-x.zip": false,
	} {
		if got := inside(dir+"/"+name, filepath.Join(dir, "site")); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestRulesAreInTheHelp: the help text comes from the code.
func TestRulesAreInTheHelp(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), &world{stdout: &out, stderr: &out, getenv: os.Getenv}, []string{"extension", "lint", "--help"}); code != 0 {
		t.Fatal(out.String())
	}
	for _, id := range []string{"refused", "fact-yml", "elf-version"} {
		if !slices.ContainsFunc(strings.Split(out.String(), "\n"), func(l string) bool { return strings.HasPrefix(l, "  "+id+" ") }) {
			t.Errorf("%s is not in the help", id)
		}
	}
}
