package medium

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"

	"mkbuild/internal/bootmenu"
	"mkbuild/internal/cmdline"
	"mkbuild/internal/iso9660"
)

// menu is one boot menu of a medium. A medium has a menu for each boot loader, and another one if a loader reads
// it from the EFI image.
type menu struct {
	path    string    // of the medium, or of the EFI image's file system
	efi     *efiImage // the EFI image that holds it; nil for the medium itself
	dialect *dialect
	rank    int    // position among the medium's menus
	dir     string // folder of its relative names
	prefix  string // GRUB's variable
	parts   []part // files that are part of it
	boots   bool   // it has entries that boot a kernel
	led     bool   // another menu leads to it
}

// part is a file of a menu: on the medium, or in the menu's EFI image.
type part struct {
	path string
	efi  bool
}

func (x *menu) self() part { return part{x.path, x.efi != nil} }

// name says where a menu is, for messages.
func (x *menu) name() string {
	if x.efi != nil {
		return x.path + " in " + x.efi.name
	}
	return x.path
}

// readMenus reads the menus of the medium and of its EFI images, and the menus that they lead to. Their entries
// tell what the medium boots.
func (m *Medium) readMenus() error {
	m.efi, m.menus = efiImages(m.ISO), nil
	m.Entries, m.Kernel, m.Initrds, m.Arguments, m.Others, m.Doubts = nil, "", nil, "", nil, nil
	m.folded, m.twins = nil, nil
	for _, f := range m.Files.Entries() {
		if to, err := m.Files.Lookup(f.Path); err == nil && to.IsRegular() {
			m.addMenu(f.Path, to.Path, nil)
		}
	}
	for _, e := range m.efi {
		for _, name := range e.files {
			m.addMenu(name, name, e)
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
	m.doubtBoot()
	for _, name := range slices.Sorted(maps.Keys(m.twins)) {
		m.Doubts = append(m.Doubts, Doubt{Menu: name, Text: "some boot loaders take " + m.twins[name] + " for it"})
	}
	return nil
}

// doubtBoot records boot entries that mkbuild cannot follow. The loader of a BIOS entry without emulation has its
// menu on the medium; a UEFI loader may contain its menu.
func (m *Medium) doubtBoot() {
	doubt := func(i int, text string) {
		m.Doubts = append(m.Doubts, Doubt{Menu: fmt.Sprintf("boot entry %d", i+1), Text: text})
	}
	for i := range m.ISO.Boot {
		switch e := &m.ISO.Boot[i]; {
		case !e.Bootable:
		case e.Platform == iso9660.PlatformUEFI:
			if !slices.ContainsFunc(m.efi, func(x *efiImage) bool { return slices.Contains(x.entries, i) }) {
				doubt(i, "mkbuild cannot read its EFI boot image")
			} else if _, menu := m.BootsUEFI(); !menu {
				doubt(i, "no menu of its UEFI loader was found")
			}
		case e.Platform != iso9660.PlatformBIOS:
			doubt(i, "it is for another platform than BIOS and UEFI")
		case e.Media != iso9660.MediaNone:
			doubt(i, "it starts an emulated disk")
		}
	}
}

// addMenu adds the file at path if name, the path or a link's path, is a menu's name.
func (m *Medium) addMenu(name, at string, e *efiImage) {
	d, rank := dialectOf(name, m.Form == PXE)
	switch {
	case d != nil:
		x := menu{path: at, efi: e, dialect: d, rank: rank, dir: d.dir(name), prefix: "/" + path.Dir(name)}
		if !slices.ContainsFunc(m.menus, func(y menu) bool { return y.efi == e && y.path == at && y.dir == x.dir }) {
			m.menus = append(m.menus, x)
		}
	case m.Form == ISO && isForeign(name):
		x := menu{path: name, efi: e}
		m.Doubts = append(m.Doubts, Doubt{Menu: x.name(), Text: "mkbuild does not read the menus of its boot loader"})
	}
}

// readMenu adds the entries of a menu, and the menus that it leads to.
func (m *Medium) readMenu(i int) error {
	x := &m.menus[i]
	said, err := m.parse(x)
	if err != nil {
		return err
	}
	x.boots = len(said.Entries) > 0
	sort.SliceStable(said.Entries, func(i, j int) bool { return said.Entries[i].Default && !said.Entries[j].Default })
	for n, e := range said.Entries {
		m.take(i, e, n == 0 && !x.led)
	}
	for _, d := range said.Doubts {
		m.Doubts = append(m.Doubts, Doubt{m.partName(i, d.File), d.Line, d.Text})
	}
	for _, name := range said.Menus {
		m.lead(i, name, cmp.Or(said.Prefix, m.menus[i].prefix))
	}
	return nil
}

// maxMenus bounds the menus of a medium.
const maxMenus = 1000

// lead adds a menu that another menu leads to, unless it is known.
func (m *Medium) lead(from int, name, prefix string) {
	x := m.menus[from]
	name = x.placed(name)
	if at := m.find(x.dir, name); at != "" && len(m.menus) < maxMenus && !m.IsMenu(at) {
		m.menus = append(m.menus, menu{path: at, dialect: x.dialect, dir: x.dir, prefix: prefix, led: true})
	}
	if at := x.efi.find(name); at != "" && !slices.ContainsFunc(m.menus, func(y menu) bool { return y.efi == x.efi && y.path == at }) {
		m.menus = append(m.menus, menu{path: at, efi: x.efi, dialect: x.dialect, dir: x.dir, prefix: prefix, led: true})
	}
}

// placed replaces GRUB's variables for its own place.
func (x *menu) placed(name string) string {
	dir := "/" + path.Dir(x.path)
	return strings.NewReplacer("${prefix}", x.prefix, "$prefix", x.prefix, "${config_directory}", dir, "$config_directory", dir).Replace(name)
}

// partName is the name of a file of a menu.
func (m *Medium) partName(i int, file string) string {
	x := &m.menus[i]
	if file == "" {
		return x.name()
	}
	file = x.placed(file)
	if at := m.find(x.dir, file); at != "" {
		return at
	}
	return file
}

// IsMenu reports whether a file of the medium is a boot menu.
func (m *Medium) IsMenu(name string) bool {
	return slices.ContainsFunc(m.menus, func(x menu) bool { return x.efi == nil && x.path == name })
}

// BootsUEFI reports whether the medium has a UEFI boot entry, and whether its loader's menu was found and so can
// be edited.
func (m *Medium) BootsUEFI() (boots, menu bool) {
	for i := range m.ISO.Boot {
		boots = boots || m.ISO.Boot[i].Platform == iso9660.PlatformUEFI
	}
	for i := range m.menus {
		x := &m.menus[i]
		menu = menu || x.boots && (x.efi != nil || x.dialect.loader == "grub" || x.dialect.loader == "systemd-boot")
	}
	return boots, menu
}

// partText is the unchanged text of a file of a menu.
func (m *Medium) partText(x *menu, p part) ([]byte, error) {
	if !p.efi {
		return m.text(p.path)
	}
	text, err := x.efi.fs.ReadFile(p.path, maxText)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", m.Name, x.efi.name, err)
	}
	return text, nil
}

// parse reads a menu, and records its files.
func (m *Medium) parse(x *menu) (*bootmenu.Menu, error) {
	text, err := m.partText(x, x.self())
	if err != nil {
		return nil, err
	}
	return x.dialect.read(text, func(name string) ([]byte, error) {
		name = x.placed(name)
		p := part{x.efi.find(name), true}
		if p.path == "" || p == x.self() {
			p = part{m.find(x.dir, name), false}
		}
		if p.path == "" || p == x.self() {
			return nil, nil
		}
		if !slices.Contains(x.parts, p) {
			x.parts = append(x.parts, p)
		}
		return m.partText(x, p)
	})
}

// Doubt is a place in a menu that a prod image must not have: its target is not the image, or is unknown.
type Doubt struct {
	Menu string
	Line int
	Text string
}

func (d *Doubt) String() string {
	if d.Line == 0 {
		return d.Menu + ": " + d.Text
	}
	return fmt.Sprintf("%s:%d: %s", d.Menu, d.Line, d.Text)
}

// InMenu is the doubt without the menu's name.
func (d *Doubt) InMenu() string {
	if d.Line == 0 {
		return d.Text
	}
	return fmt.Sprintf("line %d: %s", d.Line, d.Text)
}

// WaysIn lists the parts of its menus that a prod image must not have: entries that boot something else, doubts,
// and kernel arguments that are neither known to be harmless nor allowed.
func (m *Medium) WaysIn(allow []string) []Doubt {
	noCDE := m.Files.Get("cde") == nil && m.Files.Get("CDE") == nil
	out := slices.Concat(m.Others, m.Doubts)
	for _, e := range m.Entries {
		allow := allow
		if noCDE {
			allow = slices.Concat(allow, extensionLists(e.Append))
		}
		for _, way := range cmdline.WaysIn(cmdline.Without(e.Append, "initrd"), allow) {
			out = append(out, Doubt{e.Menu, e.Line, fmt.Sprintf("%s has the %s", e.title(), way)})
		}
	}
	return out
}

// extensionLists are the arguments of stock menus that choose extensions of the folder cde. Without that folder
// they load nothing: lst names a list next to the onboot.lst that Tiny Core reads anyway.
func extensionLists(line string) []string {
	out := []string{"cde"}
	for _, a := range cmdline.Split(line) {
		if a.Name == "lst" && !strings.ContainsAny(a.Text, "/\" ") {
			out = append(out, a.Text)
		}
	}
	return out
}

// title names an entry in messages.
func (e *Entry) title() string {
	if e.Name == "" {
		return "the entry without a name"
	}
	return "label " + e.Name
}

// take adds an entry, and records its missing files. The first entry whose kernel and initrds are on the medium
// becomes the default. take records every other entry that boots anything but these initrds: it would start stock
// Tiny Core in an image with another initrd.
func (m *Medium) take(i int, e bootmenu.Entry, first bool) {
	x := &m.menus[i]
	out := Entry{Menu: m.partName(i, e.File), Line: e.Line, Loader: x.dialect.loader, Name: e.Name, Kernel: e.Kernel, Initrds: e.Initrds, Append: e.Append, First: first}
	kernel := m.find(x.dir, e.Kernel)
	if e.Implied && kernel == "" && !x.efi.has(e.Kernel) {
		return
	}
	var found []string
	for i, name := range slices.Concat([]string{e.Kernel}, e.Initrds) {
		switch p := m.find(x.dir, name); {
		case x.efi.has(name):
		case p == "" && !strings.Contains(name, "$"):
			out.Missing = append(out.Missing, name)
		case p != "" && i > 0:
			found = append(found, p)
		}
	}
	m.Entries = append(m.Entries, out)
	whole := kernel != "" && len(found) > 0 && len(found) == len(e.Initrds) && !strings.Contains(e.Kernel, "$") && !x.efi.has(e.Kernel)
	switch {
	case m.Kernel == "" && whole:
		m.Kernel, m.Initrds, m.Arguments = kernel, found, cmdline.Without(e.Append, "initrd")
	case whole && m.sameSystem(found):
	case slices.Contains(out.Missing, e.Kernel):
		if at := m.withExtension(x.dir, e.Kernel); at != "" {
			m.Doubts = append(m.Doubts, Doubt{out.Menu, out.Line, fmt.Sprintf("%s starts %s, which is found as %s", out.title(), e.Kernel, at)})
		}
	default:
		m.Others = append(m.Others, Doubt{out.Menu, out.Line, fmt.Sprintf("%s boots %s with %s", out.title(), e.Kernel, cmp.Or(strings.Join(e.Initrds, ","), "no initrd"))})
	}
}

// withExtension returns the file that isolinux takes for a missing kernel: it tries its own types (syslinux.txt,
// KERNEL).
func (m *Medium) withExtension(dir, name string) string {
	for _, ext := range []string{".com", ".cbt", ".c32", ".bss", ".bs", ".bin", ".0"} {
		if at := m.find(dir, name+ext); at != "" {
			return at
		}
	}
	return ""
}

// sameSystem reports whether all initrds are the default entry's, with its last one last.
func (m *Medium) sameSystem(initrds []string) bool {
	for _, name := range initrds {
		if !slices.Contains(m.Initrds, name) {
			return false
		}
	}
	return initrds[len(initrds)-1] == m.LastInitrd()
}
