package fetch

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"syscall"

	"mkbuild/internal/wholefile"
)

// readOnly reports whether a cache cannot be written because nobody may: then it still serves what
// it has, and a build that needs no more goes through.
func readOnly(err error) bool {
	return isA[*CacheError](err) && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS))
}

// deriveAside makes a derived thing outside of the cache, where the system allows: else why stays the
// error. It lives as long as the Client.
func (c *Client) deriveAside(ctx context.Context, kind string, write func(io.Writer) error, why error) (*Blob, error) {
	f, err := wholefile.NewTempIn("")
	if err != nil {
		return nil, errors.Join(why, err)
	}
	if again, err := f.Reopen(); err != nil || again.Close() != nil {
		return nil, errors.Join(why, f.Close())
	}
	h := newHasher(false)
	if err := write(interruptible{ctx, io.MultiWriter(f, h)}); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	c.session.keep(f)
	d := h.sum()
	return &Blob{SHA256: d.sha256, Size: d.size, Source: -1, name: kind, file: f}, nil
}
