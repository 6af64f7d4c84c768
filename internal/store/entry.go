package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"mkbuild/internal/wholefile"
)

// KindDownload is the kind of downloads. All other kinds are names for [Store.Derive].
const KindDownload = "download"

// entrySchema is the version of [Entry]. An entry of another version is ignored.
const entrySchema = "mkbuild.cache/v2"

// entryLimit bounds an entry in bytes. An entry with a longer key, or a key that is not UTF-8, is written and
// never found.
const entryLimit = 64 << 10

// maxSeals is how many users can seal an entry; the oldest seal makes room.
const maxSeals = 16

// Entry maps a key to content. Only a seal makes it trustworthy.
type Entry struct {
	Schema string `json:"schema"`
	// Key is an address, or everything that decides derived content.
	Key string `json:"key"`
	// SHA256 is the hex digest of the content, or empty for a recorded absence.
	SHA256 string `json:"sha256,omitempty"`
	// About belongs to the writer of the entry.
	About json.RawMessage `json:"about,omitempty"`
	// Seals authenticate the members above, each under the key of one user.
	Seals []string `json:"seals,omitempty"`

	// Trusted is true if the entry has a seal of the store's key, or the store needs none.
	Trusted bool `json:"-"`
}

// Entry returns the entry of a key, or [ErrMissing], also for an unreadable or invalid entry.
func (s *Store) Entry(kind, key string) (Entry, error) {
	e, err := readEntry(s.entryPath(kind, key))
	if err != nil || e.Key != key {
		return Entry{}, ErrMissing
	}
	e.Trusted = !s.Sealed || slices.ContainsFunc(e.Seals, func(seal string) bool { return hmac.Equal([]byte(seal), []byte(s.seal(kind, e))) })
	return e, nil
}

// seal authenticates an entry under the store's key. JSON tells its parts apart.
func (s *Store) seal(kind string, e Entry) string {
	text, _ := json.Marshal([]any{kind, e.Key, e.SHA256, e.About}) // texts, and JSON
	return s.Mark(string(text))
}

// Mark returns a keyed hash of a text that may be secret: without the store's key it does not reveal the text.
func (s *Store) Mark(text string) string {
	mac := hmac.New(sha256.New, s.Key)
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

// Put writes an entry, and seals it if the store is [Store.Sealed]. A power cut may leave it empty.
func (s *Store) Put(ctx context.Context, kind string, e Entry) error {
	name := s.entryPath(kind, e.Key)
	e.Schema = entrySchema
	if s.Sealed {
		if old, err := s.Entry(kind, e.Key); err == nil && s.seal(kind, old) == s.seal(kind, e) {
			e.Seals = old.Seals[max(0, len(old.Seals)-maxSeals+1):]
		}
		e.Seals = append(slices.Clone(e.Seals), s.seal(kind, e))
	}
	f, err := s.newFile(ctx)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // after a failure, or only read
	if err := json.NewEncoder(f).Encode(e); err != nil {
		return s.writeError(err)
	}
	return s.commit(f, name, false)
}

// entryPath is the path of an entry. Any text can be a key.
func (s *Store) entryPath(kind, key string) string {
	sum := sha256.Sum256([]byte(key))
	name := hex.EncodeToString(sum[:])
	return filepath.Join(s.Dir, indexDir, kind, name[:2], name+".json")
}

func readEntry(name string) (Entry, error) {
	f, err := wholefile.OpenRegular(name)
	if err != nil {
		return Entry{}, err
	}
	defer f.Close() //nolint:errcheck // only read
	return parseEntry(io.LimitReader(f, entryLimit))
}

// parseEntry checks an entry. The digest becomes part of a path, so its form is checked.
func parseEntry(r io.Reader) (e Entry, err error) {
	if err := json.NewDecoder(r).Decode(&e); err != nil {
		return e, fmt.Errorf("bad index entry: %w", err)
	}
	if e.Schema != entrySchema || e.SHA256 != "" && !isSHA256(e.SHA256) {
		return e, fmt.Errorf("bad index entry: schema %q, sha256 %q", e.Schema, e.SHA256)
	}
	return e, nil
}
