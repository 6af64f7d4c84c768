package medium

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/ipxe"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/manifest"
	"mkbuild/internal/overlay"
)

// Open reads an ISO, a PXE folder or an initrd. The caller closes it.
func Open(name string) (*Medium, error) {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return OpenFolder(name)
	}
	return openFile(name, func(f *os.File, size int64) (*Medium, error) {
		if isISO(f) {
			return ReadISO(f, size, name)
		}
		return initrdAlone(f, size, name)
	})
}

// OpenISO reads an ISO. The caller closes it.
func OpenISO(name string) (*Medium, error) {
	return openFile(name, func(f *os.File, size int64) (*Medium, error) { return ReadISO(f, size, name) })
}

func openFile(name string, read func(*os.File, int64) (*Medium, error)) (*Medium, error) {
	f, info, err := OpenFile(name)
	if err != nil {
		return nil, err
	}
	m, err := read(f, info.Size())
	if err != nil {
		f.Close() //nolint:errcheck,gosec // only read
		return nil, err
	}
	m.file = f
	return m, nil
}

// OpenFile opens an image file that the user names.
func OpenFile(name string) (*os.File, fs.FileInfo, error) {
	f, info, err := hostfile.Open(name)
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		hint := "check the name, or make an image with mkbuild iso"
		if errors.Is(err, fs.ErrPermission) {
			hint = "`ls -ld " + name + "` shows who may read it"
		}
		err = &fail.Error{Class: fail.Usage, What: "read " + name, Hint: hint, Err: at.Err} // the message has the name already
	}
	return f, info, err
}

// isISO looks for the primary volume descriptor (ECMA-119 8.4).
func isISO(r io.ReaderAt) bool {
	var b [5]byte
	_, err := r.ReadAt(b[:], 0x8001)
	return err == nil && string(b[:]) == "CD001"
}

// ReadISO reads an ISO of size bytes. r must stay open while files are read. name is for messages.
func ReadISO(r io.ReaderAt, size int64, name string) (_ *Medium, err error) {
	defer fail.Recover(name, &err)
	img, err := iso9660.Open(r, size)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	m := &Medium{Name: name, ISO: img, Files: &img.Files}
	return m, m.readMenus()
}

// initrdAlone returns the medium of an initrd.
func initrdAlone(r io.ReaderAt, size int64, name string) (*Medium, error) {
	m := &Medium{Name: name, Form: Initrd, ISO: &iso9660.Image{}, Files: &overlay.Tree{}, Initrds: []string{filepath.Base(name)}}
	open := func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(r, 0, size)), nil }
	return m, m.Files.Put(overlay.Entry{Path: m.Initrds[0], Mode: overlay.TypeRegular | 0o444, Size: size, Open: open})
}

// ErrNotPXEFolder is returned when a folder lacks the files of a PXE boot.
var ErrNotPXEFolder = fail.New(fail.Usage, "not a PXE folder", "name an ISO, or a folder that mkbuild iso --format pxe made")

// maxFolder bounds the files of a PXE folder besides blobs; mkbuild's own have half a dozen.
const maxFolder = 1000

// OpenFolder reads a PXE folder of any tool: its menus and its regular files.
func OpenFolder(dir string) (_ *Medium, err error) {
	defer fail.Recover(dir, &err)
	tree, files := &overlay.Tree{}, os.DirFS(dir)
	limit := map[bool]int{false: maxFolder, true: maxBlobs}
	count := map[bool]int{}
	err = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || isShort(name) {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		blob := BlobDigest(name) != ""
		if count[blob]++; count[blob] > limit[blob] {
			return fmt.Errorf("read %s: %w: it has more than %d files", dir, ErrNotPXEFolder, limit[blob])
		}
		open := func() (io.ReadCloser, error) { return files.Open(name) }
		return tree.Put(overlay.Entry{Path: name, Mode: overlay.TypeRegular | 0o444, Size: info.Size(), Open: open})
	})
	if at, ok := errors.AsType[*fs.PathError](err); ok && at.Path == "." {
		at.Path = dir // the walk does not know its name
	}
	if err != nil {
		return nil, err
	}
	return readFolder(dir, tree, linksOf(files, tree))
}

// ReadFolder reads the menus of a folder with the given files. dir is for messages.
func ReadFolder(dir string, files *overlay.Tree) (*Medium, error) {
	return readFolder(dir, files, shortLinks(files))
}

// readFolder reads the menus of a folder.
func readFolder(dir string, files *overlay.Tree, links map[string]string) (*Medium, error) {
	m := &Medium{Name: dir, Form: PXE, ISO: &iso9660.Image{}, Files: files, links: links}
	if err := m.readMenus(); err != nil {
		return nil, err
	}
	if len(m.menus) == 0 {
		return nil, fmt.Errorf("read %s: %w: it has no %s", dir, ErrNotPXEFolder, pxelinuxMenu)
	}
	dropUnnamed(m)
	return m, nil
}

// NewFolder returns a PXE folder that boots a kernel and its initrds with PXELINUX and iPXE. The files get their
// base names, changed if two are alike or a loader would not take them.
func NewFolder(kernel overlay.Entry, initrds []overlay.Entry, args string) (*Medium, error) {
	taken := []string{ipxeScript, path.Dir(pxelinuxMenu), manifest.FolderName, PXESums}
	files := &overlay.Tree{}
	var names []string
	for _, e := range slices.Concat([]overlay.Entry{kernel}, initrds) {
		e.Path = pxeName(e.Path, &taken)
		if err := files.Put(e); err != nil {
			return nil, err
		}
		names = append(names, e.Path)
	}
	return bootFolder(files, names, names, args)
}

// bootFolder adds menus to the files that they boot, and reads the result. paths are the kernel's and then the
// initrds'; names are the same for PXELINUX, which gets short names of blobs.
func bootFolder(files *overlay.Tree, paths, names []string, args string) (*Medium, error) {
	script, err := ipxe.Script(paths[0], paths[1:], args)
	menu := strings.TrimRight(fmt.Sprintf("DEFAULT microkernel\nPROMPT 0\nLABEL microkernel\n\tKERNEL %s\n\tAPPEND initrd=%s %s", names[0], strings.Join(names[1:], ","), args), " ") + "\n"
	err = errors.Join(err, files.Put(overlay.File(ipxeScript, 0o444, script)), files.Put(overlay.File(pxelinuxMenu, 0o444, []byte(menu))))
	if err != nil {
		return nil, err
	}
	m, err := ReadFolder("the PXE folder", files)
	if err != nil {
		return nil, err
	}
	return m, checkLength(m)
}

// pxeName returns the last part of a path in characters that TFTP servers, URLs and boot scripts need not escape,
// different from the names in use.
func pxeName(p string, taken *[]string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._+-", r) {
			return r
		}
		return '_'
	}, path.Base(p))
	for slices.ContainsFunc(*taken, func(t string) bool { return strings.EqualFold(t, name) }) {
		name += "_"
	}
	*taken = append(*taken, name)
	return name
}

// maxBootFile bounds a kernel or an initrd held in memory, in bytes.
const maxBootFile = 1 << 30

// ReadBootFiles reads kernel and initrd of an ISO or a PXE folder into memory; several initrds become one.
func ReadBootFiles(name string) (kernel, initrd []byte, err error) {
	m, err := Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer m.Close() //nolint:errcheck // only read
	if err := m.Bootable(); err != nil {
		return nil, nil, err
	}
	if kernel, err = m.Files.Get(m.Kernel).Content(maxBootFile); err != nil {
		return nil, nil, err
	}
	one := m.OneInitrd()
	initrd, err = one.Content(maxBootFile)
	return kernel, initrd, err
}
