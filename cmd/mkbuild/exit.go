package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"mkbuild/internal/fail"
	"mkbuild/internal/manpage"
)

// Exit codes, by class.
const (
	exitOK          = 0
	exitUnexpected  = 1
	exitUsage       = 2
	exitDrift       = 3
	exitNetwork     = 4
	exitVerify      = 5
	exitBoot        = 6
	exitInterrupted = 130
)

func exitStatuses() []manpage.Status {
	return []manpage.Status{
		{Code: exitOK, Means: "done"},
		{Code: exitUnexpected, Means: "unexpected (a full disk, for example)"},
		{Code: exitUsage, Means: "usage or configuration"},
		{Code: exitDrift, Means: "the lock is missing or stale, or an input differs from it"},
		{Code: exitNetwork, Means: "network, or a file that no mirror has"},
		{Code: exitVerify, Means: "a damaged or wrong download or image"},
		{Code: exitBoot, Means: "a failed boot test"},
		{Code: exitInterrupted, Means: "interrupted"},
	}
}

// statusesOf returns the exit codes of one command. diff has the codes of diff(1).
func statusesOf(c *cobra.Command) []manpage.Status {
	if c.Name() != "diff" {
		return exitStatuses()
	}
	return []manpage.Status{{Code: exitOK, Means: "the same"}, {Code: exitUnexpected, Means: "different"}, {Code: exitUsage, Means: "any trouble"}, {Code: exitInterrupted, Means: "interrupted"}}
}

func exitHelp(statuses []manpage.Status) string {
	var b strings.Builder
	b.WriteString("\nExit status:\n")
	for _, s := range statuses {
		fmt.Fprintf(&b, "  %3d  %s\n", s.Code, s.Means)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

var errInterrupted = usage("interrupted", "no partial output is left; run the command again")

// usage returns an error of the command line, with a hint about what to type next.
func usage(what, next string) error { return fail.New(fail.Usage, what, next) }

// exitCode alone maps errors to codes.
func exitCode(err error) int {
	switch {
	case err == nil:
		return exitOK
	case err == errInterrupted || errors.Is(err, context.Canceled): //nolint:errorlint // a sentinel of this package
		return exitInterrupted
	case fail.ClassOf(err) != fail.Unexpected:
		return statusOf(fail.ClassOf(err))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENOTDIR):
		return exitUsage
	}
	return exitUnexpected
}

func statusOf(c fail.Class) int {
	switch c {
	case fail.Usage:
		return exitUsage
	case fail.Drift:
		return exitDrift
	case fail.Network:
		return exitNetwork
	case fail.Verification:
		return exitVerify
	case fail.Boot:
		return exitBoot
	}
	return exitUnexpected
}
