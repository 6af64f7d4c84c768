package store

import (
	"cmp"
	"context"
	"io"
)

// Shared is a second place for content that machines share. None of it is trusted: what it gives has the digest
// that was asked for, or is not used.
type Shared interface {
	// Take writes the content of a digest, finishes it, and reports whether it is that.
	Take(ctx context.Context, kind, sha256 string, w *Writer) bool
	// Find returns the digest of what was derived of a key, if the user trusts the place to know it, or "".
	Find(ctx context.Context, kind, key string) string
	// Offer is told of derived content, whether it was there or has been made. It does not wait.
	Offer(m Made, b *Blob)
}

// Made is derived content: what it follows from, and its digest, which is that of the content with its
// description.
type Made struct {
	Kind   string `json:"kind"`
	Key    string `json:"key"`
	SHA256 string `json:"sha256"`
}

// Compare orders by kind and key.
func (m Made) Compare(other Made) int {
	return cmp.Or(cmp.Compare(m.Kind, other.Kind), cmp.Compare(m.Key, other.Key))
}

// Stored reads what the digest is of: derived content has its description behind it.
func (b *Blob) Stored() *io.SectionReader { return io.NewSectionReader(b.content, 0, b.content.size) }

// share gets content from the second place into the folder, or nil. One that cannot be written does without.
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

// pinned is the digest that content must have, or "".
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
