package extension

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// ReadDir lists the directory dir. It is an error only if dir cannot be read or holds more than
// lim.Count entries; everything else that the client would refuse is in Refused. What [Skipped] names
// is left out.
func ReadDir(dir string, lim Limits) (*Source, error) {
	s, _, err := readDir(dir, lim)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	return s, nil
}

// readDir returns the time of the newest entry, too. Directories count: a file that was removed
// changes nothing else.
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

// addHostFile takes one file of the host in. Its mode is made independent of the author's
// umask: what its owner may execute becomes 0755, everything else 0644.
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

// executableHere reports whether a file of the host counts as executable. Windows keeps no such
// bit: there a script or an ELF file is meant to be run.
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
