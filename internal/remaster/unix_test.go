//go:build unix

package remaster

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/store"
)

// umask sets the mask of new files for the whole process and returns the old one.
func umask(mask int) int { return syscall.Umask(mask) }

// fullDisk names the step at which TestFullDiskChild fails.
const fullDisk = "MKBUILD_TEST_FULL_DISK"

// TestFullDisk runs each case in a separate process whose files cannot grow beyond a few blocks, like on a full
// disk.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"cache", "initrd", "iso", "overlay"} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFullDiskChild$", "-test.v")
			cmd.Env = append(os.Environ(), fullDisk+"="+place)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "--- PASS: TestFullDiskChild") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestFullDiskChild(t *testing.T) {
	place := os.Getenv(fullDisk)
	if place == "" {
		return // runs as a child of TestFullDisk
	}
	dir, out, cache := tinymirror.New(t), t.TempDir(), t.TempDir()
	b, _ := builder(t, cache)
	p := plan(t, dir)
	if place == "cache" {
		limitFiles(t, 4096)
		_, err := b.Stage(t.Context(), p)
		if !errors.Is(err, store.ErrWrite) || !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), cache) {
			t.Errorf("got %v", err)
		}
		testkit.CheckCache(t, cache)
		return
	}
	s, err := b.Stage(t.Context(), p)
	testkit.Must(t, err)
	name := filepath.Join(out, "x")
	limit := map[string]uint64{"initrd": 512, "overlay": 512, "iso": 65536}[place]
	limitFiles(t, limit)
	if place == "overlay" {
		err = b.WriteOverlay(t.Context(), s, name)
	} else {
		err = b.WriteISO(t.Context(), s, name)
	}
	if !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), map[string]string{"initrd": "initrd", "iso": name, "overlay": name}[place]) {
		t.Errorf("got %v", err)
	}
	checkEmpty(t, out)
}

// limitFiles limits the file size of this process. The signal that comes with the error would end the process.
func limitFiles(t *testing.T, size uint64) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	testkit.Must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: size}))
}
