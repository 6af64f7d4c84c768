package store

import "context"

// Shared is a second place for content that machines share. It is not trusted: content is used only if it has the
// requested digest.
type Shared interface {
	// Take writes the content of a digest, finishes it, and reports whether the digest matches.
	Take(ctx context.Context, kind, sha256 string, w *Writer) bool
	// Find returns the digest of the content derived from a key, if the user trusts the place, else "".
	Find(ctx context.Context, kind, key string) string
	// Offer is called with derived content, old or new. It does not wait.
	Offer(m Made, b *Blob)
}

// Made is derived content: its key, and the digest of the content with its description.
type Made struct {
	Kind   string `json:"kind"`
	Key    string `json:"key"`
	SHA256 string `json:"sha256"`
}
