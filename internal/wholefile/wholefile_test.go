package wholefile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"mkbuild/e2e/testkit"
)

var must = testkit.Must

func names(t *testing.T, dir string) string {
	t.Helper()
	es, err := os.ReadDir(dir)
	must(t, err)
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
		must(t, Write(name, text(content)))
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

// TestWholeOrNotAtAll: an interrupted file does not appear, and the file that it would have replaced stays.
func TestWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, old := range []string{"", "old"} {
		for how, end := range map[string]func() error{"error": func() error { return broken }, "panic": func() error { panic("broken") }} {
			dir := t.TempDir()
			name := filepath.Join(dir, "out")
			want := ""
			if old != "" {
				want = "out"
				must(t, os.WriteFile(name, []byte(old), 0o600))
			}
			func() {
				defer func() {
					if p := recover(); (p == "broken") != (how == "panic") {
						t.Errorf("%s: %v", how, p)
					}
				}()
				err := Write(name, func(w io.Writer) error {
					if b, _ := os.ReadFile(name); string(b) != old {
						t.Errorf("the name has %q already", b)
					}
					return errors.Join(text("half")(w), end())
				})
				if !errors.Is(err, broken) {
					t.Errorf("got %v", err)
				}
			}()
			if b, _ := os.ReadFile(name); names(t, dir) != want || string(b) != old {
				t.Errorf("%s: left %q, want %q with %q", how, names(t, dir), want, old)
			}
		}
	}
}

func TestUnwritablePlaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	must(t, os.MkdirAll(filepath.Join(dir, "folder", "inside"), 0o755))
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

func TestClose(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, committed := range []bool{false, true} {
		f, err := CreateIn(dir)
		must(t, err)
		if committed {
			err = errors.Join(f.CommitAs(filepath.Join(dir, "out"), true), f.Close())
		}
		f.Close()
		f.Close() // closing twice is allowed
		if got := names(t, dir); err != nil || (got == "out") != committed {
			t.Errorf("committed: %v, left: %q, %v", committed, got, err)
		}
	}
}

// TestWritersAtOnce: each file is whole, and the last one stays.
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
