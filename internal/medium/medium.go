// Package medium reads what a boot medium boots: an ISO, or a folder for a network boot server (PXE).
// It finds the boot menus and follows them to the kernel, the initrds and the kernel arguments of each
// entry, and it edits the menus, each copy of them in the same way.
//
// It takes nothing apart that a menu does not name, builds nothing, and changes no file: an edit
// is a new [Medium]. Any tool may have made a medium, so every byte of it is untrusted.
//
// Start reading at [Medium]. What a boot loader's menu looks like is known to the packages isolinux
// and grub alone; dialect.go lists them, and a further loader goes there.
package medium

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/initrd"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/manifest"
	"mkbuild/internal/overlay"
	"mkbuild/internal/tcz"
	"mkbuild/internal/wholefile"
)

// ErrNoMenu is returned when no boot menu boots a kernel with an initrd.
var ErrNoMenu = fail.New(fail.Verification, "no isolinux.cfg or grub.cfg that boots a kernel with an initrd", "")

// Form is what kind of medium it is.
type Form int

// The forms.
const (
	ISO    Form = iota
	PXE         // a folder for a network boot server
	Initrd      // an initrd alone, which has no menus and no kernel
)

// Medium is an ISO, a PXE folder or an initrd.
type Medium struct {
	// Name is for people.
	Name string
	Form Form
	// Files are the medium's own; those of the ISO are the same.
	Files *overlay.Tree
	// ISO has the volume and its boot catalog; that of other forms is empty.
	ISO *iso9660.Image
	// Entries are those of all boot menus, menu by menu, the default of each first.
	Entries []Entry
	// Kernel and Initrds are the paths of what the default entry boots, Arguments its kernel
	// arguments without initrd=. They are empty if no entry boots a kernel with an initrd.
	Kernel    string
	Initrds   []string
	Arguments string
	// Others are the names of entries that boot a kernel without the last of Initrds.
	Others []string

	menus  []menu
	efi    []*efiImage
	folded map[string]string // paths by their lower-case form
	file   io.Closer
}

// RazorMetadata is where Razor's image service looks: in an ISO's root, in lower case.
const RazorMetadata = "iso-metadata.yaml"

// Entry is one entry of a boot menu that boots a kernel.
type Entry struct {
	// Menu is the menu's path on the medium; one inside an EFI boot image says so.
	Menu string `json:"menu"`
	// Loader is "isolinux", "grub", "pxelinux" or "ipxe".
	Loader string `json:"loader"`
	Name   string `json:"label"`
	// Kernel and Initrds are as the menu names them, Append are the kernel arguments.
	Kernel  string   `json:"kernel"`
	Initrds []string `json:"initrds,omitempty"`
	Append  string   `json:"append,omitempty"`
	// Missing are those of the files that the medium does not have.
	Missing []string `json:"missing,omitempty"`
}

// Open reads an ISO, a PXE folder or an initrd, whatever it boots. The caller closes it.
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

// OpenISO reads an ISO that boots a kernel with an initrd. The caller closes it.
func OpenISO(name string) (*Medium, error) {
	return openFile(name, func(f *os.File, size int64) (*Medium, error) {
		m, err := ReadISO(f, size, name)
		if err == nil {
			err = m.Bootable()
		}
		return m, err
	})
}

func openFile(name string, read func(*os.File, int64) (*Medium, error)) (*Medium, error) {
	f, err := os.Open(name) //nolint:gosec // the user's own choice
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close() //nolint:errcheck,gosec // only read
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

// isISO looks for the primary volume descriptor (ECMA-119 8.4).
func isISO(r io.ReaderAt) bool {
	var b [5]byte
	_, err := r.ReadAt(b[:], 0x8001)
	return err == nil && string(b[:]) == "CD001"
}

// initrdAlone makes a medium of an initrd.
func initrdAlone(r io.ReaderAt, size int64, name string) (*Medium, error) {
	m := &Medium{Name: name, Form: Initrd, ISO: &iso9660.Image{}, Files: &overlay.Tree{}, Initrds: []string{filepath.Base(name)}}
	open := func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(r, 0, size)), nil }
	return m, m.Files.Put(overlay.Entry{Path: m.Initrds[0], Mode: overlay.TypeRegular | 0o444, Size: size, Open: open})
}

// ReadISO reads an ISO of size bytes, whatever it boots. r must stay open as long as files are read.
// name is for people.
func ReadISO(r io.ReaderAt, size int64, name string) (_ *Medium, err error) {
	defer fail.Recover(name, &err)
	img, err := iso9660.Open(r, size)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	m := &Medium{Name: name, ISO: img, Files: &img.Files}
	if err := m.findMenus(); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return m, m.readMenus()
}

// Close releases the file that [OpenISO] opened.
func (m *Medium) Close() error {
	if m.file == nil {
		return nil
	}
	return m.file.Close()
}

// Bootable returns an [ErrNoMenu] if no entry boots a kernel with an initrd.
func (m *Medium) Bootable() error {
	if m.Kernel == "" {
		return fmt.Errorf("read %s: %w", m.Name, ErrNoMenu)
	}
	return nil
}

// Write writes the medium in its form, a folder with its SHA256SUMS. It appears whole or not at all.
func (m *Medium) Write(ctx context.Context, name string) error {
	write := m.ISO.Write
	switch m.Form {
	case PXE:
		return m.writeFolder(ctx, name)
	case Initrd:
		write = m.Files.Get(m.LastInitrd()).CopyTo
	}
	return wholefile.Write(name, func(w io.Writer) error {
		if err := write(wholefile.Interruptible(ctx, w)); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		return nil
	})
}

// ManifestPath is where a medium made here has its manifest, "" if its form has none.
func (m *Medium) ManifestPath() string {
	return map[Form]string{ISO: manifest.Name, PXE: manifest.FolderName}[m.Form]
}

// Open reads a file of the medium, which must have it.
func (m *Medium) Open(name string) (io.ReadCloser, error) {
	open := m.Files.Get(name).Open
	if open == nil { // it is empty
		open = overlay.Bytes(nil)
	}
	r, err := open()
	if err != nil {
		return nil, fmt.Errorf("read %s in %s: %w", name, m.Name, err)
	}
	return r, nil
}

// maxText bounds a boot menu; real ones are below 4 KiB.
const maxText = 1 << 20

// text reads a boot menu, or a file that one includes.
func (m *Medium) text(name string) ([]byte, error) {
	text, err := m.Files.Get(name).Content(maxText)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Name, err)
	}
	return text, nil
}

// find returns the path of a file that a menu names relative to dir; old loaders compare without case.
func (m *Medium) find(dir, name string) string {
	name = strings.ReplaceAll(name, "\\", "/")
	if !strings.HasPrefix(name, "/") {
		name = path.Join("/"+dir, name)
	}
	name = strings.TrimPrefix(path.Clean(name), "/")
	if m.Files.Get(name) != nil {
		return name
	}
	if m.folded == nil {
		m.folded = map[string]string{}
		for _, f := range m.Files.Entries() {
			if lower := strings.ToLower(f.Path); m.folded[lower] == "" {
				m.folded[lower] = f.Path
			}
		}
	}
	return m.folded[strings.ToLower(name)]
}

// LastInitrd is the path of the initrd that is unpacked last: what is appended to it wins.
func (m *Medium) LastInitrd() string { return m.Initrds[len(m.Initrds)-1] }

// Segments are the default entry's initrds as the boot loader puts them into memory: each padded to a
// multiple of four bytes.
func (m *Medium) Segments() initrd.Segments {
	var out initrd.Segments
	for _, name := range m.Initrds {
		open := func() (io.ReadCloser, error) { return m.Open(name) }
		out = append(out, initrd.Segment{Name: name, Size: m.Files.Get(name).Size, Open: open}.Padded())
	}
	return out
}

// MaxInitrd bounds an unpacked initrd; Tiny Core's largest are about 60 MB, images with big extensions have
// some hundreds.
const MaxInitrd = 2 << 30

// Tree unpacks the default entry's initrds into memory.
func (m *Medium) Tree() (t *overlay.Tree, err error) {
	defer fail.Recover(m.Name, &err)
	r, err := m.Segments().Open()
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // only read
	if t, err = initrd.Read(r, m.Name, MaxInitrd); err != nil {
		return nil, fmt.Errorf("read %s in %s: %w", strings.Join(m.Initrds, " and "), m.Name, err)
	}
	return t, nil
}

// KernelRelease reads the name of the default entry's kernel: "3.0.21-tinycore".
func (m *Medium) KernelRelease() (string, error) {
	r, err := m.Open(m.Kernel)
	if err != nil {
		return "", err
	}
	defer r.Close() //nolint:errcheck // only read
	release, err := tcz.KernelRelease(r)
	if err != nil {
		return "", fmt.Errorf("read %s in %s: %w", m.Kernel, m.Name, err)
	}
	return release, nil
}

// BootsUEFI reports whether the medium has a boot entry for UEFI, and whether a menu of that loader
// was found: only such a menu can be edited.
func (m *Medium) BootsUEFI() (boots, menu bool) {
	for i := range m.ISO.Boot {
		boots = boots || m.ISO.Boot[i].Platform == iso9660.PlatformUEFI
	}
	for i := range m.menus {
		x := &m.menus[i]
		menu = menu || x.boots && (x.efi != nil || x.dialect.loader == loaderGRUB)
	}
	return boots, menu
}

// IsMenu reports whether a file of the medium is a boot menu.
func (m *Medium) IsMenu(name string) bool {
	return slices.ContainsFunc(m.menus, func(x menu) bool { return x.efi == nil && x.path == name })
}

// maxBootFile bounds a kernel or an initrd held in memory, in bytes.
const maxBootFile = 1 << 30

// ReadBootFiles reads kernel and initrd of an ISO into memory; several initrds become one.
func ReadBootFiles(name string) (kernel, initrd []byte, err error) {
	m, err := OpenISO(name)
	if err != nil {
		return nil, nil, err
	}
	defer m.Close() //nolint:errcheck // only read
	for _, f := range []struct {
		to   *[]byte
		open func() (io.ReadCloser, error)
	}{{&kernel, func() (io.ReadCloser, error) { return m.Open(m.Kernel) }}, {&initrd, m.Segments().Open}} {
		r, err := f.open()
		if err != nil {
			return nil, nil, err
		}
		*f.to, err = io.ReadAll(&overlay.LimitedReader{R: r, Left: maxBootFile})
		if err = errors.Join(err, r.Close()); err != nil {
			return nil, nil, err
		}
	}
	return kernel, initrd, nil
}
