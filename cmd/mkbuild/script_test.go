package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/clientbin"
	"mkbuild/internal/store"
)

var update = flag.Bool("update", false, "rewrite the expected output of the scripts")

// TestMain lets the heap grow more between two collections: it is small.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	testscript.Main(m, map[string]func(){
		"mkbuild": func() {
			os.Exit(runUntilStopped(&world{stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, client: testClient}, os.Args[1:]))
		},
	})
}

// TestScripts runs the real command line on a miniature mirror, one feature a script.
func TestScripts(t *testing.T) {
	t.Parallel()
	servers := &webs{}
	examples, err := filepath.Abs("../../examples")
	testkit.Must(t, err)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("EXAMPLES", e.WorkDir+"/examples")
			e.Setenv("HOME", e.WorkDir+"/home")
			e.Setenv("XDG_CACHE_HOME", e.WorkDir+"/cache")
			if err := errors.Join(os.Mkdir(e.WorkDir+"/home", 0o755), os.CopyFS(e.WorkDir+"/examples", os.DirFS(examples))); err != nil {
				return err
			}
			return tinymirror.Make(e.WorkDir + "/mirror")
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status":    status,
			"code":      code,
			"damage":    damage,
			"flip":      flip,
			"serve":     servers.serve,
			"interrupt": servers.interrupt,
			"nothing":   nothing,
			"replace":   replace,
			"nonet":     nonet,
			"whole":     whole,
			"samehead":  samehead,
			"portable":  portable,
			"page":      mistakes,
		},
	})
}

// status N COMMAND...: the command must end with exit status N and, on failure, print one error
// and one hint line on stderr and nothing on stdout.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if err != nil {
		code = exitText(err)
	}
	if code != args[0] {
		ts.Fatalf("exit status %s, want %s\n%s", code, args[0], ts.ReadFile("stderr"))
	}
	if code != "0" {
		checkReport(ts, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// code N COMMAND...: the command must end with exit status N; it may still print on stdout.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND...")
	}
	got := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		got = exitText(err)
	}
	if got != args[0] {
		ts.Fatalf("exit status %s, want %s\n%s", got, args[0], ts.ReadFile("stderr"))
	}
}

// damage CACHE NAME: changes a byte of the extension NAME in the cache.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	items, err := (&store.Store{Dir: ts.MkAbs(args[0])}).Items(context.Background())
	ts.Check(err)
	for _, i := range items {
		if len(i.Names) == 1 && strings.HasSuffix(i.Names[0], "/"+args[1]+".tcz") {
			flip(ts, neg, []string{filepath.Join(args[0], "sha256", i.SHA256[:2], i.SHA256)})
			return
		}
	}
	ts.Fatalf("%s is not in the cache", args[1])
}

// flip FILE OFFSET: changes one byte of a file.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	name := ts.MkAbs(args[0])
	b, err := os.ReadFile(name)
	ts.Check(err)
	b[len(b)/2] ^= 0xff
	ts.Check(os.WriteFile(name, b, 0o644))
}

// nothing DIR...: no file in DIR, including hidden files, and no unfinished file below it.
func nothing(ts *testscript.TestScript, neg bool, args []string) {
	for _, dir := range args {
		ts.Check(filepath.WalkDir(ts.MkAbs(dir), func(p string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				ts.Fatalf("left: %s", p)
			}
			return err
		}))
	}
}

// whole DIR: a cache holds only whole files.
func whole(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(p) != ".json" && len(filepath.Base(p)) != 64 {
			ts.Fatalf("left in the cache: %s", p)
		}
		return err
	}))
}

// replace OLD NEW FILE: replaces a text that occurs once in a file.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace OLD NEW FILE")
	}
	name := ts.MkAbs(args[2])
	text, err := os.ReadFile(name)
	ts.Check(err)
	if strings.Count(string(text), args[0]) != 1 {
		ts.Fatalf("%s has %q %d times", args[2], args[0], strings.Count(string(text), args[0]))
	}
	ts.Check(os.WriteFile(name, []byte(strings.Replace(string(text), args[0], args[1], 1)), 0o644))
}

// nonet COMMAND...: runs a command in a separate network namespace without a loopback. If that is impossible, the
// command runs without it, unless CI requires its tools.
func nonet(ts *testscript.TestScript, neg bool, args []string) {
	words, err := testkit.NoNetwork()
	if testkit.Required() {
		ts.Check(err)
	}
	args = append(words, args...)
	if err := ts.Exec(args[0], args[1:]...); (err != nil) != neg {
		ts.Fatalf("without a network: %v\n%s", err, ts.ReadFile("stderr"))
	}
}

// portable FILE...: writes $WORK for the script's folder in a plan, and dots for digests.
func portable(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		text := strings.ReplaceAll(ts.ReadFile(name), ts.Getenv("WORK"), "$WORK")
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(digests.ReplaceAllString(text, "…")), 0o644))
	}
}

// page FILE OUT: copies a page of commands to OUT with the current output of each. A line "$ command" is run in a
// shell, and the text after it up to an empty line is replaced by its lines of mkbuild's own and its exit status,
// or the last line of one that succeeds. A line "+ command" prepares: it must succeed, and prints nothing.
func mistakes(ts *testscript.TestScript, neg bool, args []string) {
	var out strings.Builder
	printed := false
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if printed = printed && line != "\n"; printed {
			continue
		}
		out.WriteString(line)
		kind, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kind != "$" && kind != "+" {
			continue
		}
		err := ts.Exec("sh", "-c", command)
		if kind == "+" {
			ts.Check(err)
			continue
		}
		printed = true
		last := ""
		for said := range strings.Lines(strings.ReplaceAll(ts.ReadFile("stderr"), ts.Getenv("WORK"), "$WORK")) {
			last = digests.ReplaceAllString(said, "…")
			if strings.HasPrefix(said, "mkbuild: ") {
				out.WriteString(last)
			}
		}
		if err == nil {
			out.WriteString(last)
		}
		if err != nil {
			out.WriteString("exit status " + exitText(err) + "\n")
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(out.String()), 0o644))
}

var digests = regexp.MustCompile(`[0-9a-f]{64}`)

// samehead PLAN REPORT: two reports begin with the same size and digest.
func samehead(ts *testscript.TestScript, neg bool, args []string) {
	head := regexp.MustCompile(`[0-9]+ bytes, sha256 [0-9a-f]{64}`)
	if a, b := head.FindString(ts.ReadFile(args[0])), head.FindString(ts.ReadFile(args[1])); a == "" || a != b {
		ts.Fatalf("planned are %q, written %q", a, b)
	}
}

// testClient replaces the program that `make build` embeds; MKBUILD_TEST_CLIENT=none is a mkbuild built without it.
func testClient(arch string) (*io.SectionReader, error) {
	if os.Getenv("MKBUILD_TEST_CLIENT") == "none" {
		return nil, fmt.Errorf("%w for linux/%s", clientbin.ErrMissing, arch)
	}
	return testkit.Section("mk-client for " + arch), nil
}
