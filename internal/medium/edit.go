package medium

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"mkbuild/internal/bootmenu"
	"mkbuild/internal/fail"
	"mkbuild/internal/fat"
)

// Edit returns a copy of the medium with each copy of each menu changed, the changed files dated mtime.
// Files of the copy can be replaced without a change of m.
func (m *Medium) Edit(e bootmenu.Edit, mtime int64) (*Medium, error) {
	return m.edit(e, mtime, func(*menu) bool { return true })
}

// edit is Edit for some of the menus.
func (m *Medium) edit(e bootmenu.Edit, mtime int64, which func(*menu) bool) (*Medium, error) {
	out, img := *m, *m.ISO
	img.Files, img.Boot = *m.Files.Clone(), slices.Clone(m.ISO.Boot)
	out.ISO, out.Files = &img, &img.Files
	if m.Form == Initrd {
		return &out, nil
	}
	if err := out.readMenus(); err != nil { // its EFI images are its own now
		return nil, err
	}
	for i := range out.menus {
		x := &out.menus[i]
		if !x.boots || !which(x) {
			continue
		}
		err := m.editMenu(&out, x, e, mtime)
		if errors.Is(err, fat.ErrFull) {
			return nil, &fail.Error{Class: fail.Usage, What: "config boot.append: edit " + x.name(), Hint: "shorten the kernel arguments", Err: err}
		}
		if err != nil {
			return nil, fmt.Errorf("edit %s in %s: %w", x.name(), m.Name, err)
		}
	}
	for _, x := range out.efi {
		if x.changed {
			x.store(&img, mtime)
		}
	}
	if err := out.readMenus(); err != nil {
		return nil, err
	}
	return &out, checkLength(&out)
}

// editMenu changes one menu of out, and what is part of it. Texts come from m: two menus may share a part.
func (m *Medium) editMenu(out *Medium, x *menu, e bootmenu.Edit, mtime int64) error {
	text, err := m.menuText(x)
	if err != nil {
		return err
	}
	changed, err := x.dialect.edit(text, e)
	if err != nil {
		return err
	}
	if x.efi != nil {
		return x.efi.replace(x.path, text, changed)
	}
	out.putText(x.path, text, changed, mtime)
	e.Part = true
	for _, name := range x.parts {
		if text, err = m.text(name); err != nil {
			return err
		}
		if changed, err = x.dialect.edit(text, e); err != nil {
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
