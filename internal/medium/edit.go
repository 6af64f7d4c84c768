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

// Edit returns a copy of the medium with each copy of each menu changed, and the changed files dated mtime.
// Replacing files of the copy leaves m unchanged.
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
	if err := out.readMenus(); err != nil {
		return nil, err
	}
	for i := range out.menus {
		x := &out.menus[i]
		if !x.boots || !which(x) {
			continue
		}
		err := m.editMenu(&out, i, e, mtime)
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

// editMenu changes one menu of out, and its parts that are not menus. Texts come from m: two menus may share a
// part.
func (m *Medium) editMenu(out *Medium, i int, e bootmenu.Edit, mtime int64) error {
	x := &out.menus[i]
	for n, p := range slices.Concat([]part{x.self()}, x.parts) {
		e.Part = n > 0
		if e.Part && slices.ContainsFunc(out.menus, func(y menu) bool { return y.boots && y.self() == p && (y.efi == nil || y.efi == x.efi) }) {
			continue
		}
		text, err := m.partText(&m.menus[i], p)
		if err != nil {
			return err
		}
		changed, err := x.dialect.edit(text, e)
		if err != nil {
			return fmt.Errorf("%s: %w", p.path, err)
		}
		if p.efi {
			err = x.efi.replace(p.path, text, changed)
		} else {
			out.putText(p.path, text, changed, mtime)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// putText replaces a file's content, unless it is the same.
func (m *Medium) putText(name string, old, text []byte, mtime int64) {
	if !bytes.Equal(old, text) {
		m.Files.Get(name).SetContent(text, mtime)
	}
}
