package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/qemu"
	"mkbuild/internal/rubygems"
	"mkbuild/internal/squashfs"
	"mkbuild/internal/tcz"
	"mkbuild/internal/ui"
)

func exitText(err error) string {
	var e *exec.ExitError
	if errors.As(err, &e) {
		return strconv.Itoa(e.ExitCode())
	}
	return err.Error()
}

// checkReport checks a failed command's streams: one error and one hint, in two lines or in one line of JSON, with
// only JSON around it.
func checkReport(ts *testscript.TestScript, stdout, stderr string) {
	if stdout != "" {
		ts.Fatalf("a failed command printed on stdout: %q", stdout)
	}
	errs, hints, events := 0, 0, 0
	lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	for _, l := range lines {
		var e struct{ Schema, Type, Error, Hint string }
		if json.Unmarshal([]byte(l), &e) == nil && e.Schema == ui.EventsSchema {
			events++
		}
		if strings.HasPrefix(l, "mkbuild: error: ") || e.Type == "error" && e.Error != "" {
			errs++
		}
		if strings.HasPrefix(l, "mkbuild: hint: ") || e.Type == "error" && e.Hint != "" {
			hints++
		}
	}
	if errs != 1 || hints != 1 || events != 0 && events != len(lines) {
		ts.Fatalf("%d error and %d hint lines, %d of %d lines JSON, want one of each:\n%s", errs, hints, events, len(lines), stderr)
	}
}

func TestExitCode(t *testing.T) {
	tests := []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{fmt.Errorf("write: %w", syscall.ENOSPC), 1},
		{usage("x", "y"), 2},
		{fmt.Errorf("a: %w", config.Mistake("x", "y", "")), 2},
		{fmt.Errorf("resolve a.tcz: its .dep: %w", tcz.ErrName), 5},
		{fetch.ErrUnreachable, 4},
		{fetch.ErrOffline, 4},
		{&fetch.ChecksumError{}, 5},
		{fmt.Errorf("read x.tcz: %w", squashfs.ErrNotSquashfs), 5},
		{&qemu.BootError{Rule: "boot-ended", Why: "x", Next: "y"}, 6},
		{fmt.Errorf("read: %w", fs.ErrPermission), 2},
		{fmt.Errorf("open: %w", syscall.ENOTDIR), 2},
		{errInterrupted, 130},
		{fmt.Errorf("fetch: %w", context.Canceled), 130},
	}
	for _, tc := range tests {
		if got := exitCode(tc.err); got != tc.want {
			t.Errorf("%v: %d, want %d", tc.err, got, tc.want)
		}
		if tc.err != nil && (reporter{}).hint(tc.err) == "" {
			t.Errorf("%v: no hint", tc.err)
		}
	}
	if h := (reporter{builds: true}).hint(fmt.Errorf("x: %w", fs.ErrPermission)); !strings.Contains(h, "-o FILE") {
		t.Error(h)
	}
}

func TestReportIsTwoPrintableLines(t *testing.T) {
	var b strings.Builder
	reporter{}.report(&b, errors.New("bad\nname \x1b[31mred\x07"))
	if got := b.String(); strings.Count(got, "\n") != 2 || strings.ContainsAny(got, "\x1b\x07") {
		t.Errorf("%q", got)
	}
}

// Hints name no flag that the command lacks, for commands that do not build.
func TestHintsFitTheCommand(t *testing.T) {
	for _, err := range []error{errors.New("x"), squashfs.ErrCorrupt, fail.New(fail.Network, "x", ""), syscall.ENOSPC, fs.ErrPermission, syscall.EROFS, tcz.ErrName} {
		if h := (reporter{builds: true}).hint(err); !strings.Contains(h, "--") {
			t.Errorf("%v: %s", err, h)
		}
		if h := (reporter{}).hint(err); h == "" || strings.Contains(h, "-o ") || strings.Contains(h, "--") {
			t.Errorf("%v: %s", err, h)
		}
	}
}

// Every hint names something to type or to check, for causes and for the rest of each code.
func TestClassHints(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("write: %w", syscall.EDQUOT), "df"},
		{fmt.Errorf("write: %w", syscall.EROFS), "ls -ld"},
		{fmt.Errorf("open: %w", syscall.EMFILE), "ulimit -n 4096"},
		{fmt.Errorf("read ruby.tcz: %w", rubygems.ErrNoRuby), "rubygems: null"},
		{fmt.Errorf("x: %w", fetch.ErrAddress), "`mirrors`"},
		{fmt.Errorf("open x: %w", fs.ErrNotExist), "spelling"},
		{fail.New(fail.Usage, "x", ""), ""},
	} {
		if h := (reporter{}).hint(tc.err); h == "" || !strings.Contains(h, tc.want) {
			t.Errorf("%v: %q", tc.err, h)
		}
	}
	for command, want := range map[string]string{"": "`mkbuild help`", "extension lint": "`mkbuild help extension lint`"} {
		if h := (reporter{command: command}).codeHint(exitUsage); !strings.Contains(h, want) {
			t.Errorf("%q: %q", command, h)
		}
	}
}

func TestReporterOf(t *testing.T) {
	tests := []struct {
		args string
		want reporter
	}{
		{"boot", reporter{}},
		{"boot --progress json", reporter{}},
		{"frobnicate --progress json", reporter{}},
		{"iso", reporter{builds: true}},
		{"iso --progress plain --frob", reporter{builds: true}},
		{"iso --progress json --frob", reporter{builds: true, json: true}},
		{"iso --frob --progress json", reporter{builds: true, json: true}},
		{"overlay --frob --progress=json", reporter{builds: true, json: true}},
		{"iso --frob -- --progress json", reporter{builds: true}},
	}
	for _, tc := range tests {
		args := strings.Fields(tc.args)
		root := rootCommand(&world{stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }})
		root.SetArgs(args)
		ran, _ := root.ExecuteContextC(canceled(t))
		got := reporterOf(ran, args)
		if got.command, tc.want.command = "", ""; got != tc.want {
			t.Errorf("%s: %+v", tc.args, got)
		}
	}
}

// canceled stops commands from doing anything.
func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
