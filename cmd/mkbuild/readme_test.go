package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mkbuild/internal/testkit/tinymirror"
)

// commands returns the lines of the sh blocks of a page.
func commands(t *testing.T, page string) []string {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	in := false
	for _, l := range strings.Split(string(b), "\n") {
		switch {
		case strings.HasPrefix(l, "```"):
			in = l == "```sh"
		case in && strings.TrimSpace(l) != "":
			out = append(out, l)
		}
	}
	return out
}

// TestDocumentedCommands runs every command of README and docs, in their order, in a folder
// whose mkbuild.yaml names the mirror in miniature. What needs a machine to boot, or runs until
// it is stopped, is run by the boot tests.
func TestDocumentedCommands(t *testing.T) {
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	pages := append([]string{filepath.Join(top, "README.md")}, must(filepath.Glob(filepath.Join(top, "docs", "*.md")))...)
	makefile := must(os.ReadFile(filepath.Join(top, "Makefile")))
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", dir)
	t.Chdir(dir)
	prepare(t, dir)
	n := 0
	for _, page := range pages {
		for _, c := range commands(t, page) {
			n++
			documented(t, filepath.Base(page), c, string(makefile))
		}
	}
	if n < 8 {
		t.Errorf("only %d commands found: the pages or this test have changed their form", n)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// prepare makes the folder that the pages assume: a mirror, and a public key in ~/.ssh.
func prepare(t *testing.T, dir string) {
	t.Helper()
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMuyIVFgkkAW8uYFSBUSmOaQj7R9Rs2OzThEuMIwwfBA a@b\n"
	mirror := filepath.Join(dir, "mirror")
	if err := tinymirror.Make(mirror); err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer("[.]", "[mirror]", "archives", "mirror/archives").Replace(tinymirror.Config)
	for name, text := range map[string]string{"mkbuild.yaml": config, ".ssh/id_ed25519.pub": key} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func documented(t *testing.T, page, command, makefile string) {
	t.Helper()
	words := shellWords(command)
	switch {
	case words[0] == "make":
		for _, target := range words[1:] {
			if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(target) + `:`).MatchString(makefile) {
				t.Errorf("%s: %q: the Makefile has no target %s", page, command, target)
			}
		}
		return
	case words[0] != "mkbuild":
		t.Errorf("%s: %q: neither make nor mkbuild: nobody runs this", page, command)
		return
	case words[1] == "boot", words[1] == "test", words[1] == "serve", strings.HasPrefix(command, "mkbuild extension run"):
		checkFlags(t, page, command, words[1:])
		return
	case words[1] == "iso" && hasWord(words, "my-mkbuild.yaml"):
		// The public mirrors are not there: the same file, with the miniature's sources.
		prepareOwn(t)
	}
	var stdout, stderr bytes.Buffer
	w := &world{stdout: &stdout, stderr: &stderr, getenv: os.Getenv, client: testClient}
	if code := run(t.Context(), w, words[1:]); code != 0 {
		t.Errorf("%s: %q: exit status %d\n%s", page, command, code, stderr.String())
	}
}

func hasWord(words []string, w string) bool {
	for _, v := range words {
		if v == w {
			return true
		}
	}
	return false
}

func prepareOwn(t *testing.T) {
	t.Helper()
	if err := os.WriteFile("my-mkbuild.yaml", must(os.ReadFile("mkbuild.yaml")), 0o644); err != nil {
		t.Fatal(err)
	}
}

// checkFlags makes sure that a command that is not run here is at least one that exists.
func checkFlags(t *testing.T, page, command string, words []string) {
	t.Helper()
	root := rootCommand(&world{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}, getenv: os.Getenv})
	c, rest, err := root.Find(trimBackground(words))
	if err != nil || c == root {
		t.Errorf("%s: %q: %v", page, command, err)
		return
	}
	if err := c.ParseFlags(rest); err != nil {
		t.Errorf("%s: %q: %v", page, command, err)
	}
}

func trimBackground(words []string) []string {
	if n := len(words) - 1; words[n] == "&" {
		return words[:n]
	}
	return words
}

// shellWords splits a simple command: words and single quotes, nothing else.
func shellWords(s string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`'([^']*)'|(\S+)`).FindAllStringSubmatch(s, -1) {
		if m[1] != "" {
			out = append(out, m[1])
		} else {
			out = append(out, m[2])
		}
	}
	return out
}
