//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package wholefile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOpenRegular: neither a pipe without a writer nor a link blocks or misleads the reader.
func TestOpenRegular(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe, link, file := filepath.Join(dir, "pipe"), filepath.Join(dir, "link"), filepath.Join(dir, "file")
	must(t, unix.Mkfifo(pipe, 0o600))
	must(t, os.WriteFile(file, nil, 0o600))
	must(t, os.Symlink(file, link))
	for _, name := range []string{pipe, link, dir} {
		if _, err := OpenRegular(name); !errors.Is(err, ErrNotRegular) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f, err := OpenRegular(file)
	must(t, err)
	f.Close()
	if _, err := OpenRegular(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
