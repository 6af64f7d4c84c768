package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// derivedSchema is the version of [derivation]; one of another version is as good as none.
const derivedSchema = "mkbuild.derived/v1"

// derivation is what was once made of other content: which blob a kind and a key name. Like an
// index entry it only points; the digest is computed from the blob itself.
type derivation struct {
	Schema string `json:"schema"`
	Kind   string `json:"kind"`
	// Key is the whole key, so that no entry can be moved to another one's place.
	Key    string `json:"key"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Derived returns what [Client.Derive] has stored under kind and key. Its bytes are hashed again
// before their first use in a process, but for their MD5. The error is an [ErrNotFound] when there is
// nothing, or nothing whole.
func (c *Client) Derived(kind, key string) (*Blob, error) {
	return c.derived(context.Background(), kind, key)
}

func (c *Client) derived(ctx context.Context, kind, key string) (*Blob, error) {
	k, err := c.cacheOf(kind, key)
	if err != nil {
		return nil, err
	}
	if err := k.session.use(ctx, k.dir); err != nil {
		return nil, err
	}
	d, err := k.derivation(kind, key)
	if err != nil {
		return nil, fmt.Errorf("find derived %s: %w: %w", kind, ErrNotFound, err)
	}
	got, err := k.verify(d.SHA256, false)
	if errors.Is(err, errDamaged) {
		c.warn(kind, "its cached copy was damaged and has been removed")
	}
	if err == nil && got.size != d.Size {
		err = errEntry
	}
	if err != nil {
		return nil, fmt.Errorf("find derived %s: %w: %w", kind, ErrNotFound, err)
	}
	return k.derivedBlob(kind, got, true), nil
}

// Derive returns what is stored under kind and key, or has write make it and stores that. The
// content must follow from the key alone: whoever stores it first has made it for all. The kind is
// a word of lower-case letters. Where the cache may only be read, it is made each time and not stored. Its error is that of write or of ctx, or a [*CacheError].
func (c *Client) Derive(ctx context.Context, kind, key string, write func(io.Writer) error) (*Blob, error) {
	if b, err := c.derived(ctx, kind, key); err == nil || !errors.Is(err, ErrNotFound) {
		return b, err
	}
	k, err := c.cacheOf(kind, key)
	if err != nil {
		return nil, err
	}
	p, err := k.newPart(false)
	if readOnly(err) {
		return c.deriveAside(ctx, kind, write, err)
	}
	if err != nil {
		return nil, err
	}
	defer p.discard()
	if err := write(interruptible{ctx, p}); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	got := p.sum()
	if err := k.commit(p, false); err != nil {
		return nil, err
	}
	return k.derivedBlob(kind, got, false), k.recordDerivation(derivation{derivedSchema, kind, key, got.sha256, got.size})
}

// interruptible is a writer that stops when the user does.
type interruptible struct {
	ctx context.Context
	w   io.Writer
}

func (i interruptible) Write(b []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.w.Write(b)
}

// cacheOf checks the name of a derived thing. Mistakes in it are the program's, not the user's.
func (c *Client) cacheOf(kind, key string) (cache, error) {
	if c.CacheDir == "" {
		return cache{}, errNoCacheDir
	}
	if kind == "" || strings.Trim(kind, "abcdefghijklmnopqrstuvwxyz") != "" || key == "" || len(key) > keyLimit || !utf8.ValidString(key) {
		return cache{}, fmt.Errorf("derived %q with a key of %d bytes: no such thing", kind, len(key))
	}
	return cache{dir: c.CacheDir, session: &c.session}, nil
}

// keyLimit leaves room for JSON's escapes in an entry of entryLimit.
const keyLimit = entryLimit / 8

func (c cache) derivedBlob(kind string, d digests, cached bool) *Blob {
	return &Blob{Path: c.blobPath(d.sha256), SHA256: d.sha256, MD5: d.md5, Size: d.size, Source: -1, Cached: cached, name: kind}
}

func (c cache) derivationPath(kind, key string) string {
	name := hashText(key)
	return filepath.Join(c.dir, derivedDir, kind, name[:2], name+".json")
}

// derivation reads the entry of a kind and a key.
func (c cache) derivation(kind, key string) (*derivation, error) {
	b, err := readEntry(c.derivationPath(kind, key))
	if err != nil {
		return nil, err
	}
	d, err := parseDerivation(b)
	if err == nil && (d.Kind != kind || d.Key != key) {
		return nil, errEntry
	}
	return d, err
}

// parseDerivation checks an entry. The hash becomes part of a path, so its form matters.
func parseDerivation(b []byte) (*derivation, error) {
	if len(b) > entryLimit {
		return nil, fmt.Errorf("%w: over %d bytes", errEntry, entryLimit)
	}
	var d derivation
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("%w: %w", errEntry, err)
	}
	if d.Schema != derivedSchema || d.Size < 0 || !isSHA256(d.SHA256) {
		return nil, fmt.Errorf("%w: schema %q, size %d, sha256 %q", errEntry, d.Schema, d.Size, d.SHA256)
	}
	return &d, nil
}

func (c cache) recordDerivation(d derivation) error {
	b, err := json.MarshalIndent(d, "", "  ")
	if err == nil {
		err = c.writeFile(c.derivationPath(d.Kind, d.Key), append(b, '\n'))
	}
	if err != nil {
		return &CacheError{Dir: c.dir, Err: err}
	}
	return nil
}

// readEntry reads a small file of the cache: at most one byte over its limit.
func readEntry(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return io.ReadAll(io.LimitReader(f, entryLimit+1))
}
