package extension

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// File is one entry of an extension as its author has it: in a directory before packing, or in
// an archive before unpacking.
type File struct {
	Path    string      // slash-separated, without a trailing slash; unsafe when Refused says so
	Mode    fs.FileMode // type bits and the mode that it gets on a microkernel
	Raw     fs.FileMode // type bits and the mode that the directory or the archive has
	Size    int64       // unpacked bytes
	Packed  int64       // bytes in the archive; 0 in a directory
	Link    string      // target of a symlink
	Refused string      // why the client refuses it and with it the whole archive; "" if it does not
	open    func() (io.ReadCloser, error)
}

// IsDir reports whether f is a directory.
func (f *File) IsDir() bool { return f.Mode.IsDir() }

// IsRegular reports whether f is a regular file that the client takes.
func (f *File) IsRegular() bool { return f.Mode.IsRegular() && f.Refused == "" }

// Executable reports whether f can be run on a microkernel.
func (f *File) Executable() bool { return f.IsRegular() && f.Mode&0o111 != 0 }

// copyTo copies a regular file's content, which must be as long as promised.
func (f *File) copyTo(ctx context.Context, w io.Writer) error {
	r, err := f.open()
	if err != nil {
		return fmt.Errorf("read %q: %w", f.Path, err)
	}
	defer r.Close() //nolint:errcheck // only read
	n, err := io.Copy(w, io.LimitReader(&ctxReader{ctx, r}, f.Size+1))
	switch {
	case errors.Is(err, zip.ErrChecksum), err == nil && n != f.Size:
		return &ChecksumError{Member: f.Path}
	case err != nil:
		return fmt.Errorf("read %q: %w", f.Path, err)
	}
	return nil
}

// Refusal is one reason why the client would refuse an archive.
type Refusal struct {
	File string // "" when the archive as a whole is meant
	Err  error
}

// Source is an extension with everything that is wrong with it, so that all of it can be shown
// at once. The client itself stops at the first error and uses [Open].
type Source struct {
	Name    string
	Files   []File // sorted by path
	Size    int64  // bytes of the archive; 0 for a directory
	IsZip   bool
	NoModes bool // no member of the archive has a Unix mode
	Refused []Refusal
	Skipped []string // entries of a directory that are left out: [Skipped] names
	lim     Limits
}

// Skipped reports whether packing leaves out entries of that name: the traces of version
// control and file managers.
func Skipped(name string) bool {
	return slices.Contains([]string{".git", ".hg", ".svn", ".DS_Store", "__MACOSX", "Thumbs.db"}, name)
}

// total is the sum of all files' unpacked bytes.
func (s *Source) total() (n int64) {
	for i := range s.Files {
		n += s.Files[i].Size
	}
	return n
}

func (s *Source) refuse(file string, err error) {
	if err != nil {
		s.Refused = append(s.Refused, Refusal{file, err})
	}
}

// sort orders the files by path and the refusals by file.
func (s *Source) sort() {
	slices.SortStableFunc(s.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	slices.SortStableFunc(s.Refused, func(a, b Refusal) int { return strings.Compare(a.File, b.File) })
}

// ReadDir lists the directory dir. It is an error only when dir cannot be read or holds more
// than lim.Count entries; everything else that the client would refuse is in Refused.
func ReadDir(dir string, lim Limits) (*Source, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	if info, err := os.Stat(real); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("read %s: %w", dir, syscall.ENOTDIR)
	}
	s := &Source{Name: dir, lim: lim}
	err = filepath.WalkDir(real, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == real {
			return err
		}
		rel, err := filepath.Rel(real, p)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if Skipped(d.Name()) {
			s.Skipped = append(s.Skipped, name)
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if len(s.Files) >= lim.Count {
			return &LimitError{What: "number of files", Limit: int64(lim.Count)}
		}
		return s.addHostFile(p, name, d, lim)
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	s.checkHost(lim)
	return s, nil
}

// addHostFile takes one file of the host in. Its mode is made independent of the author's
// umask: what its owner may execute becomes 0755, all else 0644.
func (s *Source) addHostFile(p, name string, d fs.DirEntry, lim Limits) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	f := File{Path: name, Raw: info.Mode(), Refused: badName(name, lim.Depth)}
	switch {
	case info.IsDir():
		f.Mode = fs.ModeDir | 0o755
	case info.Mode()&fs.ModeSymlink != 0:
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
		f.Mode, f.Refused = info.Mode(), "special file"
	}
	if f.Size > lim.File {
		s.refuse(name, &LimitError{Member: name, What: "size", Limit: lim.File})
	}
	if f.Refused != "" {
		s.refuse(name, &UnsafeError{Member: name, Reason: f.Refused})
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
	return bytes.HasPrefix(head[:n], []byte("#!")) || string(head[:n]) == elfMagic
}

// checkHost applies the rules that concern a directory's files together, with the client's own
// code.
func (s *Source) checkHost(lim Limits) {
	if s.total() > lim.Total {
		s.refuse("", &LimitError{What: "total size", Limit: lim.Total})
	}
	var members []Member
	for i := range s.Files {
		f := &s.Files[i]
		if f.Refused == "" {
			members = append(members, Member{Path: f.Path, Mode: f.Mode, Size: f.Size, Link: f.Link,
				file: &zip.File{FileHeader: zip.FileHeader{Name: f.Path}}})
		}
	}
	s.checkLinks(members)
	s.refuse("", checkWrapped(members))
	s.sort()
}

// checkLinks judges each symlink by itself, so that all bad ones are found.
func (s *Source) checkLinks(members []Member) {
	links := map[string]string{}
	for i := range members {
		if members[i].IsLink() {
			links[members[i].Path] = members[i].Link
		}
	}
	for i := range s.Files {
		f := &s.Files[i]
		if _, ok := links[f.Path]; !ok || f.Refused != "" {
			continue
		}
		reason := badLink(f.Path, links)
		if f.Link == "" || len(f.Link) > maxLink {
			reason = "symlink target is empty or too long"
		}
		if reason != "" {
			f.Refused = reason
			s.refuse(f.Path, &UnsafeError{Member: f.Path, Reason: reason})
		}
	}
}

// top returns the first part of a path.
func top(p string) string {
	first, _, _ := strings.Cut(p, "/")
	return first
}

// in reports whether p lies directly in dir.
func in(p, dir string) bool { return path.Dir(p) == dir }
