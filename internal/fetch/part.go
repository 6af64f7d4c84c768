package fetch

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// part is a file under way into the cache. It exists until commit or discard.
type part struct {
	*hasher
	f     *os.File
	cache string
}

// staleAfter is how old a part must be to count as the remains of a killed process.
const staleAfter = 24 * time.Hour

// newPart opens an empty part beside the blobs, on the same file system.
func (c cache) newPart(withMD5 bool) (*part, error) {
	dir := filepath.Join(c.dir, blobDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, &CacheError{Dir: c.dir, Err: err}
	}
	f, err := os.CreateTemp(dir, partGlob)
	if err != nil {
		return nil, &CacheError{Dir: c.dir, Err: err}
	}
	p := &part{hasher: newHasher(withMD5), f: f, cache: c.dir}
	// Several users may share a cache, and CreateTemp gives 0600.
	if err := f.Chmod(0o644); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		p.discard()
		return nil, &CacheError{Dir: c.dir, Err: err}
	}
	if st, err := f.Stat(); err == nil {
		sweep(dir, st.ModTime().Add(-staleAfter))
	}
	return p, nil
}

// sweep removes the parts that killed processes have left behind. The limit is given by the
// clock of the file system, which all processes on this cache share.
func sweep(dir string, before time.Time) {
	names, _ := filepath.Glob(filepath.Join(dir, partGlob))
	for _, n := range names {
		if st, err := os.Lstat(n); err == nil && st.Mode().IsRegular() && st.ModTime().Before(before) {
			os.Remove(n) //nolint:errcheck,gosec // left for the next sweep
		}
	}
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

// rename syncs and closes the file and moves it to target.
func (p *part) rename(target string) error {
	if err := p.f.Sync(); err != nil {
		return err
	}
	if err := p.f.Close(); err != nil {
		return err
	}
	if err := os.Rename(p.f.Name(), target); err != nil {
		return err
	}
	syncDir(filepath.Dir(target))
	return nil
}

// discard removes the part; after a commit it does nothing.
func (p *part) discard() {
	p.f.Close() //nolint:errcheck,gosec // the file goes away
	if err := os.Remove(p.f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return // swept up a day later
	}
}

// readHead reads at most [HeadSize] bytes from the start.
func readHead(r io.ReaderAt) ([]byte, error) {
	b := make([]byte, HeadSize)
	n, err := r.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}
