package medium

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"mkbuild/internal/fail"
	"mkbuild/internal/fat"
)

// Edit says what to change in every boot menu.
type Edit struct {
	// Remove is taken away from the end of the kernel arguments of each entry, where it stands there;
	// Append is put behind them.
	Remove, Append string
	// TimeoutTenths is the time in tenths of a second after which the default entry boots; 0 leaves
	// what the menu says.
	TimeoutTenths int
}

// Edit returns a copy of the medium with each copy of each menu changed, the changed files dated mtime.
// Files of the copy can be replaced without a change of m.
func (m *Medium) Edit(e Edit, mtime int64) (*Medium, error) {
	out, err := m.copied()
	if err != nil {
		return nil, err
	}
	for i := range out.menus {
		x := &out.menus[i]
		if !x.boots {
			continue
		}
		err := m.editMenu(out, x, e, mtime)
		if errors.Is(err, fat.ErrFull) {
			return nil, &fail.Error{Class: fail.Usage, What: "config boot.append: edit " + x.name(), Hint: "shorten the kernel arguments", Err: err}
		}
		if err != nil {
			return nil, fmt.Errorf("edit %s in %s: %w", x.name(), m.Name, err)
		}
	}
	for i, x := range out.efi {
		if !bytes.Equal(x.bytes, m.efi[i].bytes) {
			x.store(out.ISO, mtime)
		}
	}
	if m.Form == Initrd {
		return out, nil
	}
	return out, out.readMenus()
}

// copied returns a copy whose files and EFI images can be changed.
func (m *Medium) copied() (*Medium, error) {
	out, img := *m, *m.ISO
	img.Files, img.Boot = *m.Files.Clone(), slices.Clone(m.ISO.Boot)
	out.ISO, out.Files, out.menus, out.efi = &img, &img.Files, slices.Clone(m.menus), slices.Clone(m.efi)
	for i, x := range m.efi {
		c, err := x.clone()
		if err != nil {
			return nil, err
		}
		out.efi[i] = c
		for j := range out.menus {
			if out.menus[j].efi == x {
				out.menus[j].efi = c
			}
		}
	}
	return &out, nil
}

// editMenu changes one menu of out, and what is part of it. Texts come from m: two menus may share a part.
func (m *Medium) editMenu(out *Medium, x *menu, e Edit, mtime int64) error {
	text, err := m.menuText(x)
	if err != nil {
		return err
	}
	at := wholeMenu
	if len(x.parts) > 0 {
		at = menuWithParts
	}
	changed, err := x.dialect.edit(text, e, at)
	switch {
	case err != nil:
		return err
	case x.efi != nil && !bytes.Equal(text, changed):
		return x.efi.fs.Replace(x.path, changed)
	case x.efi == nil:
		out.putText(x.path, text, changed, mtime)
	}
	for _, name := range x.parts {
		if text, err = m.text(name); err != nil {
			return err
		}
		if changed, err = x.dialect.edit(text, e, menuPart); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		out.putText(name, text, changed, mtime)
	}
	return nil
}

// putText gives a file new content, unless it is the same.
func (m *Medium) putText(name string, old, text []byte, mtime int64) {
	if !bytes.Equal(old, text) {
		m.Files.Get(name).SetContent(text, mtime)
	}
}
