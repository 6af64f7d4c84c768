package testkit

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// CheckCache checks that a cache holds only whole blobs and index entries.
func CheckCache(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		switch kind, _, _ := strings.Cut(filepath.ToSlash(rel), "/"); {
		case kind == "index" && strings.HasSuffix(p, ".json"):
		case kind == "sha256" && fmt.Sprintf("%x", sha256.Sum256(text)) == filepath.Base(p):
		default:
			t.Errorf("left in the cache: %s", rel)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}
