package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"mkbuild/internal/hostfile"
	"mkbuild/internal/store"
	"mkbuild/internal/ui"
)

// incoming is a file on its way from a source into the store.
type incoming struct {
	job   *job
	src   source
	out   *store.Writer
	total int64 // -1 if not known
	next  int64 // where to report progress again
	// digest is the hex SHA-256 that the source announces; "" for none.
	digest string
}

// receive begins a file. The caller defers out.Abort.
func (j *job) receive(ctx context.Context, s source) (*incoming, error) {
	out, err := j.client.Store.Create(ctx)
	return &incoming{job: j, src: s, out: out, total: -1}, err
}

// restart drops the received bytes; total bytes are expected now.
func (in *incoming) restart(total int64) error {
	in.total, in.next = total, 0
	if total > in.job.MaxSize {
		return in.tooLarge()
	}
	return in.out.Reset()
}

func (in *incoming) tooLarge() error {
	return fmt.Errorf("fetch %s: %s is %w of %d bytes", in.job.Name, in.src.shown, ErrTooLarge, in.job.MaxSize)
}

// reportStep is the minimum distance between reports of progress, in bytes; otherwise one percent.
const reportStep = 256 << 10

// Write takes in b. It keeps the size limit and reports progress.
func (in *incoming) Write(b []byte) (int, error) {
	if in.out.Size()+int64(len(b)) > in.job.MaxSize {
		return 0, in.tooLarge()
	}
	n, err := in.out.Write(b)
	step := max(in.total/100, reportStep)
	if done := in.out.Size(); done >= in.next+step && done != in.total { // the end is reported once the content is checked
		in.next = done
		in.job.client.event(ui.Event{Level: ui.Progress, Item: in.job.Name, Done: done, Total: max(in.total, 0)})
	}
	return n, err
}

// keep checks a complete file and records it as the content of its source.
func (in *incoming) keep(ctx context.Context, r record) (*Blob, error) {
	j, sum := in.job, in.job.md5()
	sha256, text, err := in.out.Finish(sum)
	if err == nil {
		err = j.check(in.src, sha256, sum, text)
	}
	if err == nil && in.digest != "" && in.digest != sha256 {
		err = &ChecksumError{Name: j.Name, URL: in.src.shown, Algorithm: "sha256", Want: in.digest, Got: sha256}
	}
	if err != nil {
		return nil, err
	}
	// Index files are soon fetched again if a power cut loses them.
	b, err := in.out.Commit(!j.Fresh && !j.Optional)
	if err != nil {
		return nil, err
	}
	r.sha256, r.MD5 = sha256, j.MD5
	return &Blob{Blob: b, URL: in.src.shown, Source: in.src.index, plain: j.plain(in.src, &r)}, j.record(ctx, in.src, r)
}

// racy is how much older than its copy a file must be, so that its modification time proves that it is unchanged:
// the coarsest clock in use is FAT's, with two seconds.
const racy = 2 * time.Second

// unchanged reports whether r still describes the file of a local source.
func unchanged(s source, r *record) bool {
	if r == nil || r.MTime == 0 {
		return false
	}
	st, err := os.Stat(s.path)
	return err == nil && st.Size() == r.Size && st.ModTime().UnixNano() == r.MTime
}

// fromFile copies a file of this machine into the store, so that a build reads the same bytes twice.
func (j *job) fromFile(ctx context.Context, s source) (*Blob, error) {
	f, st, err := hostfile.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: no such file", ErrNotFound)
	}
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
	return in.keep(ctx, r)
}
