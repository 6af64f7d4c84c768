package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"mkbuild/internal/config"
	"mkbuild/internal/fetch"
	"mkbuild/internal/qemu"
	"mkbuild/internal/remaster"
	"mkbuild/internal/tcz/squashfs"
)

func exitText(err error) string {
	var e *exec.ExitError
	if errors.As(err, &e) {
		return strconv.Itoa(e.ExitCode())
	}
	return err.Error()
}

// checkReport holds a failed command's streams against the promise of one error and one hint.
func checkReport(ts *testscript.TestScript, stdout, stderr string) {
	if stdout != "" {
		ts.Fatalf("a failed command printed on stdout: %q", stdout)
	}
	errs, hints := 0, 0
	for _, l := range strings.Split(stderr, "\n") {
		if strings.HasPrefix(l, "mkbuild: error: ") {
			errs++
		}
		if strings.HasPrefix(l, "mkbuild: hint: ") {
			hints++
		}
	}
	if errs != 1 || hints != 1 {
		ts.Fatalf("%d error and %d hint lines, want one of each:\n%s", errs, hints, stderr)
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
		{&usageError{"x", "y"}, 2},
		{fmt.Errorf("a: %w", &config.Error{Where: "x"}), 2},
		{&remaster.ReleaseError{Err: fetch.ErrNotFound}, 2},
		{&remaster.DependencyError{File: "x", Err: fetch.ErrNotFound}, 4},
		{&fetch.NetworkError{}, 4},
		{&fetch.OfflineError{}, 4},
		{&fetch.ChecksumError{}, 5},
		{fmt.Errorf("read x.tcz: %w", squashfs.ErrNotSquashfs), 5},
		{&qemu.BootError{}, 6},
		{errInterrupted, 130},
		{fmt.Errorf("fetch: %w", context.Canceled), 130},
	}
	for _, tc := range tests {
		if got := exitCode(tc.err); got != tc.want {
			t.Errorf("%v: %d, want %d", tc.err, got, tc.want)
		}
		if tc.err != nil && hint(tc.err) == "" {
			t.Errorf("%v: no hint", tc.err)
		}
	}
	if h := hint(fmt.Errorf("x: %w", fs.ErrPermission)); !strings.Contains(h, "-o FILE") {
		t.Error(h)
	}
}

func TestReportIsTwoPrintableLines(t *testing.T) {
	var b strings.Builder
	report(&b, errors.New("bad\nname \x1b[31mred\x07"))
	if got := b.String(); strings.Count(got, "\n") != 2 || strings.ContainsAny(got, "\x1b\x07") {
		t.Errorf("%q", got)
	}
}
