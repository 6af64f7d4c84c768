package fetch

import (
	"fmt"
	"io"
	"os"

	"mkbuild/internal/wholefile"
)

// Blob is a whole, verified file in the cache. Its bytes never change.
type Blob struct {
	// Path is where the cache holds it; empty for what was derived while the cache was read-only.
	Path string
	// SHA256 and MD5 are hex digests, computed from the content; MD5 is empty where a SHA-256 alone was
	// asked for, and for derived content.
	SHA256, MD5 string
	// Size is the length in bytes.
	Size int64
	// URL is the source that gave it, without a password; empty when the SHA-256 alone found
	// it. It can differ from run to run with the state of mirrors and cache, so it belongs in
	// messages, not in images.
	URL string
	// Source is the index of URL in [Request.URLs], or -1: the mirror to ask for what belongs
	// to this file.
	Source int
	// Cached says that nothing was transferred.
	Cached bool

	name  string
	plain bool // see [Client.FirstUse]
	// file is set for content outside of the cache, which has no name there.
	file *wholefile.Temp
}

// Open opens the content for reading.
func (b *Blob) Open() (*os.File, error) {
	f, err := b.reopen()
	if err != nil {
		return nil, fmt.Errorf("open cached %s: %w", b.name, err)
	}
	return f, nil
}

func (b *Blob) reopen() (*os.File, error) {
	if b.file != nil {
		return b.file.Reopen()
	}
	return os.Open(b.Path)
}

// Discard drops the content from the cache, so that the next [Client.Get] fetches it anew. It is for
// content that no digest vouched for and that turned out to be unusable, such as an archive that a
// proxy has cut off. A file that cannot be removed stays, and is refused again.
func (b *Blob) Discard() {
	os.Remove(b.Path) //nolint:errcheck,gosec // see above
}

// ReadAll returns the content, or a [*SizeError] if it is longer than limit bytes.
func (b *Blob) ReadAll(limit int64) ([]byte, error) {
	if b.Size > limit {
		return nil, &SizeError{Name: b.name, URL: b.URL, Limit: limit}
	}
	f, err := b.Open()
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(f, b.Size))
	if err != nil {
		return nil, fmt.Errorf("read cached %s: %w", b.name, err)
	}
	if int64(len(data)) != b.Size {
		return nil, fmt.Errorf("read cached %s: %w", b.name, errDamaged)
	}
	return data, nil
}

// blob describes verified content of the cache for the caller; e is the entry of source src.
func (j *job) blob(d digests, src int, e *entry) *Blob {
	b := &Blob{
		Path: j.cache.blobPath(d.sha256), SHA256: d.sha256, MD5: d.md5, Size: d.size,
		Source: src, Cached: true, name: j.Name,
	}
	if src >= 0 {
		b.URL, b.plain = j.sources[src].shown, j.plain(src, e)
	}
	return b
}
