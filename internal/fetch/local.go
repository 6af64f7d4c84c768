package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// racy is how much older than its copy a file must be for its modification time to prove that
// it has not changed since: the coarsest clock in use is FAT's, with two seconds.
const racy = 2 * time.Second

// unchanged reports whether e still describes the file of a local source.
func unchanged(s source, e *entry) bool {
	if e == nil || e.MTime == 0 {
		return false
	}
	st, err := os.Stat(s.path)
	return err == nil && st.Size() == e.Size && st.ModTime().UnixNano() == e.MTime
}

// fromFile copies a file of this machine into the cache. Copying, rather than using it in place,
// is what lets a build read it twice and see the same bytes.
func (j *job) fromFile(ctx context.Context, i int) (*Blob, error) {
	s := j.sources[i]
	if e := j.cache.entry(s); unchanged(s, e) {
		if d, ok := j.cached(e); ok {
			return j.blob(d, i, e), nil
		}
	}
	f, st, err := openRegular(s.path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	if st.Size() > j.MaxSize {
		return nil, &SizeError{Name: j.Name, URL: s.shown, Limit: j.MaxSize}
	}
	p, err := j.cache.newPart(j.needsMD5())
	if err != nil {
		return nil, err
	}
	defer p.discard()
	in := intake{job: j, part: p, shown: s.shown, meter: j.meter(st.Size())}
	if err := in.copy(ctx, f); err != nil {
		return nil, err
	}
	if p.size != st.Size() {
		return nil, fmt.Errorf("it changed while it was read: %d bytes became %d", st.Size(), p.size)
	}
	return j.keep(p, i, entry{MTime: stamp(p, st)})
}

// openRegular opens a plain file; a directory or a pipe in its place is an error.
func openRegular(name string) (*os.File, fs.FileInfo, error) {
	st, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%w: no such file", ErrNotFound)
	}
	if err != nil {
		return nil, nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, nil, errors.New("it is not a regular file")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	if st, err = f.Stat(); err != nil {
		f.Close() //nolint:errcheck,gosec // only read
		return nil, nil, err
	}
	return f, st, nil
}

// stamp returns the modification time to remember, or 0 if a change right after the copy could
// bear the same one.
func stamp(p *part, st fs.FileInfo) int64 {
	now, err := p.f.Stat()
	if err != nil || st.ModTime().After(now.ModTime().Add(-racy)) {
		return 0
	}
	return st.ModTime().UnixNano()
}

// intake moves a body into a part: it keeps the size limit, reports progress and keeps errors of
// the source apart from errors of the cache.
type intake struct {
	*job
	part  *part
	shown string
	meter *meter
}

// copyBuffer is large enough that hashing, not system calls, sets the pace.
const copyBuffer = 64 << 10

// copy reads r to its end, or until ctx is done.
func (in *intake) copy(ctx context.Context, r io.Reader) error {
	buf := make([]byte, copyBuffer)
	for {
		n, err := r.Read(buf)
		if in.part.size+int64(n) > in.MaxSize {
			return &SizeError{Name: in.Name, URL: in.shown, Limit: in.MaxSize}
		}
		if _, werr := in.part.Write(buf[:n]); werr != nil {
			return werr
		}
		in.meter.at(in.part.size)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}
