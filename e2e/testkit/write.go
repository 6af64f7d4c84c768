package testkit

import (
	"os"
	"syscall"
	"testing"
)

// WriteFile writes a file that may be run as a program at once. No other test starts one meanwhile:
// its new process would for a moment hold this file open for writing, and the system runs no such
// file ("text file busy", https://go.dev/issue/22315).
func WriteFile(t testing.TB, name, content string, perm os.FileMode) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(name, []byte(content), perm); err != nil {
		t.Fatal(err)
	}
}
