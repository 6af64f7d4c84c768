package wholefile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// put is a fill that writes one file.
func put(name, text string) func(string) error {
	return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644) }
}

// only makes sure that dir holds just the one folder with just the one file.
func only(t *testing.T, dir, folder, file, text string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	hidden, _ := filepath.Glob(filepath.Join(dir, ".*"))
	b, rerr := os.ReadFile(filepath.Join(dir, folder, file))
	if err != nil || rerr != nil || len(all) != 1 || len(hidden) != 0 || string(b) != text {
		t.Errorf("%q, %q: %q, %v, %v", all, hidden, b, err, rerr)
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "out")
	must(t, Folder(name, put("a", "1")))
	only(t, dir, "out", "a", "1")
	must(t, Folder(name, put("b", "2")))
	only(t, dir, "out", "b", "2")
	if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	failed := errors.New("no")
	err := Folder(name, func(tmp string) error {
		if err := put("c", "3")(tmp); err != nil {
			return err
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Error(err)
	}
	only(t, dir, "out", "b", "2")
}

// TestFolderWithoutExchange takes the way of systems that cannot let names change places.
func TestFolderWithoutExchange(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "out")
	must(t, Folder(name, put("a", "1")))
	made := filepath.Join(dir, "new")
	must(t, os.Mkdir(made, 0o755))
	must(t, put("b", "2")(made))
	must(t, beside(name).replace(made, name))
	only(t, dir, "out", "b", "2")
	if err := beside(name).replace(filepath.Join(dir, "none"), name); err == nil {
		t.Error("a folder that is not there took the name")
	}
	only(t, dir, "out", "b", "2")
}

// TestFolderSweeps what a killed process has left, and leaves what a living one holds.
func TestFolderSweeps(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "out")
	dead := filepath.Join(dir, ".out.tmp-123")
	must(t, os.MkdirAll(filepath.Join(dead, "x"), 0o755))
	err := Folder(name, func(tmp string) error {
		if err := Folder(name, put("a", "1")); err != nil {
			return err
		}
		return put("b", "2")(tmp)
	})
	must(t, err)
	only(t, dir, "out", "b", "2")
}
