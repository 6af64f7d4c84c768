package medium

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"mkbuild/internal/bootmenu"
	"mkbuild/internal/iso9660"
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

// readMenus lists the menus of the medium and of its EFI images, follows them to further ones, and learns
// from their entries what the medium boots.
func (m *Medium) readMenus() error {
	m.efi, m.menus = efiImages(m.ISO), nil
	m.Entries, m.Kernel, m.Initrds, m.Arguments, m.Others = nil, "", nil, "", nil
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
	for i := 0; i < len(m.menus); i++ { // it grows
		if err := m.readMenu(i); err != nil {
			return fmt.Errorf("read %s: %s: %w", m.Name, m.menus[i].name(), err)
		}
	}
	return nil
}

func (m *Medium) addMenu(name string, e *efiImage) {
	if d, rank := dialectOf(name, m.Form == PXE); d != nil {
		m.menus = append(m.menus, menu{path: name, efi: e, dialect: d, rank: rank})
	}
}

// readMenu takes the entries of one menu, and adds the menus that it leads to.
func (m *Medium) readMenu(i int) error {
	x := &m.menus[i]
	said, err := m.parse(x)
	if err != nil {
		return err
	}
	x.boots = len(said.Entries) > 0
	sort.SliceStable(said.Entries, func(i, j int) bool { return said.Entries[i].Default && !said.Entries[j].Default })
	for _, e := range said.Entries {
		m.take(x, e)
	}
	for _, name := range said.Menus {
		if at := m.find("", name); at != "" && !m.IsMenu(at) {
			m.menus = append(m.menus, menu{path: at, dialect: x.dialect})
		}
	}
	return nil
}

// IsMenu reports whether a file of the medium is a boot menu.
func (m *Medium) IsMenu(name string) bool {
	return slices.ContainsFunc(m.menus, func(x menu) bool { return x.efi == nil && x.path == name })
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

// parse reads a menu, and notes the files that are part of it.
func (m *Medium) parse(x *menu) (*bootmenu.Menu, error) {
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

// take adds an entry, and notes which of its files are missing. It adopts the first entry whose kernel and
// initrds are on the medium as the default, and notes every other one that boots without the last initrd: an
// image with a remade initrd would start stock Tiny Core there.
func (m *Medium) take(x *menu, e bootmenu.Entry) {
	out := Entry{Menu: x.name(), Loader: x.dialect.loader, Name: e.Name, Kernel: e.Kernel, Initrds: e.Initrds, Append: e.Append}
	dir := x.dialect.dir(x.path)
	var found []string // of Initrds
	for i, name := range slices.Concat([]string{e.Kernel}, e.Initrds) {
		switch p := m.find(dir, name); {
		case x.efi.has(name):
		case p == "" && !strings.Contains(name, "$"):
			out.Missing = append(out.Missing, name)
		case p != "" && i > 0:
			found = append(found, p)
		}
	}
	m.Entries = append(m.Entries, out)
	kernel := m.find(dir, e.Kernel)
	unclear := strings.Contains(e.Kernel, "$") || x.efi.has(e.Kernel)
	switch {
	case m.Kernel == "" && kernel != "" && len(found) > 0 && len(found) == len(e.Initrds) && !unclear:
		m.Kernel, m.Initrds, m.Arguments = kernel, found, withoutInitrd(e.Append)
	case unclear, kernel != "" && (m.Kernel == "" || !slices.Contains(found, m.LastInitrd())):
		m.Others = append(m.Others, e.Name)
	}
}

// withoutInitrd drops what isolinux itself takes out of the arguments.
func withoutInitrd(args string) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(args), func(a string) bool {
		return strings.HasPrefix(strings.ToLower(a), "initrd=")
	}), " ")
}
