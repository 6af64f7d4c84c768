package store

import "context"

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
