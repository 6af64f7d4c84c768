package remaster

import (
	"fmt"
	"io"
	"strings"

	"mkbuild/internal/iso9660"
)

// Medium is what an ISO boots, found as [Builder.Stage] finds it in its source.
type Medium struct {
	// Entries are those of all boot menus, menu by menu, the default of each first.
	Entries []MenuEntry
	// Kernel and Initrds are paths in the ISO that its default entry boots, Append its arguments.
	// They are empty where no entry boots a kernel with an initrd.
	Kernel  string
	Initrds []string
	Append  string
	base    *base
}

// MenuEntry is one entry of a boot menu that boots a kernel.
type MenuEntry struct {
	// Menu is the menu's path in the ISO; one inside an EFI boot image says so.
	Menu string
	// Loader is "isolinux", "grub" or "pxelinux".
	Loader string
	Name   string
	// Kernel and Initrds are as the menu names them, Append are the kernel arguments.
	Kernel  string
	Initrds []string
	Append  string
	// Missing are those of the files that the ISO does not have.
	Missing []string
}

// ReadMedium reads the boot menus of an ISO that any tool may have made. name is for errors.
func ReadMedium(img *iso9660.Image, name string) (_ *Medium, err error) {
	defer recovered(name, &err)
	b := &base{image: img, name: name}
	if err := b.findMenus(); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b.medium()
}

// medium reads the entries of all menus.
func (b *base) medium() (*Medium, error) {
	m := &Medium{base: b}
	for i := range b.menus {
		x := &b.menus[i]
		entries, err := b.entries(x)
		if err != nil {
			return nil, fmt.Errorf("read %s: %s: %w", b.name, x.name(), err)
		}
		for _, e := range entries {
			b.take(x, e)
			m.Entries = append(m.Entries, b.menuEntry(x, e))
		}
	}
	m.Kernel, m.Initrds, m.Append = b.kernel, b.initrds, b.append
	return m, nil
}

func (b *base) menuEntry(m *menu, e entry) MenuEntry {
	out := MenuEntry{Menu: m.name(), Loader: m.loader(), Name: e.name, Kernel: e.kernel, Initrds: e.initrds, Append: e.append}
	for _, f := range append([]string{e.kernel}, e.initrds...) {
		if b.find(m.dir(), f) == "" && !strings.Contains(f, "$") && (m.efi == nil || !m.efi.has(f)) {
			out.Missing = append(out.Missing, f)
		}
	}
	return out
}

// KernelRelease reads the name of the default entry's kernel.
func (m *Medium) KernelRelease() (string, error) {
	release, err := m.base.kernelRelease()
	if err != nil {
		return "", fmt.Errorf("read %s in %s: %w", m.Kernel, m.base.name, err)
	}
	return release, nil
}

// OpenInitrds reads the default entry's initrds as the boot loader puts them into memory.
func (m *Medium) OpenInitrds() (io.ReadCloser, error) { return m.base.openInitrds() }
