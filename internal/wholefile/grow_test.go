package wholefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestGrow: concurrent writers that grow one folder lose nothing of each other, from the first on.
func TestGrow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "out")
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			err := Grow(name, put(fmt.Sprint(n), "x"), func(old, dir string) error {
				entries, err := os.ReadDir(old)
				for _, e := range entries {
					err = errors.Join(err, os.Link(filepath.Join(old, e.Name()), filepath.Join(dir, e.Name())))
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := strings.Fields(names(t, name)); len(got) != 20 {
		t.Errorf("%d of 20 files: %q", len(got), got)
	}
	if got := names(t, dir); got != "out" {
		t.Errorf("left: %s", got)
	}
}

// TestGrowFails: a failed carry changes nothing.
func TestGrowFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name, broken := filepath.Join(dir, "out"), errors.New("broken")
	must(t, Folder(name, put("a", "1")))
	if err := Grow(name, put("b", "2"), func(string, string) error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	if got := names(t, dir) + " " + names(t, name); got != "out a" {
		t.Errorf("left: %s", got)
	}
}

// TestLocked: a process that waits for a folder learns of its replacement.
func TestLocked(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "out")
	must(t, Folder(name, put("a", "1")))
	entered, waited := make(chan bool), make(chan error)
	go func() {
		<-entered
		waited <- Locked(name, func() error { return nil })
	}()
	must(t, Grow(name, put("b", "2"), func(string, string) error {
		entered <- true
		return nil
	}))
	if err := <-waited; err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := Locked(name+"-none", func() error { return nil }); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
