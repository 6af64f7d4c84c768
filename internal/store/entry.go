package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mkbuild/internal/wholefile"
)

// KindDownload is the kind of entries for what came from an address. All other kinds are names that
// were given to [Store.Derive].
const KindDownload = "download"

// entrySchema is the version of [Entry]. An entry of another version is ignored.
const entrySchema = "mkbuild.cache/v2"

// entryLimit bounds an entry in bytes. One with a longer key is written and never found.
const entryLimit = 64 << 10

// Entry is where a key leads. It only points: nobody vouches for it.
type Entry struct {
	Schema string `json:"schema"`
	// Key is an address, or names everything that decides derived content.
	Key string `json:"key"`
	// SHA256 is the hex digest of the content; empty if the entry remembers that there is none.
	SHA256 string `json:"sha256,omitempty"`
	// About is for whoever wrote the entry.
	About json.RawMessage `json:"about,omitempty"`
}

var errEntry = errors.New("bad index entry")

// Entry returns where a key leads, or [ErrMissing]: an entry that cannot be read or makes no sense is
// as good as none.
func (s *Store) Entry(kind, key string) (Entry, error) {
	e, err := readEntry(s.entryPath(kind, key))
	if err == nil && e.Key != validUTF8(key) {
		err = fmt.Errorf("%w: it is that of %q", errEntry, e.Key)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	return e, nil
}

// Put writes an entry. After a power cut it may be empty.
func (s *Store) Put(ctx context.Context, kind string, e Entry) error {
	name := s.entryPath(kind, e.Key)
	e.Schema, e.Key = entrySchema, validUTF8(e.Key)
	b, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	f, err := s.newFile(ctx)
	if err != nil {
		return err
	}
	defer f.Abort()
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = os.MkdirAll(filepath.Dir(name), 0o755)
	}
	if err == nil {
		err = f.CommitAs(name, false)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return &WriteError{s.Dir, err}
	}
	return nil
}

// entryPath is where an entry lies: any text can be a key.
func (s *Store) entryPath(kind, key string) string {
	sum := sha256.Sum256([]byte(key))
	name := hex.EncodeToString(sum[:])
	return filepath.Join(s.Dir, indexDir, kind, name[:2], name+".json")
}

// validUTF8 is what JSON makes of a text.
func validUTF8(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

func readEntry(name string) (Entry, error) {
	f, err := wholefile.OpenRegular(name)
	if err != nil {
		return Entry{}, err
	}
	defer f.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(f, entryLimit+1))
	if err != nil {
		return Entry{}, err
	}
	return parseEntry(b)
}

// parseEntry checks an entry. The digest becomes part of a path, so its form matters.
func parseEntry(b []byte) (Entry, error) {
	var e Entry
	if len(b) > entryLimit {
		return e, fmt.Errorf("%w: over %d bytes", errEntry, entryLimit)
	}
	if err := json.Unmarshal(b, &e); err != nil {
		return e, fmt.Errorf("%w: %w", errEntry, err)
	}
	if e.Schema != entrySchema || e.SHA256 != "" && !isSHA256(e.SHA256) {
		return e, fmt.Errorf("%w: schema %q, sha256 %q", errEntry, e.Schema, e.SHA256)
	}
	return e, nil
}

// isSHA256 reports whether s is a digest in the form in which content is named.
func isSHA256(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}

// walk calls visit for every file below a folder of the store. One that is missing has none.
func (s *Store) walk(dir string, visit func(path string, d fs.DirEntry) error) error {
	return filepath.WalkDir(filepath.Join(s.Dir, dir), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile, or never there
		}
		if err != nil || d.IsDir() {
			return err
		}
		return visit(path, d)
	})
}

// proper reports whether a file has the name and the place of content or of an entry.
func proper(path string, d fs.DirEntry) bool {
	name := strings.TrimSuffix(d.Name(), ".json")
	return d.Type().IsRegular() && isSHA256(name) && filepath.Base(filepath.Dir(path)) == name[:2]
}
