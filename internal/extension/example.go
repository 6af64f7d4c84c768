package extension

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"mkbuild/internal/fail"
)

//go:embed all:example
var exampleFiles embed.FS

// ErrNotEmpty is returned if the directory for the example has something in it.
var ErrNotEmpty = fail.New(fail.Usage, "directory is not empty", "name a directory that does not exist: mkbuild extension new site")

// exampleMode is the mode of a file of the example tree: embedded files have none of their own.
func exampleMode(name string) fs.FileMode {
	if dir := path.Dir(name); dir == "bin" || dir == "facts.d" && path.Ext(name) == "" {
		return 0o755
	}
	return 0o644
}

// WriteExample makes dir with a small extension whose comments explain each of its parts. An
// existing directory has to be empty ([ErrNotEmpty]); on an error nothing of it is left.
func WriteExample(dir string) (err error) {
	entries, err := os.ReadDir(dir)
	made := errors.Is(err, fs.ErrNotExist)
	switch {
	case err != nil && !made:
		return fmt.Errorf("write %s: %w", dir, err)
	case len(entries) > 0:
		return fmt.Errorf("write %s: %w", dir, ErrNotEmpty)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a directory to share
		return fmt.Errorf("write %s: %w", dir, err)
	}
	if err := copyExample(dir); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", dir, err), removeExample(dir, made))
	}
	return nil
}

func copyExample(dir string) error {
	tree, err := fs.Sub(exampleFiles, "example")
	if err != nil {
		return err
	}
	return fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if d.IsDir() {
			return os.Mkdir(to, 0o755) //nolint:gosec // a directory to share
		}
		b, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			return err
		}
		return os.Chmod(to, exampleMode(name)) // past the umask
	})
}

// removeExample takes back what copyExample began in a directory that was empty before.
func removeExample(dir string, made bool) error {
	if made {
		return os.RemoveAll(dir)
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}
