package testkit

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// WriteFile writes a file that can be run as a program at once. No other test starts a program meanwhile: its new
// process would briefly hold this file open for writing, and the system would refuse to run it ("text file busy",
// https://go.dev/issue/22315).
func WriteFile(t testing.TB, name, content string, perm os.FileMode) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(name, []byte(content), perm); err != nil {
		t.Fatal(err)
	}
}

// Put writes a file and its missing folders.
func Put(t testing.TB, name string, content []byte) {
	t.Helper()
	Must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	Must(t, os.WriteFile(name, content, 0o644))
}

// Read reads a file that must exist.
func Read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	Must(t, err)
	return b
}

// Section returns text as an in-memory file.
func Section(text string) *io.SectionReader {
	return io.NewSectionReader(strings.NewReader(text), 0, int64(len(text)))
}
