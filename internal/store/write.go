package store

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"mkbuild/internal/wholefile"
)

// Writer is content on its way into the store. It exists until [Writer.Commit] or [Writer.Abort].
type Writer struct {
	ctx   context.Context
	store *Store
	sum   *hasher
	whole *wholefile.File
	// private is set instead of whole for content that cannot be put into the store.
	private *wholefile.Temp
}

// Create begins new content. Writes fail once ctx is done. The caller defers [Writer.Abort].
func (s *Store) Create(ctx context.Context) (*Writer, error) {
	f, err := s.newFile(ctx)
	if err != nil {
		return nil, err
	}
	return &Writer{ctx: ctx, store: s, sum: newHasher(), whole: f}, nil
}

func (w *Writer) file() *os.File {
	if w.private != nil {
		return w.private.File
	}
	return w.whole.File
}

// Write appends b. Its error is a [*WriteError] or that of the context.
func (w *Writer) Write(b []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	if n, err := w.file().Write(b); err != nil {
		return n, &WriteError{w.store.Dir, err}
	}
	return w.sum.Write(b)
}

// Size is how much has been written.
func (w *Writer) Size() int64 { return w.sum.count }

// SHA256 returns the digest of what has been written.
func (w *Writer) SHA256() string { return w.sum.digest() }

// Reset drops what has been written.
func (w *Writer) Reset() error {
	if w.Size() == 0 {
		return nil
	}
	w.sum = newHasher()
	_, err := w.file().Seek(0, io.SeekStart)
	if err == nil {
		err = w.file().Truncate(0)
	}
	if err != nil {
		return &WriteError{w.store.Dir, err}
	}
	return nil
}

// Commit makes the content appear under its digest. With durable it outlives a power cut.
func (w *Writer) Commit(durable bool) (*Blob, error) {
	sha256 := w.SHA256()
	if w.private == nil {
		if err := w.appear(w.store.path(sha256), durable); err != nil {
			return nil, err
		}
		if runtime.GOOS == "windows" { // it has been closed to be renamed
			return w.store.Get(w.ctx, sha256, nil)
		}
	}
	c, err := w.sum.content(w.file())
	if err != nil {
		return nil, err
	}
	return w.store.blob(sha256, w.store.remember(sha256, c), false), nil
}

func (w *Writer) appear(name string, durable bool) error {
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = w.whole.CommitAs(name, durable)
	}
	if err == nil {
		return nil
	}
	if _, gerr := w.store.Get(w.ctx, filepath.Base(name), nil); gerr == nil {
		return nil // Windows refuses to replace a file that is open; this one is as good
	}
	return &WriteError{w.store.Dir, err}
}

// Abort removes the file. After a commit it does nothing.
func (w *Writer) Abort() {
	if w.whole != nil {
		w.whole.Abort()
	}
}

// Derive returns what is kept under kind and key, or has write make it and keeps that. The content must
// follow from the key alone: what is stored first is taken from then on. kind is a word of lower-case
// letters. about, if not nil, points to a value that describes the content: write sets all of it, it is
// kept with the content as JSON, and it is set from there later.
//
// If the folder may only be read, the content is made each time and not kept. The error is that of write
// or ctx, or a [*WriteError].
func (s *Store) Derive(ctx context.Context, kind, key string, about any, write func(io.Writer) error) (*Blob, error) {
	if b, err := s.derived(ctx, kind, key, about); b != nil || err != nil {
		return b, err
	}
	w, err := s.Create(ctx)
	if readOnly(err) {
		w, err = s.createPrivate(ctx, err)
	}
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	if err := write(w); err != nil {
		return nil, err
	}
	size := w.Size()
	if err := writeAbout(w, about); err != nil {
		return nil, err
	}
	b, err := w.Commit(false)
	if err != nil {
		return nil, err
	}
	b.Size = size
	if w.private != nil {
		return b, nil
	}
	return b, s.Put(ctx, kind, Entry{Key: key, SHA256: b.SHA256})
}

// derived finds what is kept; nil if nothing is, or nothing whole.
func (s *Store) derived(ctx context.Context, kind, key string, about any) (*Blob, error) {
	e, err := s.Entry(kind, key)
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // it is to be made
	}
	b, err := s.Get(ctx, e.SHA256, nil)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err == nil {
		b.Size, err = readAbout(b.content, about)
	}
	if errors.Is(err, ErrDamaged) && s.Warn != nil {
		s.Warn(kind, "its cached copy was damaged and has been removed")
	}
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // as above
	}
	return b, nil
}

// createPrivate begins content outside of the store, if the system allows it; otherwise the original
// error is returned.
func (s *Store) createPrivate(ctx context.Context, original error) (*Writer, error) {
	f, err := wholefile.NewTempIn("")
	if err != nil {
		return nil, errors.Join(original, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.private = append(s.private, f)
	return &Writer{ctx: ctx, store: s, sum: newHasher(), private: f}, nil
}

// The description of derived content stands behind it in the same file: JSON, and the length of that in
// the last eight bytes. So both have one digest, and the content can be read in place.
const aboutTail = 8

// maxAbout bounds a description: that of an image with 500,000 files is about 100 MB.
const maxAbout = 256 << 20

func writeAbout(w io.Writer, about any) error {
	text, err := json.Marshal(about)
	if err != nil {
		return err
	}
	_, err = w.Write(binary.BigEndian.AppendUint64(text, uint64(len(text))))
	return err
}

var errNoAbout = errors.New("no description at the end")

// readAbout sets about from the end of c, and returns the length of what stands before.
func readAbout(c *content, about any) (size int64, err error) {
	var tail [aboutTail]byte
	if c.size < aboutTail {
		return 0, errNoAbout
	}
	if _, err := c.ReadAt(tail[:], c.size-aboutTail); err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint64(tail[:])
	if n > maxAbout || int64(n) > c.size-aboutTail {
		return 0, fmt.Errorf("%w: %d of %d bytes", errNoAbout, n, c.size)
	}
	size = c.size - aboutTail - int64(n)
	text := make([]byte, n)
	if _, err := c.ReadAt(text, size); err != nil {
		return 0, err
	}
	if about == nil {
		return size, nil
	}
	if string(text) == "null" {
		return 0, errNoAbout
	}
	return size, json.Unmarshal(text, about)
}
