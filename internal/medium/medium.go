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
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/initrd"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/overlay"
	"mkbuild/internal/tcz"
)

// ErrNoMenu is returned when no boot menu boots a kernel with an initrd.
var ErrNoMenu = fail.New(fail.Verification, "no isolinux.cfg or grub.cfg that boots a kernel with an initrd", "")

// Medium is an ISO or a PXE folder.
type Medium struct {
	// Name is for people.
	Name string
	// Files are the medium's own; those of ISO are the same.
	Files *overlay.Tree
	// ISO has the volume and its boot catalog; that of a folder is empty.
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

// Entry is one entry of a boot menu that boots a kernel.
type Entry struct {
	// Menu is the menu's path on the medium; one inside an EFI boot image says so.
	Menu string `json:"menu"`
	// Loader is "isolinux", "grub" or "pxelinux".
	Loader string `json:"loader"`
	Name   string `json:"label"`
	// Kernel and Initrds are as the menu names them, Append are the kernel arguments.
	Kernel  string   `json:"kernel"`
	Initrds []string `json:"initrds,omitempty"`
	Append  string   `json:"append,omitempty"`
	// Missing are those of the files that the medium does not have.
	Missing []string `json:"missing,omitempty"`
}

// OpenISO reads an ISO that boots a kernel with an initrd. The caller closes it.
func OpenISO(name string) (*Medium, error) {
	f, err := os.Open(name) //nolint:gosec // the user's own choice
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close() //nolint:errcheck,gosec // only read
		return nil, err
	}
	m, err := ReadISO(f, info.Size(), name)
	if err == nil {
		err = m.Bootable()
	}
	if err != nil {
		f.Close() //nolint:errcheck,gosec // only read
		return nil, err
	}
	m.file = f
	return m, nil
}

// ReadISO reads an ISO of size bytes, whatever it boots. r must stay open as long as files are read.
// name is for people.
func ReadISO(r io.ReaderAt, size int64, name string) (_ *Medium, err error) {
	defer recovered(name, &err)
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

// recovered turns a panic of a parser into an error of the file that it parsed.
func recovered(name string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("read %s: the parser gave up: %v", name, p)
	}
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

// Sum returns the SHA-256 of a file of the medium, which must have it.
func (m *Medium) Sum(name string) (string, error) {
	r, err := m.Open(name)
	if err != nil {
		return "", err
	}
	defer r.Close() //nolint:errcheck // only read
	sum := sha256.New()
	if _, err := io.Copy(sum, r); err != nil {
		return "", fmt.Errorf("read %s in %s: %w", name, m.Name, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
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

// Initrd is the path of the initrd that is unpacked last: what is appended to it wins.
func (m *Medium) Initrd() string { return m.Initrds[len(m.Initrds)-1] }

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
	defer recovered(m.Name, &err)
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

// kernelHead holds the whole setup part of a bzImage: at most 64 sectors of 512 bytes
// (Documentation/x86/boot.rst).
const kernelHead = 64 << 10

// KernelRelease reads the name of the default entry's kernel: "3.0.21-tinycore".
func (m *Medium) KernelRelease() (string, error) {
	r, err := m.Open(m.Kernel)
	if err != nil {
		return "", err
	}
	defer r.Close() //nolint:errcheck // only read
	head, err := io.ReadAll(io.LimitReader(r, kernelHead))
	if err != nil {
		return "", fmt.Errorf("read %s in %s: %w", m.Kernel, m.Name, err)
	}
	release, err := tcz.KernelRelease(strings.NewReader(string(head)), int64(len(head)))
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
