package fetch

import (
	"crypto/md5" //nolint:gosec // upstream publishes nothing else
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// indexSchema is the version of [entry]; an entry of another version is as good as none.
const indexSchema = "mkbuild.cache/v1"

// entryLimit bounds one index file: an address, some hashes and two header values.
const entryLimit = 64 << 10

// entry is what an address gave last. It only points: the SHA-256 of the content is computed from the
// blob itself, each time.
type entry struct {
	Schema string `json:"schema"`
	// URL is for people, and keeps an entry from being moved to another address.
	URL    string `json:"url"`
	SHA256 string `json:"sha256,omitempty"`
	// MD5 is that of the same content, once it has been computed: it takes longer than the SHA-256,
	// and cannot change while that stays the same.
	MD5 string `json:"md5,omitempty"`
	// Size is the length in bytes, of a local source too.
	Size int64 `json:"size"`
	// ETag and LastModified are the validators of RFC 9110 section 8.8.
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
	// MTime is the modification time of a local source in nanoseconds since 1970; 0 means that
	// it was written too recently to tell one change from the next.
	MTime int64 `json:"mtime_ns,omitempty"`
	// TLS says that the answer came over https, even if URL is an http address.
	TLS bool `json:"tls,omitempty"`
	// Missing remembers that an optional file does not exist.
	Missing bool `json:"missing,omitempty"`
}

func (c cache) entryPath(key string) string {
	name := hashText(key)
	return filepath.Join(c.dir, indexDir, name[:2], name+".json")
}

// hashText returns a name that any text can have on any file system.
func hashText(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// isSHA256 reports whether s is a hash in the form in which the cache names its blobs.
func isSHA256(s string) bool {
	clean, err := cleanHex("sha256", s, sha256.Size)
	return err == nil && clean != "" && clean == s
}

// entry returns what is known about a source, or nil: an entry that cannot be read or does not
// make sense is only a reason to ask the source.
func (c cache) entry(s source) *entry {
	b, err := readEntry(c.entryPath(s.key))
	if err != nil {
		return nil
	}
	e, err := parseEntry(b)
	if err != nil || e.URL != s.shown {
		return nil
	}
	return e
}

var errEntry = errors.New("bad index entry")

// parseEntry checks an index file. The hash becomes part of a path, so its form matters.
func parseEntry(b []byte) (*entry, error) {
	if len(b) > entryLimit {
		return nil, fmt.Errorf("%w: over %d bytes", errEntry, entryLimit)
	}
	var e entry
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", errEntry, err)
	}
	if e.Schema != indexSchema || e.Size < 0 {
		return nil, fmt.Errorf("%w: schema %q, size %d", errEntry, e.Schema, e.Size)
	}
	if e.Missing {
		return &entry{Schema: e.Schema, URL: e.URL, TLS: e.TLS, Missing: true}, nil
	}
	if !isSHA256(e.SHA256) {
		return nil, fmt.Errorf("%w: sha256 %q", errEntry, e.SHA256)
	}
	var err error
	if e.MD5, err = cleanHex("md5", e.MD5, md5.Size); err != nil {
		return nil, fmt.Errorf("%w: %w", errEntry, err)
	}
	return &e, nil
}

// record writes the entry of a source by rename: readers see the old or the new one.
func (c cache) record(s source, e entry) error {
	e.Schema, e.URL = indexSchema, s.shown
	b, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return &CacheError{Dir: c.dir, Err: err}
	}
	if err := c.writeFile(c.entryPath(s.key), append(b, '\n')); err != nil {
		return &CacheError{Dir: c.dir, Err: err}
	}
	return nil
}

// writeFile makes an entry appear whole. After a power cut it may be empty, which costs a question
// to the source.
func (c cache) writeFile(name string, b []byte) error {
	f, err := c.newFile()
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := f.Write(b); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return f.CommitAs(name, false)
}
