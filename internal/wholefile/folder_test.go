package wholefile

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// put is a fill that writes one file.
func put(name, text string) func(string) error {
	return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644) }
}

// only checks that dir holds exactly the one folder with the one file.
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

// TestFolderWithoutExchange uses the method of systems that cannot swap names.
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

// TestFolderSweeps removes the remains of a killed process, and keeps the files of a living one.
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

// TestFoldersAtOnce: all writers of one folder succeed, whether it exists or not.
func TestFoldersAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for round := range 100 {
		name := filepath.Join(dir, strconv.Itoa(round/2))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := Folder(name, put("a", "1")); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if b, err := os.ReadFile(filepath.Join(name, "a")); err != nil || string(b) != "1" {
			t.Fatalf("%q, %v", b, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// TestFoldersAtOnceWithoutExchange uses the method of systems that cannot swap names.
func TestFoldersAtOnceWithoutExchange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "out")
	p := beside(name)
	p.perm = 0o777
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 30 {
				made, lock, err := p.folder()
				if err != nil {
					t.Error(err)
					return
				}
				err = errors.Join(put("a", "1")(made), swap(made, name, p.replace))
				if err := errors.Join(err, lock.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	only(t, dir, "out", "a", "1")
}

func TestTempFolder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dead := filepath.Join(os.TempDir(), ".mkbuild-tmp-12")
	if err := errors.Join(os.MkdirAll(filepath.Join(dead, "x"), 0o755), os.WriteFile(dead+"3", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	dir, release, err := TempFolder()
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewNamedTemp()
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", st, err)
	}
	if st, err := os.Stat(f.Name()); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	release()
	f.Close()
	if got := names(t, os.TempDir()); got != "" {
		t.Errorf("left: %q", got)
	}
}
