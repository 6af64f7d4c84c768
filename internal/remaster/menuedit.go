package remaster

import (
	"bytes"
	"errors"
	"fmt"

	"mkbuild/internal/config"
	"mkbuild/internal/fat"
	"mkbuild/internal/grub"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/isolinux"
)

// menuEdit says what to change in every menu.
type menuEdit struct {
	remove, append string
	tenths         int
}

// editMenus changes every copy of every menu in img, which is a copy of the base's image.
func (b *base) editMenus(img *iso9660.Image, e menuEdit, mtime int64) error {
	efi, err := cloneEFI(b.efi)
	if err != nil {
		return err
	}
	for i := range b.menus {
		m := &b.menus[i]
		if !m.boots {
			continue
		}
		err := b.editMenu(img, m, efi[m.efi], e, mtime)
		if errors.Is(err, fat.ErrFull) {
			return config.Mistake("boot.append", fmt.Sprintf("edit %s: %v", m.name(), err), "shorten the kernel arguments")
		}
		if err != nil {
			return fmt.Errorf("edit %s in %s: %w", m.name(), b.name, err)
		}
	}
	storeEFI(img, b.efi, efi, mtime)
	return nil
}

// editMenu changes one menu: in img, or in efi when it lies there.
func (b *base) editMenu(img *iso9660.Image, m *menu, efi *efiBoot, e menuEdit, mtime int64) error {
	text, err := b.menuText(m)
	if err != nil {
		return err
	}
	changed, err := m.edit(text, e)
	switch {
	case err != nil:
		return err
	case efi != nil && !bytes.Equal(text, changed):
		return efi.fs.Replace(m.path, changed)
	case efi == nil:
		putText(img, m.path, text, changed, mtime)
	}
	return b.editParts(img, m, e, mtime)
}

// edit returns the changed text of a menu.
func (m *menu) edit(text []byte, e menuEdit) ([]byte, error) {
	if m.grub {
		return grub.Edit(text, grub.Options{Remove: e.remove, Append: e.append, TimeoutTenths: e.tenths})
	}
	o := isolinux.Options{Remove: e.remove, Append: e.append, TimeoutTenths: e.tenths}
	if len(m.parts) > 0 {
		if ls, err := isolinux.Labels(text); err != nil || len(ls) == 0 { // they are in its parts
			o.Append = ""
		}
	}
	return isolinux.Edit(text, o)
}

// editParts changes the files that an isolinux menu includes.
func (b *base) editParts(img *iso9660.Image, m *menu, e menuEdit, mtime int64) error {
	o := isolinux.Options{Remove: e.remove, Append: e.append, TimeoutTenths: e.tenths, Part: true}
	for _, name := range m.parts {
		text, err := b.content(name)
		if err != nil {
			return err
		}
		changed, err := isolinux.Edit(text, o)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		putText(img, name, text, changed, mtime)
	}
	return nil
}

// putText gives a file of the image new content, unless it is the same.
func putText(img *iso9660.Image, name string, old, text []byte, mtime int64) {
	if !bytes.Equal(old, text) {
		setContent(img.Lookup(name), text, mtime)
	}
}
