package overlay

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// FromHost reads a file of the user, or the content of a folder, as entries at target: an absolute path in the
// image. If target ends in a slash, a file keeps its name below it. Permission bits are kept and owners are the
// given ones. Times are dropped, so that a fresh checkout of the same files gives the same image. Sockets, pipes
// and devices are refused.
func FromHost(source, target string, uid, gid uint32) (*Tree, error) {
	info, err := os.Stat(source)
	if err != nil {
		return nil, fmt.Errorf("read overlay %s: %w", source, err)
	}
	base, err := CleanPath(target)
	if err != nil {
		return nil, fmt.Errorf("place overlay %s: %w", source, err)
	}
	t := &Tree{}
	if !info.IsDir() {
		if strings.HasSuffix(target, "/") {
			base = path.Join(base, filepath.Base(source))
		}
		return t, putHost(t, source, base, info, uid, gid)
	}
	root, err := filepath.EvalSymlinks(source) // WalkDir does not follow a link to a folder
	if err != nil {
		return nil, fmt.Errorf("read overlay %s: %w", source, err)
	}
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return putHost(t, p, path.Join(base, filepath.ToSlash(rel)), info, uid, gid)
	})
	if err != nil {
		return nil, fmt.Errorf("read overlay %s: %w", source, err)
	}
	return t, nil
}

func putHost(t *Tree, file, name string, info fs.FileInfo, uid, gid uint32) error {
	e := Entry{Path: name, UID: uid, GID: gid, Mode: unixPerm(info.Mode()), Origin: file}
	switch {
	case info.IsDir():
		e.Mode |= TypeDir
	case info.Mode()&fs.ModeSymlink != 0:
		link, err := os.Readlink(file)
		if err != nil {
			return err
		}
		e.Mode, e.Link = TypeLink|0o777, filepath.ToSlash(link)
	case info.Mode().IsRegular():
		e.Mode |= TypeRegular
		e.Size = info.Size()
		e.Open = func() (io.ReadCloser, error) { return os.Open(file) }
	default:
		return fmt.Errorf("%s is neither a file, a folder nor a symlink", file)
	}
	return t.Put(e)
}

// unixPerm turns Go's mode into the twelve permission bits.
func unixPerm(m fs.FileMode) uint32 {
	p := uint32(m.Perm())
	if m&fs.ModeSetuid != 0 {
		p |= 0o4000
	}
	if m&fs.ModeSetgid != 0 {
		p |= 0o2000
	}
	if m&fs.ModeSticky != 0 {
		p |= 0o1000
	}
	return p
}
