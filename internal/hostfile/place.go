package hostfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/wholefile"
)

// Place is the output of a command.
type Place struct {
	// Name is the path that the user gave.
	Name string
	// Flag names another place: "-o FILE".
	Flag string

	form form
	own  func(fs.FS) error
}

// form is the kind of output.
type form int

const (
	file   form = iota
	folder      // replaced as a whole
	tree        // files are put below it
)

// File is a file for [wholefile.Write].
func File(name, flag string) Place { return Place{name, flag, file, nil} }

// Folder is a folder for [wholefile.Folder]. An existing one is replaced only if own returns no error for its
// files.
func Folder(name, flag string, own func(fs.FS) error) Place { return Place{name, flag, folder, own} }

// Tree is a folder for files, made if missing. For an existing one own must return no error; own may be nil.
func Tree(name, flag string, own func(fs.FS) error) Place { return Place{name, flag, tree, own} }

// MakeTree makes the folder of a [Tree], even through a link.
func MakeTree(name string) error {
	target, err := wholefile.Target(filepath.Clean(name))
	if err != nil {
		return err
	}
	return os.MkdirAll(target, 0o777) //nolint:gosec // the umask decides
}

// located is a place on this machine.
type located struct {
	Place
	path string      // without links
	info fs.FileInfo // nil if nothing is there
}

func (p *Place) refuse(what string) error {
	return fail.New(fail.Usage, "write "+p.Name+": "+what, "choose another place with "+p.Flag)
}

// locate follows the place's name and refuses anything that a result may not replace.
func (p Place) locate() (*located, error) {
	if p.Name == "" {
		return nil, fail.New(fail.Usage, "write the output: no file name", "name it with "+p.Flag)
	}
	if p.form == file && os.IsPathSeparator(p.Name[len(p.Name)-1]) {
		return nil, p.isFolder("it is the name of a folder")
	}
	target, err := wholefile.Target(filepath.Clean(p.Name))
	if err != nil {
		return nil, fail.Wrap(fail.Usage, fmt.Errorf("write %s: %w", p.Name, err), "choose another place with "+p.Flag)
	}
	l := &located{Place: p, path: resolved(target)}
	if l.info, err = os.Stat(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fail.Wrap(fail.Usage, fmt.Errorf("write %s: %w", p.Name, err), "choose another place with "+p.Flag)
	}
	if err != nil {
		l.info = nil
	}
	return l, l.check()
}

func (p *Place) isFolder(what string) error {
	return fail.New(fail.Usage, "write "+p.Name+": "+what, "name a file: "+strings.Fields(p.Flag)[0]+" "+filepath.Join(p.Name, "FILE"))
}

// check refuses an existing file or folder that must stay.
func (l *located) check() error {
	switch {
	case l.info == nil:
		return nil
	case l.form == file && l.info.IsDir():
		return l.isFolder("it is a folder")
	case l.form == file && !l.info.Mode().IsRegular():
		return l.refuse("it is " + Kind(l.info.Mode()) + ", not a regular file")
	case l.form != file && !l.info.IsDir():
		return l.refuse("it is " + Kind(l.info.Mode()) + ", and not a folder")
	case l.form == folder:
		return l.replaceable()
	case l.form == tree:
		return l.looked()
	}
	return nil
}

// looked asks own about an existing folder.
func (l *located) looked() error {
	if l.own == nil {
		return nil
	}
	if err := Look(l.path, l.own); err != nil {
		return fmt.Errorf("write %s: %w", l.Name, err)
	}
	return nil
}

// replaceable refuses a folder that cannot be replaced as a whole, or holds files to keep.
func (l *located) replaceable() error {
	if cwd, err := os.Getwd(); err == nil && within(cwd, l.info) {
		return fail.New(fail.Usage, "write "+l.Name+": it is the current folder, which would be replaced", "change to another folder first, or choose another one with "+l.Flag)
	}
	if around, err := os.Stat(filepath.Dir(l.path)); err == nil && mounted(l.info, around) {
		return fail.New(fail.Usage, "write "+l.Name+": it is a mount point, which cannot be replaced", "name a folder in it: "+strings.Fields(l.Flag)[0]+" "+filepath.Join(l.Name, "microkernel"))
	}
	return l.looked()
}

// probe refuses a place that cannot be written, before hours of work.
func (l *located) probe() error {
	dir := filepath.Dir(l.path)
	if l.form == tree {
		for dir = l.path; !exists(dir) && filepath.Dir(dir) != dir; {
			dir = filepath.Dir(dir)
		}
	}
	t, err := wholefile.NewTempIn(dir)
	if err != nil {
		return fail.Wrap(fail.Usage, fmt.Errorf("write %s: %w", l.Name, cause(err)), "choose a writable place with "+l.Flag)
	}
	return t.Close()
}

// cause drops the names of temporary files from an error.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// Look calls look with the folder name. It repeats the call if that fails because another process replaces the
// folder. A missing folder counts as empty.
func Look(name string, look func(fs.FS) error) error {
	for range maxLooks {
		if info, err := os.Stat(name); err == nil && !info.IsDir() {
			return fail.New(fail.Usage, "it is "+Kind(info.Mode())+", and not a folder", "name another folder")
		}
		root, err := os.OpenRoot(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		err = look(root.FS())
		same := err == nil || isStill(name, root)
		root.Close() //nolint:errcheck,gosec // only read
		if same {
			return err
		}
	}
	return fmt.Errorf("read %s: it changes all the time", name)
}

// maxLooks bounds how often [Look] starts again.
const maxLooks = 1000

// isStill reports whether root still has the name.
func isStill(name string, root *os.Root) bool {
	now, err1 := os.Stat(name)
	then, err2 := root.Stat(".")
	return err1 == nil && err2 == nil && os.SameFile(now, then)
}

// resolved is the path of name without links and dots; name may be missing.
func resolved(name string) string {
	abs, err := filepath.Abs(name)
	if err != nil {
		return name
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real
	}
	if dir := filepath.Dir(abs); dir != abs {
		return filepath.Join(resolved(dir), filepath.Base(abs))
	}
	return abs
}

// within reports whether path is the folder of info, or lies in it.
func within(path string, info fs.FileInfo) bool {
	for {
		if st, err := os.Stat(path); err == nil && os.SameFile(st, info) {
			return true
		}
		parent := filepath.Dir(path)
		if parent == path {
			return false
		}
		path = parent
	}
}
