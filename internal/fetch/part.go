package fetch

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"mkbuild/internal/wholefile"
)

// part is a file under way into the cache. It exists until commit or discard.
type part struct {
	*hasher
	f     *wholefile.File
	cache string
}

// newPart opens an empty part on the file system of the blobs.
func (c cache) newPart(withMD5 bool) (*part, error) {
	f, err := c.newFile()
	if err != nil {
		return nil, &CacheError{Dir: c.dir, Err: err}
	}
	return &part{hasher: newHasher(withMD5), f: f, cache: c.dir}, nil
}

// newFile opens a file under way. The first one of a client sweeps up after killed processes.
func (c cache) newFile() (*wholefile.File, error) {
	dir := filepath.Join(c.dir, tmpDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	// The cache may be new: what follows is not to be swept by others.
	if err := c.session.use(context.Background(), c.dir); err != nil {
		return nil, err
	}
	c.session.tidy(dir)
	return wholefile.CreateIn(dir)
}

// Write appends b to the file and to the digests. Its error is a [*CacheError].
func (p *part) Write(b []byte) (int, error) {
	n, err := p.f.Write(b)
	if err != nil {
		return n, &CacheError{Dir: p.cache, Err: err}
	}
	return p.hasher.Write(b)
}

// reset empties the part for a transfer that starts again.
func (p *part) reset() error {
	if p.size == 0 {
		return nil
	}
	p.hasher = newHasher(p.md != nil)
	if _, err := p.f.Seek(0, io.SeekStart); err != nil {
		return &CacheError{Dir: p.cache, Err: err}
	}
	if err := p.f.Truncate(0); err != nil {
		return &CacheError{Dir: p.cache, Err: err}
	}
	return nil
}

// head returns the first bytes, for [Request.Check].
func (p *part) head() ([]byte, error) {
	b, err := readHead(p.f)
	if err != nil {
		return nil, &CacheError{Dir: p.cache, Err: err}
	}
	return b, nil
}

// discard removes the part; after a commit it does nothing.
func (p *part) discard() { p.f.Abort() }

// readHead reads at most [HeadSize] bytes from the start.
func readHead(r io.ReaderAt) ([]byte, error) {
	b := make([]byte, HeadSize)
	n, err := r.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}
