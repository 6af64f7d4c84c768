package inputs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"mkbuild/e2e/testkit"
)

// files returns the names of all files below a folder, with the data of each.
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
	testkit.Must(t, err)
	return out
}

// A mirror is written once: existing files are not touched, and no partial file is left.
func TestWriteMirrorTwice(t *testing.T) {
	t.Parallel()
	o, _ := options(warm)
	r := locked(t, plan(t, pristine), o)
	dir := filepath.Join(t.TempDir(), "a", "mirror")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.WriteMirror(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("with a dead context: %v", err)
	}
	if _, err := r.WriteMirror(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	before := files(t, dir)
	if _, err := r.WriteMirror(t.Context(), dir); err != nil {
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
	if d := locked(t, plan(t, dir), o).Lock.DriftFrom(r.Lock); len(d) > 0 {
		t.Errorf("the mirror differs: %v", d)
	}
	testkit.Put(t, filepath.Join(dir, "mkbuild.yaml"), []byte("release: 4.5.2\n"))
	if _, err := r.WriteMirror(t.Context(), dir); !errors.Is(err, ErrOccupied) {
		t.Errorf("over somebody's own configuration: %v", err)
	}
	testkit.Must(t, os.Remove(filepath.Join(dir, "mkbuild.yaml")))
	if _, err := r.WriteMirror(t.Context(), dir); !errors.Is(err, ErrOccupied) {
		t.Errorf("over somebody's own lock: %v", err)
	}
}
