package store

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

var must = testkit.Must

func newStore(t testing.TB) *Store { return &Store{Dir: filepath.Join(t.TempDir(), "cache")} }

// again simulates another process on the same folder.
func again(s *Store) *Store { return &Store{Dir: s.Dir} }

func sha(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// add puts content with an entry into a store.
func add(t testing.TB, s *Store, key, text string) *Blob {
	t.Helper()
	w, err := s.Create(t.Context())
	must(t, err)
	defer w.Abort()
	io.WriteString(w, text)
	if sum, _, err := w.Finish(nil); err != nil || sum != sha(text) {
		t.Fatal(sum, err)
	}
	b, err := w.Commit(false)
	must(t, err)
	must(t, s.Put(t.Context(), KindDownload, Entry{Key: key, SHA256: b.SHA256}))
	return b
}

// derive keeps a text as a segment and counts how often it is made.
func derive(t *testing.T, s *Store, key, text string, made *int) *Blob {
	t.Helper()
	about := ""
	b, err := s.Derive(t.Context(), "segment", key, &about, func(w io.Writer) error {
		*made++
		about = "about " + text
		_, err := io.WriteString(w, text)
		return err
	})
	must(t, err)
	if got := read(t, b); got != text || about != "about "+text || b.Size != int64(len(text)) {
		t.Fatalf("%q, %q, %+v", got, about, b)
	}
	return b
}

func read(t *testing.T, b *Blob) string {
	t.Helper()
	text, err := io.ReadAll(b.Reader())
	must(t, err)
	return string(text)
}

// write writes a file into a store's folder directly.
func write(t *testing.T, s *Store, name, text string) {
	t.Helper()
	p := filepath.Join(s.Dir, filepath.FromSlash(name))
	must(t, os.MkdirAll(filepath.Dir(p), 0o755))
	must(t, os.WriteFile(p, []byte(text), 0o644))
}

// files lists every file of a store.
func files(t *testing.T, s *Store) (out []string) {
	t.Helper()
	err := filepath.WalkDir(s.Dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, p)
		}
		return nil
	})
	must(t, err)
	return out
}

// large is content that exceeds the in-memory limit, of an odd size.
var large = strings.Repeat("0123456789abcdef", inMemory/16) + strings.Repeat("tail", pieceSize/2) + "."

// mkfifo makes a pipe, on systems with named pipes.
func mkfifo(name string) error { return exec.Command("mkfifo", name).Run() }
