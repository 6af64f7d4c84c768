package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/inspect"
	"mkbuild/internal/qemu"
)

// commands returns the lines of the sh blocks of a page.
func commands(t *testing.T, page string) []string {
	t.Helper()
	b, err := os.ReadFile(page)
	testkit.Must(t, err)
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

// TestDocumentedCommands runs every command of README, docs and examples in a real shell: those of a page in order
// and in one folder, whose mkbuild.yaml names the miniature mirror. The boot tests run commands that boot a machine
// or run until they are stopped.
func TestDocumentedCommands(t *testing.T) {
	testkit.Tool(t, "bash")
	top := must(filepath.Abs("../.."))
	pages := append([]string{filepath.Join(top, "README.md")}, must(filepath.Glob(filepath.Join(top, "docs", "*.md")))...)
	pages = append(pages, must(filepath.Glob(filepath.Join(top, "examples", "*", "*.md")))...)
	makefile := string(must(os.ReadFile(filepath.Join(top, "Makefile"))))
	bin := t.TempDir()
	must(0, os.Symlink(must(os.Executable()), filepath.Join(bin, "mkbuild")))
	n := 0
	for _, page := range pages {
		lines := commands(t, page)
		n += len(lines)
		if len(lines) == 0 {
			continue
		}
		t.Run(filepath.Base(page), func(t *testing.T) {
			t.Parallel()
			p := newPage(t, bin, makefile)
			for _, c := range lines {
				p.documented(t, c)
			}
		})
	}
	if n < 8 {
		t.Errorf("only %d commands found: the pages or this test have changed their form", n)
	}
}

// docPage is the folder in which the commands of one page run.
type docPage struct {
	dir, makefile string
	env           []string
	registry      bool // a server runs for the page
}

func newPage(t *testing.T, bin, makefile string) *docPage {
	t.Helper()
	dir := t.TempDir()
	prepare(t, dir)
	env := append(os.Environ(), "HOME="+dir, "XDG_CACHE_HOME="+filepath.Join(dir, ".cache"), "PATH="+bin+":"+os.Getenv("PATH"), "SOURCE_DATE_EPOCH=1700000000")
	return &docPage{dir: dir, makefile: makefile, env: env}
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
	testkit.Must(t, tinymirror.Make(mirror))
	config := strings.NewReplacer("[.]", "[mirror]", "archives", "mirror/archives").Replace(tinymirror.Config)
	for name, text := range map[string]string{"mkbuild.yaml": config, ".ssh/id_ed25519.pub": key} {
		p := filepath.Join(dir, name)
		testkit.Must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		testkit.Must(t, os.WriteFile(p, []byte(text), 0o644))
	}
}

// statusNote is the documented exit status of a command.
var statusNote = regexp.MustCompile(`\s+# exit status (\d+)\b.*$`)

func (p *docPage) documented(t *testing.T, command string) {
	t.Helper()
	words := shellWords(command)
	switch {
	case words[0] == "make":
		for _, target := range words[1:] {
			if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(target) + `:`).MatchString(p.makefile) {
				t.Errorf("%q: the Makefile has no target %s", command, target)
			}
		}
		return
	case words[0] != "mkbuild":
	case words[1] == "boot", words[1] == "test", words[1] == "serve", strings.HasPrefix(command, "mkbuild extension run"):
		checkFlags(t, command, words[1:])
		return
	case hasWord(words, "my-mkbuild.yaml") && words[1] != "init":
		// The public mirrors are not available: use the same file with the miniature's sources.
		must(0, os.WriteFile(filepath.Join(p.dir, "my-mkbuild.yaml"), must(os.ReadFile(filepath.Join(p.dir, "mkbuild.yaml"))), 0o644))
	}
	want := "0"
	if m := statusNote.FindStringSubmatch(command); m != nil {
		want = m[1]
	}
	if strings.Contains(command, "$REGISTRY") && !p.registry {
		p.registry, p.env = true, append(p.env, "REGISTRY="+testkit.Registry(t, ""))
	}
	c := exec.CommandContext(t.Context(), "bash", "-c", command)
	c.Dir, c.Env = p.dir, p.env
	out, err := c.CombinedOutput()
	got := "0"
	if err != nil {
		got = exitText(err)
	}
	if got != want {
		t.Errorf("%q: exit status %s, want %s\n%s", command, got, want, out)
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

// checkFlags checks that a command that is not run here exists.
func checkFlags(t *testing.T, command string, words []string) {
	t.Helper()
	root := rootCommand(&world{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}, getenv: os.Getenv})
	c, rest, err := root.Find(trimBackground(words))
	if err != nil || c == root {
		t.Errorf("%q: %v", command, err)
		return
	}
	if err := c.ParseFlags(rest); err != nil {
		t.Errorf("%q: %v", command, err)
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

// TestGeneratedTables compares the tables of the troubleshooting page with the code; -update writes them.
func TestGeneratedTables(t *testing.T) {
	t.Parallel()
	const name = "../../docs/troubleshooting.md"
	var exits, boots, lints strings.Builder
	for _, s := range exitStatuses() {
		fmt.Fprintf(&exits, "| %d | %s |\n", s.Code, s.Means)
	}
	for _, r := range qemu.Rules() {
		fmt.Fprintf(&boots, "| `%s` | %s | %s |\n", r.Name, cell(r.Why), cell(r.Next))
	}
	for _, r := range inspect.Rules() {
		fmt.Fprintf(&lints, "| `%s` | %s | %s | %s |\n", r.ID, r.Severity, cell(r.About), cell(r.Fix))
	}
	want := string(must(os.ReadFile(name)))
	want = between(t, want, "<!-- exit statuses:", "| status | meaning |\n|---|---|\n"+exits.String())
	want = between(t, want, "<!-- boot rules:", "| name | what happened | what to do |\n|---|---|---|\n"+boots.String())
	want = between(t, want, "<!-- lint rules:", "| rule | | what is wrong | what to do |\n|---|---|---|---|\n"+lints.String())
	if *update {
		must(0, os.WriteFile(name, []byte(want), 0o644))
	}
	if got := string(must(os.ReadFile(name))); got != want {
		t.Errorf("%s is not what the code says: go test ./cmd/mkbuild -run TestGeneratedTables -update", name)
	}
}

// between replaces the text between a mark and the next end mark.
func between(t *testing.T, text, mark, table string) string {
	t.Helper()
	head, rest, ok := strings.Cut(text, mark)
	line, rest, ok2 := strings.Cut(rest, "\n")
	_, tail, ok3 := strings.Cut(rest, "<!-- end -->")
	if !ok || !ok2 || !ok3 {
		t.Fatalf("no mark %s", mark)
	}
	return head + mark + line + "\n" + table + "<!-- end -->" + tail
}

// cell escapes a text for a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// TestAttackMatrix: each row of a table of docs/security.md names existing tests.
func TestAttackMatrix(t *testing.T) {
	top := must(filepath.Abs("../.."))
	tests := map[string]bool{} // "package.Test"
	inPackage, function := regexp.MustCompile(`(?m)^package (\w+?)(?:_test)?$`), regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for _, dir := range []string{"cmd", "internal", "e2e"} {
		testkit.Must(t, filepath.WalkDir(filepath.Join(top, dir), func(name string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(name, "_test.go") {
				return err
			}
			text := string(must(os.ReadFile(name)))
			for _, m := range function.FindAllStringSubmatch(text, -1) {
				tests[inPackage.FindStringSubmatch(text)[1]+"."+m[1]] = true
			}
			return nil
		}))
	}
	cited, rows := regexp.MustCompile("`(\\w+\\.Test\\w+)`|script (\\w+\\.txt)"), 0
	for _, row := range strings.Split(string(must(os.ReadFile(filepath.Join(top, "docs", "security.md")))), "\n") {
		if !strings.HasPrefix(row, "| ") || strings.HasPrefix(row, "| way ") || strings.HasPrefix(row, "| fault ") {
			continue
		}
		rows++
		found := cited.FindAllStringSubmatch(row, -1)
		if len(found) == 0 {
			t.Errorf("a row without a test: %s", row)
		}
		for _, m := range found {
			if _, err := os.Stat(filepath.Join("testdata", "script", m[2])); m[1] != "" && !tests[m[1]] || err != nil {
				t.Errorf("there is no test %s%s: %s", m[1], m[2], row)
			}
		}
	}
	if rows < 40 {
		t.Errorf("only %d rows found: the page or this test has changed its form", rows)
	}
}
