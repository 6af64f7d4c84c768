package extension

import (
	"archive/zip"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"mkbuild/internal/fail"
)

// Read lists the directory or archive name; release closes the archive.
func Read(name string, lim Limits) (src *Source, release func(), err error) {
	info, err := stat(name)
	if err != nil {
		return nil, nil, err
	}
	if info.IsDir() {
		src, err = ReadDir(name, lim)
		return src, func() {}, err
	}
	f, err := openZip(name, info)
	if err != nil {
		return nil, nil, err
	}
	src, err = ReadZip(name, f, info.Size(), lim)
	if err != nil {
		f.Close() //nolint:errcheck,gosec // only read
		return nil, nil, Named(fmt.Errorf("read %s: %w", name, err), "make it with `mkbuild extension pack DIR`")
	}
	return src, func() { f.Close() }, nil //nolint:errcheck,gosec // only read
}

func stat(name string) (fs.FileInfo, error) {
	info, err := os.Stat(name)
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, Named(fmt.Errorf("read %s: %w", name, at.Err), "name a directory or a zip file")
	}
	return info, err
}

// openZip opens a regular file: opening a FIFO would wait for a writer.
func openZip(name string, info fs.FileInfo) (*os.File, error) {
	if !info.Mode().IsRegular() {
		return nil, fail.New(fail.Usage, "read "+name+": it is not a file", "name a directory or a zip file")
	}
	return os.Open(name) //nolint:gosec // the user's own choice
}

// Named turns a fault of an input that the user named into a usage error. Errors with another cause stay; so does
// an error's own hint.
func Named(err error, hint string) error {
	if fail.ClassOf(err) == fail.Usage || errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return fail.Wrap(fail.Usage, err, cmp.Or(fail.HintOf(err), hint))
	}
	return err
}

// ReadDir lists the directory dir. It fails only if dir is unreadable or holds more than lim.Count entries;
// everything else that the client would refuse is in Refused. [Skipped] names are left out.
func ReadDir(dir string, lim Limits) (*Source, error) {
	s, _, err := readDir(dir, lim)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	return s, nil
}

// readDir also returns the time of the newest entry. Directories count: a removed file changes only its
// directory's time.
func readDir(dir string, lim Limits) (s *Source, newest time.Time, err error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, newest, err
	}
	if info, err := os.Stat(real); err == nil && !info.IsDir() {
		return nil, newest, syscall.ENOTDIR
	}
	s = &Source{Name: dir, Limits: lim}
	err = filepath.WalkDir(real, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		switch {
		case err != nil:
			return err
		case p == real:
		case Skipped(d.Name()) && d.IsDir():
			return fs.SkipDir
		case Skipped(d.Name()):
			return nil
		case len(s.Files) >= lim.Count:
			return tooBig("", "number of files", int64(lim.Count))
		default:
			err = s.addHostFile(real, p, info)
		}
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
		return err
	})
	if err != nil {
		return nil, newest, err
	}
	s.checkTotal()
	s.finish()
	return s, newest, nil
}

// addHostFile adds one file of the host. Its mode does not depend on the author's umask: 0755 if its owner may
// execute it, else 0644.
func (s *Source) addHostFile(root, p string, info fs.FileInfo) error {
	name, err := filepath.Rel(root, p)
	if err != nil {
		return err
	}
	f := File{Path: filepath.ToSlash(name), Raw: info.Mode(), Mode: info.Mode()}
	kind, reason := Name, badName(f.Path, s.Limits.Depth)
	switch {
	case info.IsDir():
		f.Mode = fs.ModeDir | 0o755
	case f.IsLink():
		f.Mode = fs.ModeSymlink | 0o777
		if f.Link, err = os.Readlink(p); err != nil {
			return err
		}
		f.Link = filepath.ToSlash(f.Link)
	case info.Mode().IsRegular():
		f.Mode, f.Size = 0o644, info.Size()
		f.open = func() (io.ReadCloser, error) { return os.Open(p) } //nolint:gosec // the author's own file
		if executableHere(&f, runtime.GOOS) {
			f.Mode = 0o755
		}
	default:
		kind, reason = Special, "special file"
	}
	if f.Size > s.Limits.File {
		s.judge(tooBig(f.Path, "size", s.Limits.File))
	}
	if reason != "" {
		s.refuse(&f, kind, reason)
	}
	s.Files = append(s.Files, f)
	return nil
}

// executableHere reports whether a file of the host counts as executable. Windows has no such bit: there, scripts
// and ELF files count.
func executableHere(f *File, goos string) bool {
	if goos != "windows" {
		return f.Raw&0o100 != 0
	}
	r, err := f.open()
	if err != nil {
		return false
	}
	defer r.Close() //nolint:errcheck // only read
	head := make([]byte, 4)
	n, _ := io.ReadFull(r, head)
	return bytes.HasPrefix(head[:n], []byte("#!")) || string(head[:n]) == "\x7fELF"
}

const (
	directoryEntry = 1024      // generous share of one member in the archive's directory
	directoryBase  = 256 << 10 // end record, with the longest comment, searched twice
)

// creatorUnix and creatorDarwin are the systems in a member's "version made by" whose external
// attributes hold a Unix mode (APPNOTE.TXT 4.4.2.2).
const (
	creatorUnix   = 3
	creatorDarwin = 19
)

// ReadZip lists the archive r of size bytes. It fails only if its directory cannot be read within lim; everything
// else that the client would refuse is in Refused. Members' bytes are not read yet, except targets of symlinks.
func ReadZip(name string, r io.ReaderAt, size int64, lim Limits) (*Source, error) {
	members, err := readDirectory(r, size, lim)
	if err != nil {
		return nil, err
	}
	s := &Source{Name: name, IsZip: true, Size: size, NoModes: len(members) > 0, Limits: lim}
	s.Files = make([]File, 0, len(members))
	for _, m := range members {
		if by := m.CreatorVersion >> 8; by == creatorUnix || by == creatorDarwin {
			s.NoModes = false
		}
		s.addMember(m)
	}
	s.checkTotal()
	s.checkOverlap()
	s.checkNames()
	s.readLinks()
	s.finish()
	return s, nil
}

// readDirectory lists an archive's members without judging them.
func readDirectory(r io.ReaderAt, size int64, lim Limits) ([]*zip.File, error) {
	if size > lim.Compressed {
		return nil, tooBig("", "archive size", lim.Compressed)
	}
	br := &budgetReader{r: r, left: int64(lim.Count)*directoryEntry + directoryBase}
	zr, err := zip.NewReader(br, size)
	if br.spent {
		return nil, tooBig("", "directory of an archive with members", int64(lim.Count))
	}
	if errors.Is(err, zip.ErrFormat) {
		return nil, &Error{Kind: NotZip, Reason: notZip}
	}
	if err != nil {
		return nil, &Error{Kind: NotZip, Reason: notZip, Err: err}
	}
	br.left = math.MaxInt64
	if len(zr.File) > lim.Count {
		return nil, tooBig("", "members", int64(lim.Count))
	}
	return zr.File, nil
}

// budgetReader bounds the bytes that archive/zip reads, and so allocates, for the archive's directory: it would
// read any number of entries, whatever the end record claims.
type budgetReader struct {
	r     io.ReaderAt
	left  int64
	spent bool
}

// ReadAt implements [io.ReaderAt].
func (b *budgetReader) ReadAt(p []byte, off int64) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		b.spent = true
		return 0, io.ErrUnexpectedEOF
	}
	return b.r.ReadAt(p, off)
}

// addMember applies the rules about a single member.
func (s *Source) addMember(m *zip.File) {
	name, isDir := strings.CutSuffix(m.Name, "/")
	f := File{
		Path: name, Raw: m.Mode(), Mode: m.Mode().Type() | m.Mode()&maskMode,
		Size: clamp(m.UncompressedSize64), open: m.Open, member: m,
	}
	if reason := badName(name, s.Limits.Depth); reason != "" {
		s.refuse(&f, Name, reason)
	} else if kind, reason := badMember(m, isDir); reason != "" {
		s.refuse(&f, kind, reason)
	} else {
		f.Mode = memberMode(m, isDir)
		if kind, reason := badSize(m, f.Mode, s.Limits); reason != "" {
			s.refuse(&f, kind, reason)
		}
	}
	s.Files = append(s.Files, f)
}

// clamp keeps a size from an archive positive, and the sum of all sizes.
func clamp(n uint64) int64 { return int64(min(n, math.MaxInt64>>16)) } //nolint:gosec // bounded

// memberMode returns type and permissions. A zip made on MS-DOS has no Unix modes: its files become 0644, not
// executable.
func memberMode(m *zip.File, isDir bool) fs.FileMode {
	switch {
	case isDir:
		return fs.ModeDir | maskMode
	case m.Mode()&fs.ModeSymlink != 0:
		return fs.ModeSymlink | 0o777
	}
	return m.Mode()&maskMode | 0o600
}
