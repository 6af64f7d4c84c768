package fetch

import (
	"context"
	"crypto/md5" //nolint:gosec // upstream publishes nothing else
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"time"

	"mkbuild/internal/store"
	"mkbuild/internal/ui"
)

// incoming is a file on its way from a source into the store.
type incoming struct {
	job   *job
	shown string // the source
	out   *store.Writer
	md5   hash.Hash
	head  []byte // for Request.Check
	total int64  // -1 if not known
	next  int64  // where to report progress again
}

// receive begins a file. The caller defers out.Abort.
func (j *job) receive(ctx context.Context, s source) (*incoming, error) {
	out, err := j.client.Store.Create(ctx)
	if err != nil {
		return nil, err
	}
	in := &incoming{job: j, shown: s.shown, out: out}
	return in, in.restart(-1)
}

// restart drops what has come; total bytes are expected now.
func (in *incoming) restart(total int64) error {
	in.md5, in.head = md5.New(), nil //nolint:gosec // see the import
	in.total = total
	in.next = in.step()
	if total > in.job.MaxSize {
		return tooLarge(in.job.Name, in.shown, in.job.MaxSize)
	}
	return in.out.Reset()
}

// step is the distance between reports of progress: a percent, but at least 256 KiB.
func (in *incoming) step() int64 { return max(in.total/100, 256<<10) }

// Write takes in b. It keeps the size limit and reports progress.
func (in *incoming) Write(b []byte) (int, error) {
	if in.out.Size()+int64(len(b)) > in.job.MaxSize {
		return 0, tooLarge(in.job.Name, in.shown, in.job.MaxSize)
	}
	n, err := in.out.Write(b)
	if err != nil {
		return n, err
	}
	in.head = append(in.head, b[:min(n, HeadSize-len(in.head))]...)
	if in.job.MD5 != "" {
		in.md5.Write(b)
	}
	if done := in.out.Size(); done >= in.next && done != in.total { // the end is reported once the content is checked
		in.next = done + in.step()
		in.job.client.event(ui.Event{Level: ui.Progress, Item: in.job.Name, Done: done, Total: max(in.total, 0)})
	}
	return n, nil
}

// keep checks a complete file and makes it the content of source i.
func (in *incoming) keep(ctx context.Context, i int, r record) (*Blob, error) {
	j := in.job
	r.sha256 = in.out.SHA256()
	if err := j.check(j.sources[i].shown, r.sha256, in.md5, in.head); err != nil {
		return nil, err
	}
	// Index files are soon fetched again, should a power cut take them.
	content, err := in.out.Commit(!j.Fresh && !j.Optional)
	if err != nil {
		return nil, err
	}
	if err := j.record(ctx, j.sources[i], r); err != nil {
		return nil, err
	}
	b := j.blob(content, i, &r)
	b.Cached = false
	return b, nil
}

// racy is how much older than its copy a file must be for its modification time to prove that
// it has not changed since: the coarsest clock in use is FAT's, with two seconds.
const racy = 2 * time.Second

// unchanged reports whether r still describes the file of a local source.
func unchanged(s source, r *record) bool {
	if r == nil || r.MTime == 0 {
		return false
	}
	st, err := os.Stat(s.path)
	return err == nil && st.Size() == r.Size && st.ModTime().UnixNano() == r.MTime
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// fromFile copies a file of this machine into the store. Copying, rather than using it in place,
// is what lets a build read it twice and see the same bytes.
func (j *job) fromFile(ctx context.Context, i int) (*Blob, error) {
	s := j.sources[i]
	if r := j.recorded(s); unchanged(s, r) {
		if b := j.stored(ctx, i, r); b != nil {
			return b, nil
		}
	}
	f, st, err := openLocal(s.path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	r := record{Size: st.Size()}
	if time.Since(st.ModTime()) > racy {
		r.MTime = st.ModTime().UnixNano()
	}
	in, err := j.receive(ctx, s)
	if err != nil {
		return nil, err
	}
	defer in.out.Abort()
	if err := in.restart(st.Size()); err != nil {
		return nil, err
	}
	if _, err := io.Copy(in, f); err != nil {
		return nil, err
	}
	if size := in.out.Size(); size != st.Size() {
		return nil, fmt.Errorf("it changed while it was read: %d bytes became %d", st.Size(), size)
	}
	return in.keep(ctx, i, r)
}

// openLocal opens a plain file; a directory or a pipe in its place is an error.
func openLocal(name string) (*os.File, fs.FileInfo, error) {
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
