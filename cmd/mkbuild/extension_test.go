package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

func TestCompareFacts(t *testing.T) {
	type facts = map[string]any
	d := compareFacts([2]factSample{
		{without: facts{"same": "1", "ticks": "1", "once": "a", "zone": "UTC", "gone": "x", "path": "/bin", "memoryfree": "1"},
			with: facts{"same": "1", "ticks": "2", "once": "a", "zone": "CET", "new": "n", "now": 1, "path": "/x:/bin", "memoryfree": "2"}},
		{without: facts{"same": "1", "ticks": "3", "once": "a", "zone": "UTC", "gone": "x", "path": "/bin", "memoryfree": "1"},
			with: facts{"same": "1", "ticks": "4", "once": "b", "zone": "CET", "new": "n", "now": 2, "path": "/x:/bin", "memoryfree": "2"}},
	})
	b, err := json.Marshal(d)
	const want = `{"schema":"mkbuild.extension-run/v1","extension":"","added":{"new":"n","now":2},"changed":{"zone":{"without":"UTC","with":"CET"}},"removed":{"gone":"x"},"unstable":["now"]}`
	if err != nil || string(b) != want {
		t.Errorf("got  %s, %v\nwant %s", b, err, want)
	}
}

func TestFactDiffIsPrintable(t *testing.T) {
	var out, errs bytes.Buffer
	d := factDiff{Added: map[string]any{"a ": "\x1b[31m", "uuid": "x\ny"}, Changed: map[string]changedFact{"z\x07": {1, "<b>"}}, Removed: map[string]any{"r": nil}, Unstable: []string{"z\x07"}}
	testkit.Must(t, d.print(&world{stdout: &out, stderr: &errs}, func(n string) bool { return n == "r" }))
	const want = `+ "a " = "\u001b[31m"
+ uuid = "x\ny"  (Razor tells machines apart by it)
~ z\a = "<b>", without the extension 1  (another value each time: it changes at every check-in)
- r = null  (Razor drops it by its default facts.blacklist)
`
	if out.String() != want {
		t.Errorf("got  %s\nwant %s", out.String(), want)
	}
}

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
