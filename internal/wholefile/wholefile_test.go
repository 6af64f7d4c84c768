package wholefile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func names(t *testing.T, dir string) string {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range es {
		out = append(out, e.Name())
	}
	return strings.Join(out, " ")
}

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "out")
	for _, content := range []string{"first", "", "the third, which is longer"} {
		if err := Write(name, text(content)); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(name)
		if err != nil || string(b) != content {
			t.Errorf("got %q, %v, want %q", b, err, content)
		}
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if got := names(t, dir); got != "out" {
		t.Errorf("left: %s", got)
	}
}

func TestNothingIsThereBeforeCommit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "out")
	err := Write(name, func(w io.Writer) error {
		if err := text("half")(w); err != nil {
			return err
		}
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the name is taken already: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFailureKeepsTheOldFile: of a new file that fails nothing appears, and of one that replaces
// another the old one stays.
func TestFailureKeepsTheOldFile(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, old := range []string{"", "old"} {
		dir := t.TempDir()
		name := filepath.Join(dir, "out")
		want := ""
		if old != "" {
			want = "out"
			if err := os.WriteFile(name, []byte(old), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := Write(name, func(w io.Writer) error { return errors.Join(text("half")(w), broken) })
		if !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		if got := names(t, dir); got != want {
			t.Errorf("left: %q, want %q", got, want)
		}
		if b, _ := os.ReadFile(name); string(b) != old {
			t.Errorf("the old file is now %q", b)
		}
	}
}

func TestPanicLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	func() {
		defer func() { _ = recover() }()
		_ = Write(filepath.Join(dir, "out"), func(io.Writer) error { panic("x") })
		t.Error("the panic got lost")
	}()
	if got := names(t, dir); got != "" {
		t.Errorf("left: %s", got)
	}
}

func TestUnwritablePlaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "folder", "inside"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nowhere/out", "file/out", "folder"} {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := Write(p, text("x")); err == nil || !strings.Contains(err.Error(), "write "+p) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := names(t, dir); got != "file folder" {
		t.Errorf("left: %s", got)
	}
}

func TestAbort(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, committed := range []bool{false, true} {
		f, err := CreateIn(dir)
		if err != nil {
			t.Fatal(err)
		}
		if committed {
			err = errors.Join(f.CommitAs(filepath.Join(dir, "out"), true), f.Close())
		}
		f.Abort()
		f.Abort() // twice does no harm
		if got := names(t, dir); err != nil || (got == "out") != committed {
			t.Errorf("committed: %v, left: %q, %v", committed, got, err)
		}
	}
}

// TestWritersAtOnce: each of them is whole, and the last one stays.
func TestWritersAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "out")
	var wg sync.WaitGroup
	for _, c := range "abcdefgh" {
		wg.Go(func() {
			if err := Write(name, text(strings.Repeat(string(c), 100_000))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	b, err := os.ReadFile(name)
	if err != nil || len(b) != 100_000 || strings.Trim(string(b), string(b[:1])) != "" {
		t.Errorf("%d bytes of several writers, %v", len(b), err)
	}
	if got := names(t, dir); got != "out" {
		t.Errorf("left: %s", got)
	}
}
