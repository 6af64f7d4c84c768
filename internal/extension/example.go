package extension

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"mkbuild/internal/fail"
)

//go:embed all:example
var exampleFiles embed.FS

// ErrNotEmpty is returned if the directory for the example is not empty.
var ErrNotEmpty = fail.New(fail.Usage, "directory is not empty", "name a new directory: mkbuild extension new DIR")

// exampleMode is the mode of a file of the example tree: embedded files have none.
func exampleMode(name string) fs.FileMode {
	if dir := path.Dir(name); dir == "bin" || dir == "facts.d" && path.Ext(name) == "" {
		return 0o777
	}
	return 0o666
}

// WriteExample makes dir with a small extension whose comments explain each of its parts. An
// existing directory has to be empty ([ErrNotEmpty]); on an error nothing of it is left.
func WriteExample(dir string) (err error) {
	entries, err := os.ReadDir(dir)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("write %s: %w", dir, err)
	case len(entries) > 0:
		return fmt.Errorf("write %s: %w", dir, ErrNotEmpty)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil { //nolint:gosec // the umask decides
		return fmt.Errorf("write %s: %w", dir, err)
	}
	if made, err := copyExample(dir); err != nil {
		for _, name := range slices.Backward(made) {
			os.Remove(name) //nolint:errcheck,gosec // best effort
		}
		return fmt.Errorf("write %s: %w", dir, err)
	}
	return nil
}

// copyExample returns the files that it made, even if it fails: somebody else may write there, too.
func copyExample(dir string) (made []string, err error) {
	tree, err := fs.Sub(exampleFiles, "example")
	if err != nil {
		return nil, err
	}
	return made, fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if d.IsDir() {
			err = os.Mkdir(to, 0o777) //nolint:gosec // the umask decides
		} else {
			err = copyFile(tree, name, to)
		}
		if !errors.Is(err, fs.ErrExist) {
			made = append(made, to)
		}
		return err
	})
}

func copyFile(from fs.FS, name, to string) error {
	b, err := fs.ReadFile(from, name)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, exampleMode(name)) //nolint:gosec // the umask decides
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
