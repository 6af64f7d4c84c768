package store

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"runtime"

	"mkbuild/internal/wholefile"
)

// Writer writes content into the store. It is valid until [Writer.Commit] or [Writer.Abort].
type Writer struct {
	ctx     context.Context
	store   *Store
	file    *wholefile.File
	private bool // error of putting it into the store
	size    int64
	content *content
}

// Create begins new content. Writes fail once ctx is done. The caller defers [Writer.Abort].
func (s *Store) Create(ctx context.Context) (*Writer, error) {
	f, err := s.newFile(ctx)
	if err != nil {
		return nil, err
	}
	return &Writer{ctx: ctx, store: s, file: f}, nil
}

// Write appends b. Its error is an [ErrWrite] or that of the context.
func (w *Writer) Write(b []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	n, err := w.file.Write(b)
	w.size += int64(n)
	return n, w.store.writeError(err)
}

// Size is the number of bytes written.
func (w *Writer) Size() int64 { return w.size }

// Reset drops the written bytes.
func (w *Writer) Reset() error {
	w.size = 0
	_, err := w.file.Seek(0, io.SeekStart)
	return w.store.writeError(errors.Join(err, w.file.Truncate(0)))
}

// Finish returns the SHA-256 of the written content, and a reader of it. also, if not nil, hashes it, too. Do not
// write afterwards.
func (w *Writer) Finish(also hash.Hash) (sha256 string, r io.Reader, err error) {
	if w.content, err = hashFile(w.file.File, w.file, also); err != nil {
		return "", nil, w.store.writeError(err)
	}
	return w.content.sha256, io.NewSectionReader(w.content, 0, w.content.size), nil
}

// Commit makes finished content appear under its digest. durable makes it survive a power cut.
func (w *Writer) Commit(durable bool) (*Blob, error) {
	s, c := w.store, w.content
	if !w.private {
		err := s.commit(w.file, s.path(c.sha256), durable)
		c.file = w.file.File           // it may be a copy
		if runtime.GOOS == "windows" { // the rename needed it closed, or an open file was in the way
			if b, err := s.Get(w.ctx, c.sha256, nil); err == nil {
				return b, nil
			}
		}
		if err != nil {
			return nil, err
		}
	}
	w.file = nil
	return s.blob(s.remember(c), false), nil
}

// Abort removes the file. After a commit it does nothing.
func (w *Writer) Abort() {
	if w.file != nil {
		w.file.Close() //nolint:errcheck,gosec // it goes away
	}
}

// share copies content from the second place into the folder; nil if that fails or the folder is not writable.
func (s *Store) share(ctx context.Context, kind, sha256 string) *Blob {
	w, err := s.Create(ctx)
	if err != nil {
		return nil
	}
	defer w.Abort()
	if !s.Shared.Take(ctx, kind, sha256, w) || w.content.sha256 != sha256 {
		return nil
	}
	b, err := w.Commit(false)
	if err != nil {
		return nil
	}
	return b
}

// Derive returns the content of kind and key, or calls write to make it and keeps it. The content must depend on
// the key alone: the first one stored is used from then on. kind is a word of lower-case letters. about points to
// a value that describes the content: write sets all of it, the store keeps it as JSON with the content, and
// later calls set it from there.
//
// If the folder is read-only, the content is made each time and not kept. The error is that of write or ctx, or
// an [ErrWrite].
func (s *Store) Derive(ctx context.Context, kind, key string, about any, write func(io.Writer) error) (*Blob, error) {
	b, err := s.derived(ctx, kind, key, about)
	if b == nil && err == nil {
		b, err = s.derive(ctx, kind, key, about, write)
		if pin := s.pinned(kind, key); err == nil && pin != "" && pin != b.SHA256 {
			s.warn(kind, "its new sha256 is "+b.SHA256+", the lock has "+pin+": `mkbuild lock` updates it")
		}
	}
	if err == nil && s.Shared != nil {
		s.Shared.Offer(Made{kind, key, b.SHA256}, b)
	}
	return b, err
}

// derive makes content and keeps it.
func (s *Store) derive(ctx context.Context, kind, key string, about any, write func(io.Writer) error) (*Blob, error) {
	w, err := s.Create(ctx)
	if readOnly(err) {
		if f, terr := wholefile.NewTempIn(""); terr == nil {
			w, err = &Writer{ctx: ctx, store: s, file: f, private: true}, nil
		}
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
	if _, _, err := w.Finish(nil); err != nil {
		return nil, err
	}
	b, err := w.Commit(false)
	if err != nil {
		return nil, err
	}
	b.Size = size
	if w.private {
		return b, nil
	}
	return b, s.Put(ctx, kind, Entry{Key: key, SHA256: b.SHA256})
}

// derived returns kept content, or nil if it is missing or damaged.
func (s *Store) derived(ctx context.Context, kind, key string, about any) (*Blob, error) {
	e, err := s.Entry(kind, key)
	sum := ""
	if err == nil && e.Trusted {
		sum = e.SHA256
	}
	if pin := s.pinned(kind, key); pin != "" {
		if err == nil && pin != e.SHA256 {
			s.warn(kind, "the cached copy does not have the lock's sha256 "+pin+": it is not used")
		}
		sum = pin
	} else if sum == "" && s.Shared != nil && !s.Sealed { // not trusted
		sum = s.Shared.Find(ctx, kind, key)
	}
	if sum == "" {
		return nil, ctx.Err() // it is to be made
	}
	b, err := s.get(ctx, kind, sum, nil)
	if err == nil {
		b.Size, err = readAbout(b.content, about)
	}
	if errors.Is(err, ErrDamaged) {
		s.warn(kind, "its cached copy was damaged and has been removed")
	}
	if err != nil {
		return nil, ctx.Err() // as above, unless ctx has ended
	}
	if sum != e.SHA256 && s.Put(ctx, kind, Entry{Key: key, SHA256: sum}) != nil {
		return b, ctx.Err() // a read-only folder goes without
	}
	return b, nil
}

// pinned is the required digest of content, or "".
func (s *Store) pinned(kind, key string) string {
	if s.Pinned == nil {
		return ""
	}
	return s.Pinned(kind, key)
}

func (s *Store) warn(kind, text string) {
	if s.Warn != nil {
		s.Warn(kind, text)
	}
}

// The description of derived content follows it in the same file: JSON, and its length in the last eight bytes.
// So both have one digest, and the content can be read in place.
const aboutTail = 8

// maxAbout bounds a description: an image with 500,000 files has one of about 100 MB.
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

// readAbout sets about from the end of c, and returns the length of the content before it.
func readAbout(c *content, about any) (size int64, err error) {
	tail := make([]byte, aboutTail)
	if c.size < aboutTail {
		return 0, errNoAbout
	}
	if _, err := c.ReadAt(tail, c.size-aboutTail); err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint64(tail)
	if n > maxAbout || int64(n) > c.size-aboutTail {
		return 0, fmt.Errorf("%w: %d of %d bytes", errNoAbout, n, c.size)
	}
	size = c.size - aboutTail - int64(n)
	text := make([]byte, n)
	if _, err := c.ReadAt(text, size); err != nil {
		return 0, err
	}
	if string(text) == "null" {
		return 0, errNoAbout
	}
	return size, json.Unmarshal(text, about)
}
