package remaster

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"mkbuild/internal/lock"
)

// files returns the names of a folder's files, those of subfolders too, with what is known of each.
func files(t testing.TB, dir string) map[string]fs.FileInfo {
	t.Helper()
	out := map[string]fs.FileInfo{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		out[rel], err = d.Info()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The lock's text does not depend on the order of a mirror's folders or on how much runs at once; it
// does on a byte of an input.
func TestLockIsReproducible(t *testing.T) {
	text := func(dir string) []byte {
		name := filepath.Join(dir, lock.FileName)
		if _, err := resolved(t, plan(t, dir)).Save(name); err != nil {
			t.Fatal(err)
		}
		return readFile(t, name)
	}
	first := mirror(t)
	want := text(first)
	second := t.TempDir()
	var names []string
	for name := range files(t, first) {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range slices.Backward(names) {
		writeFile(t, filepath.Join(second, name), readFile(t, filepath.Join(first, name)))
	}
	for _, procs := range []int{1, 8} {
		before := runtime.GOMAXPROCS(procs)
		got := text(second)
		runtime.GOMAXPROCS(before)
		if !bytes.Equal(got, want) {
			t.Errorf("GOMAXPROCS %d: got\n%s\nwant\n%s", procs, got, want)
		}
	}
	update(t, second, tczDir+"/bash.tcz")
	if bytes.Equal(text(second), want) {
		t.Error("another input, the same lock")
	}
}

// A mirror is written once: what is there already is not touched, and nothing half-written is left.
func TestWriteMirrorTwice(t *testing.T) {
	t.Parallel()
	b, _ := builder(t, warm)
	p := plan(t, pristine)
	r, err := b.Resolve(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "a", "mirror")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.WriteMirror(ctx, dir, p); !errors.Is(err, context.Canceled) {
		t.Errorf("with a dead context: %v", err)
	}
	if _, err := r.WriteMirror(t.Context(), dir, p); err != nil {
		t.Fatal(err)
	}
	before := files(t, dir)
	if _, err := r.WriteMirror(t.Context(), dir, p); err != nil {
		t.Fatal(err)
	}
	after := files(t, dir)
	if len(before) != len(after) || len(after) < 2*len(r.Lock.Inputs) {
		t.Errorf("%d files, then %d", len(before), len(after))
	}
	for name, info := range after {
		if was := before[name]; was == nil || !os.SameFile(was, info) {
			t.Errorf("%s was written again", name)
		}
		if info.Mode().Perm() != 0o644 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	again, err := b.Resolve(t.Context(), plan(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	if d := again.Lock.Compare(r.Lock); len(d) > 0 {
		t.Errorf("the mirror differs: %v", d)
	}
	writeFile(t, filepath.Join(dir, "mkbuild.yaml"), []byte("release: 4.5.2\n"))
	if _, err := r.WriteMirror(t.Context(), dir, p); !as[*OccupiedError](err) {
		t.Errorf("over somebody's own configuration: %v", err)
	}
}
