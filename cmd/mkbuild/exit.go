package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mkbuild/internal/fail"
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

// exitStatus is one exit code in the words of help texts and manual pages.
type exitStatus struct {
	code  int
	means string
}

func exitStatuses() []exitStatus {
	return []exitStatus{
		{exitOK, "done"},
		{exitUnexpected, "unexpected (a full disk, for example)"},
		{exitUsage, "usage or configuration"},
		{exitDrift, "the lock is missing or stale, or an input is not the locked one"},
		{exitNetwork, "network, or a file that no mirror has"},
		{exitVerify, "a download or image that is not what it should be"},
		{exitBoot, "a boot test that failed"},
		{exitInterrupted, "interrupted"},
	}
}

// statusesOf are the exit codes of one command: those of diff are diff(1)'s.
func statusesOf(c *cobra.Command) []exitStatus {
	if c.Name() != "diff" {
		return exitStatuses()
	}
	return []exitStatus{{exitOK, "the same"}, {exitUnexpected, "different"}, {exitUsage, "any trouble"}, {exitInterrupted, "interrupted"}}
}

// exitHelp ends every command's long help.
func exitHelp(statuses []exitStatus) string {
	var b strings.Builder
	b.WriteString("\nExit status:\n")
	for _, s := range statuses {
		fmt.Fprintf(&b, "  %3d  %s\n", s.code, s.means)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

var errInterrupted = usage("interrupted", "nothing half-written is left; run the same command again")

// usage returns a mistake in the command line or in what it names, and what to type next.
func usage(what, next string) error { return fail.New(fail.Usage, what, next) }

// exitCode is the one place that maps errors to codes.
func exitCode(err error) int {
	switch {
	case err == nil:
		return exitOK
	case err == errInterrupted || errors.Is(err, context.Canceled): //nolint:errorlint // a sentinel of this package
		return exitInterrupted
	case fail.ClassOf(err) != fail.Unexpected:
		return statusOf(fail.ClassOf(err))
	}
	return exitUnexpected
}

// statusOf maps a class of errors to its exit code.
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
