// Package hostfile handles the files of this machine: it reads files that the user names, and checks the places
// of results.
//
// It reads regular files, and in some places pipes, up to a limit: a device, or a pipe without a writer, is an
// error at once. A result may replace a regular file, or a folder that mkbuild made, but nothing that the command
// reads. Start reading at [Reads].
package hostfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"time"

	"mkbuild/internal/fail"
)

// MaxText bounds the small files that people write: configurations, keys, secrets, rules.
const MaxText = 4 << 20

// Open opens a regular file that the user named. It follows links and does not wait for a pipe.
func Open(name string) (*os.File, fs.FileInfo, error) {
	return open(machine, name, fs.FileMode.IsRegular)
}

// OpenIn is [Open] for a file below a folder. It follows no link out of the folder.
func OpenIn(folder *os.Root, name string) (*os.File, fs.FileInfo, error) {
	return open(opener{folder.Stat, folder.OpenFile}, name, fs.FileMode.IsRegular)
}

// opener finds files: all of the machine's, or those of a folder.
type opener struct {
	stat func(name string) (fs.FileInfo, error)
	open func(name string, flag int, perm fs.FileMode) (*os.File, error)
}

var machine = opener{os.Stat, os.OpenFile} //nolint:gochecknoglobals // a constant

// Read returns the content of a regular file of at most limit bytes.
func Read(name string, limit int64) ([]byte, error) {
	f, info, err := Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	if info.Size() > limit {
		return nil, tooLarge(name, limit)
	}
	return whole(f, name, limit)
}

// ReadPiped is [Read] for a file that may be a pipe, such as a shell's <(command). It waits while the pipe is
// open for writing and ctx is not done.
func ReadPiped(ctx context.Context, name string, limit int64) ([]byte, error) {
	f, info, err := open(machine, name, func(m fs.FileMode) bool { return m.IsRegular() || m&fs.ModeNamedPipe != 0 })
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	if info.Size() > limit {
		return nil, tooLarge(name, limit)
	}
	if info.Mode().IsRegular() {
		return whole(f, name, limit)
	}
	stop := context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Unix(1, 0)) }) //nolint:errcheck // pipe looks at ctx, too
	defer stop()
	return whole(&pipe{ctx: ctx, f: f}, name, limit)
}

// open opens a file of an accepted kind.
func open(in opener, name string, wanted func(fs.FileMode) bool) (*os.File, fs.FileInfo, error) {
	if info, err := in.stat(name); err == nil && !wanted(info.Mode()) { // opening some devices has effects
		return nil, nil, refused(name, info.Mode())
	}
	f, err := in.open(name, os.O_RDONLY|noWait, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !wanted(info.Mode()) {
		err = refused(name, info.Mode())
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// whole reads all of r.
func whole(r io.Reader, name string, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case int64(len(b)) > limit:
		return nil, tooLarge(name, limit)
	}
	return b, nil
}

// Interval and number of looks at a pipe without a writer: a shell may be about to open it.
const (
	pipePause = 10 * time.Millisecond
	pipeTries = 100
)

// pipe reads a pipe that was opened without waiting.
type pipe struct {
	ctx     context.Context
	f       *os.File
	written bool
}

func (p *pipe) Read(b []byte) (int, error) {
	for try := 0; ; try++ {
		n, err := p.f.Read(b)
		p.written = p.written || n > 0
		switch {
		case p.ctx.Err() != nil:
			return n, p.ctx.Err()
		case errors.Is(err, syscall.EAGAIN): // no data yet, on systems that cannot wait for it
		case !errors.Is(err, io.EOF) || p.written:
			return n, err
		case try == pipeTries:
			return 0, fail.New(fail.Usage, "the pipe is empty", "name a regular file, or a pipe that a program writes to: <(command)")
		}
		select {
		case <-p.ctx.Done():
		case <-time.After(pipePause):
		}
	}
}

func tooLarge(name string, limit int64) error {
	return fail.New(fail.Usage, fmt.Sprintf("read %s: it is over the limit of %d bytes", name, limit), "check the file name: no such file is so large")
}

// refused is the error of something that is not a regular file.
func refused(name string, m fs.FileMode) error {
	hint := "name a regular file"
	if m.IsDir() {
		hint = "name a file in it"
	}
	return fail.New(fail.Usage, fmt.Sprintf("read %s: it is %s, not a regular file", name, Kind(m)), hint)
}

// Kind returns the words for a mode: "a folder", "a device".
func Kind(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "a regular file"
	case m.IsDir():
		return "a folder"
	case m&fs.ModeSymlink != 0:
		return "a link"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	}
	return "something else"
}

// Foreign names the others, besides the user and root, who can change a file or a folder; "" for nobody, and for a
// missing file.
func Foreign(name string) string {
	info, err := os.Stat(name)
	if err != nil {
		return ""
	}
	return foreign(info)
}

// ReadPrivate is [Read] for a key: only the user and root may read or change it.
func ReadPrivate(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if why := foreign(info); why != "" {
		return nil, fmt.Errorf("read %s: %s", name, why)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("read %s: other users can read it (mode %04o)", name, perm)
	}
	return Read(name, limit)
}
