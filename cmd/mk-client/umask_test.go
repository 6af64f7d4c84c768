package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"mkbuild/e2e/testkit"
)

// childVariable makes the test binary behave like mk-client.
const childVariable = "MK_CLIENT_TEST_CHILD"

// TestUmaskIsSet starts the client like an init with umask 0: files of an action must not be writable for
// everybody.
func TestUmaskIsSet(t *testing.T) {
	if os.Getenv(childVariable) != "" {
		syscall.Umask(0)
		os.Args = []string{"mk-client", "execute", "write"}
		main() // exits
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "write"), []byte("#!/bin/sh\n: > "+file+"\n"), 0o755))
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestUmaskIsSet$")
	cmd.Env = append(os.Environ(), childVariable+"=1", "razor.commands="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if fi, err := os.Stat(file); err != nil || fi.Mode() != 0o644 {
		t.Errorf("%v, want mode 0644", err)
	}
}
