package remaster

import (
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"mkbuild/internal/grub"
	"mkbuild/internal/isolinux"
)

// menu is one boot configuration of an image. The same menu stands in several of them: one for
// each boot loader, and one more where a loader reads it from the EFI image.
type menu struct {
	path  string   // in the ISO, or in the file system of the EFI image
	efi   *efiBoot // the EFI image that it is in; nil for the ISO itself
	grub  bool
	parts []string // isolinux: files of the ISO that it includes
	boots bool     // it has entries that boot a kernel
}

// name says where a menu is, for people.
func (m *menu) name() string {
	if m.efi != nil {
		return m.path + " in " + m.efi.name
	}
	return m.path
}

// The names under which boot loaders look for their menu, in the order in which the one that
// decides what the image boots is looked for.
func menuNames() []string {
	return []string{"isolinux.cfg", "syslinux.cfg", "extlinux.conf", "syslx64.cfg", "syslia32.cfg", "grub.cfg", "loopback.cfg"}
}

func isGRUB(name string) bool { return slices.Contains([]string{"grub.cfg", "loopback.cfg"}, name) }

// findMenus lists the menus of the ISO and of its EFI images.
func (b *base) findMenus() error {
	b.efi = b.findEFI()
	for i := range b.image.Files {
		if f := &b.image.Files[i]; f.IsRegular() {
			b.addMenu(f.Path, nil)
		}
	}
	for _, e := range b.efi {
		for _, name := range e.files {
			b.addMenu(name, e)
		}
	}
	order := menuNames()
	sort.SliceStable(b.menus, func(i, j int) bool {
		x, y := &b.menus[i], &b.menus[j]
		if (x.efi == nil) != (y.efi == nil) {
			return x.efi == nil
		}
		return slices.Index(order, lowerBase(x.path)) < slices.Index(order, lowerBase(y.path))
	})
	for i := 0; i < len(b.menus); i++ { // follow adds to them
		if err := b.follow(i); err != nil {
			return err
		}
	}
	return nil
}

func lowerBase(name string) string { return strings.ToLower(path.Base(name)) }

func (b *base) addMenu(name string, e *efiBoot) {
	if base := lowerBase(name); slices.Contains(menuNames(), base) {
		b.menus = append(b.menus, menu{path: name, efi: e, grub: isGRUB(base)})
	}
}

// follow notes the files of the ISO that a menu includes. A GRUB menu sources whole menus, which
// are menus of their own.
func (b *base) follow(i int) error {
	m := &b.menus[i]
	text, err := b.menuText(m)
	if err != nil {
		return err
	}
	if m.grub {
		names, err := grub.Sources(text)
		if err != nil {
			return fmt.Errorf("%s in %s: %w", m.name(), b.name, err)
		}
		for _, n := range names {
			p := b.find("", n)
			if p != "" && !slices.ContainsFunc(b.menus, func(x menu) bool { return x.efi == nil && x.path == p }) {
				b.menus = append(b.menus, menu{path: p, grub: true})
			}
		}
		return nil
	}
	_, err = b.expand(m, text)
	return err
}

// expand returns an isolinux menu with what it includes, and notes the files that it took.
func (b *base) expand(m *menu, text []byte) ([]byte, error) {
	if m.efi != nil {
		return text, nil
	}
	return isolinux.Expand(text, func(name string) ([]byte, error) {
		p := b.find(m.dir(), name)
		if p == "" || p == m.path {
			return nil, nil
		}
		if !slices.Contains(m.parts, p) {
			m.parts = append(m.parts, p)
		}
		return b.content(p)
	})
}

// menuText is a menu as it stands.
func (b *base) menuText(m *menu) ([]byte, error) {
	if m.efi == nil {
		return b.content(m.path)
	}
	text, err := m.efi.fs.ReadFile(m.path, maxBootText)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", b.name, m.efi.name, err)
	}
	return text, nil
}

// entry is what a menu can boot.
type entry struct {
	name, kernel string
	initrds      []string
	append       string
}

// entries lists what a menu boots, the default first.
func (b *base) entries(m *menu) ([]entry, error) {
	text, err := b.menuText(m)
	if err != nil {
		return nil, err
	}
	var out []entry
	if m.grub {
		es, err := grub.Entries(text)
		for _, e := range es {
			out = append(out, entry{e.Name, e.Kernel, e.Initrds, e.Append})
		}
		return out, err
	}
	if text, err = b.expand(m, text); err != nil {
		return nil, err
	}
	ls, err := isolinux.Labels(text)
	sort.SliceStable(ls, func(i, j int) bool { return ls[i].Default && !ls[j].Default })
	for _, l := range ls {
		out = append(out, entry{l.Name, l.Kernel, l.Initrds, l.Append})
	}
	return out, err
}
