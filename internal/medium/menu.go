package medium

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// menu is one boot menu of a medium. The same menu stands in several of them: one for each boot
// loader, and one more where a loader reads it from the EFI image.
type menu struct {
	path    string    // on the medium, or in the file system of the EFI image
	efi     *efiImage // the EFI image that it is in; nil for the medium itself
	dialect *dialect
	rank    int      // among the menus of the medium
	parts   []string // files of the medium that are part of it
	boots   bool     // it has entries that boot a kernel
}

// name says where a menu is, for people.
func (x *menu) name() string {
	if x.efi != nil {
		return x.path + " in " + x.efi.name
	}
	return x.path
}

// findMenus lists the menus of the medium and of its EFI images.
func (m *Medium) findMenus() error {
	m.efi = m.findEFI()
	for _, f := range m.Files.Entries() {
		if f.IsRegular() {
			m.addMenu(f.Path, nil)
		}
	}
	for _, e := range m.efi {
		for _, name := range e.files {
			m.addMenu(name, e)
		}
	}
	sort.SliceStable(m.menus, func(i, j int) bool {
		x, y := &m.menus[i], &m.menus[j]
		if (x.efi == nil) != (y.efi == nil) {
			return x.efi == nil
		}
		return x.rank < y.rank
	})
	return m.follow()
}

func (m *Medium) addMenu(name string, e *efiImage) {
	if d, rank := dialectOf(name, m.Form == PXE); d != nil {
		m.menus = append(m.menus, menu{path: name, efi: e, dialect: d, rank: rank})
	}
}

// follow adds the menus that the menus lead to, and notes the files that they include.
func (m *Medium) follow() error {
	for i := 0; i < len(m.menus); i++ { // it grows
		x := &m.menus[i]
		p, err := m.page(x)
		if err != nil {
			return fmt.Errorf("%s: %w", x.name(), err)
		}
		d := x.dialect
		for _, name := range p.menus {
			at := m.find("", name)
			if at != "" && !m.IsMenu(at) {
				m.menus = append(m.menus, menu{path: at, dialect: d})
			}
		}
	}
	return nil
}

// menuText is a menu as it stands.
func (m *Medium) menuText(x *menu) ([]byte, error) {
	if x.efi == nil {
		return m.text(x.path)
	}
	text, err := x.efi.fs.ReadFile(x.path, maxText)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", m.Name, x.efi.name, err)
	}
	return text, nil
}

// page reads a menu, and notes the files that are part of it.
func (m *Medium) page(x *menu) (*page, error) {
	text, err := m.menuText(x)
	if err != nil {
		return nil, err
	}
	return x.dialect.read(text, func(name string) ([]byte, error) {
		if x.efi != nil {
			return nil, nil
		}
		p := m.find(x.dialect.dir(x.path), name)
		if p == "" || p == x.path {
			return nil, nil
		}
		if !slices.Contains(x.parts, p) {
			x.parts = append(x.parts, p)
		}
		return m.text(p)
	})
}

// readMenus reads the entries of all menus, and learns from them what the medium boots by default.
func (m *Medium) readMenus() error {
	m.Entries, m.Kernel, m.Initrds, m.Arguments, m.Others = nil, "", nil, "", nil
	for i := range m.menus {
		x := &m.menus[i]
		p, err := m.page(x)
		if err != nil {
			return fmt.Errorf("read %s: %s: %w", m.Name, x.name(), err)
		}
		x.boots = len(p.entries) > 0
		for _, e := range p.entries {
			e.Menu, e.Loader = x.name(), x.dialect.loader
			m.take(x, &e)
			m.Entries = append(m.Entries, e)
		}
	}
	return nil
}

// take notes which of an entry's files are missing. It adopts the first entry whose kernel and initrds are
// on the medium as the default, and notes every other one that boots without the last initrd: an image
// with a remade initrd would start stock Tiny Core there.
func (m *Medium) take(x *menu, e *Entry) {
	dir := x.dialect.dir(x.path)
	kernel := m.find(dir, e.Kernel)
	var initrds []string
	for _, name := range e.Initrds {
		if p := m.find(dir, name); p != "" && !x.efi.has(name) {
			initrds = append(initrds, p)
		}
	}
	for _, f := range slices.Concat([]string{e.Kernel}, e.Initrds) {
		if m.find(dir, f) == "" && !strings.Contains(f, "$") && !x.efi.has(f) {
			e.Missing = append(e.Missing, f)
		}
	}
	unclear := x.dialect.variables && strings.Contains(e.Kernel, "$") || x.efi.has(e.Kernel)
	switch {
	case m.Kernel == "" && kernel != "" && len(initrds) > 0 && len(initrds) == len(e.Initrds) && !unclear:
		m.Kernel, m.Initrds, m.Arguments = kernel, initrds, withoutInitrd(e.Append)
	case unclear, kernel != "" && (m.Kernel == "" || !slices.Contains(initrds, m.LastInitrd())):
		m.Others = append(m.Others, e.Name)
	}
}

// withoutInitrd drops what isolinux itself takes out of the arguments.
func withoutInitrd(args string) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(args), func(a string) bool {
		return strings.HasPrefix(strings.ToLower(a), "initrd=")
	}), " ")
}
