package medium

import (
	"path"
	"slices"
	"sort"

	"mkbuild/internal/grub"
	"mkbuild/internal/isolinux"
)

// dialect is the menu language of a boot loader: what its menus are called, how one is read, and how
// one is edited. The syntax is known to the package of the loader.
type dialect struct {
	loader string
	// names are those under which the loader looks for its menu, in lower case.
	names []string
	// variables says that a "$" in a name stands for what is known on the machine alone.
	variables bool
	// dir is the folder that names in the menu at a path are relative to.
	dir func(path string) string
	// read returns what a menu says. open returns the text of a file that is part of it, nil for one that
	// is not there.
	read func(text []byte, open func(name string) ([]byte, error)) (*page, error)
	// edit returns the changed text of a menu, or of a file that is part of one.
	edit func(text []byte, e Edit, place place) ([]byte, error)
}

// page is what a menu says.
type page struct {
	entries []Entry  // the default first
	menus   []string // further menus that it leads to
}

// place says what a text is to its menu.
type place int

const (
	wholeMenu place = iota
	menuWithParts
	menuPart
)

// The loaders by the names that an [Entry] has for them.
const (
	loaderISOLINUX = "isolinux"
	loaderPXELINUX = "pxelinux"
	loaderGRUB     = "grub"
)

// PXEMenu is where PXELINUX looks for its menu, relative to the folder of pxelinux.0.
const PXEMenu = "pxelinux.cfg/default"

// dialects lists the boot loaders whose menus are known. The first one with a menu on a medium decides
// what the medium boots by default.
func dialects() []*dialect {
	root := func(string) string { return "" }
	return []*dialect{
		{loader: loaderISOLINUX, names: []string{"isolinux.cfg", "syslinux.cfg", "extlinux.conf", "syslx64.cfg", "syslia32.cfg"},
			dir: path.Dir, read: readISOLINUX, edit: editISOLINUX},
		{loader: loaderGRUB, names: []string{"grub.cfg", "loopback.cfg"},
			variables: true, dir: root, read: readGRUB, edit: editGRUB},
	}
}

// pxelinux reads the same menus as isolinux, in a folder.
func pxelinux() *dialect {
	return &dialect{loader: loaderPXELINUX, dir: func(string) string { return "" }, read: readISOLINUX, edit: editISOLINUX}
}

// dialectOf returns the dialect of a file that is a boot menu by its name, or nil.
func dialectOf(name string) *dialect {
	for _, d := range dialects() {
		if slices.Contains(d.names, lowerBase(name)) {
			return d
		}
	}
	return nil
}

// menuRank sorts the names of menus: those of one dialect in its own order.
func menuRank(name string) int {
	rank := 0
	for _, d := range dialects() {
		if i := slices.Index(d.names, lowerBase(name)); i >= 0 {
			return rank + i
		}
		rank += len(d.names)
	}
	return rank
}

func readISOLINUX(text []byte, open func(name string) ([]byte, error)) (*page, error) {
	text, err := isolinux.Expand(text, open)
	if err != nil {
		return nil, err
	}
	ls, err := isolinux.Labels(text)
	sort.SliceStable(ls, func(i, j int) bool { return ls[i].Default && !ls[j].Default })
	p := &page{}
	for _, l := range ls {
		p.entries = append(p.entries, Entry{Name: l.Name, Kernel: l.Kernel, Initrds: l.Initrds, Append: l.Append})
	}
	return p, err
}

func editISOLINUX(text []byte, e Edit, at place) ([]byte, error) {
	o := isolinux.Options{Remove: e.Remove, Append: e.Append, TimeoutTenths: e.TimeoutTenths, Part: at == menuPart}
	if at == menuWithParts {
		if ls, err := isolinux.Labels(text); err != nil || len(ls) == 0 { // they are in its parts
			o.Append = ""
		}
	}
	return isolinux.Edit(text, o)
}

func readGRUB(text []byte, _ func(name string) ([]byte, error)) (*page, error) {
	p := &page{}
	var err error
	if p.menus, err = grub.Sources(text); err != nil {
		return nil, err
	}
	es, err := grub.Entries(text)
	for _, e := range es {
		p.entries = append(p.entries, Entry{Name: e.Name, Kernel: e.Kernel, Initrds: e.Initrds, Append: e.Append})
	}
	return p, err
}

func editGRUB(text []byte, e Edit, _ place) ([]byte, error) {
	return grub.Edit(text, grub.Options{Remove: e.Remove, Append: e.Append, TimeoutTenths: e.TimeoutTenths})
}
