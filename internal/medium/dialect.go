package medium

import (
	"path"
	"slices"
	"sort"
	"strings"

	"mkbuild/internal/grub"
	"mkbuild/internal/ipxe"
	"mkbuild/internal/isolinux"
)

// dialect is the menu language of a boot loader: where its menus are, how one is read, and how one is
// edited. The syntax is known to the package of the loader.
type dialect struct {
	loader string
	// names are those under which the loader looks for its menu, in lower case: anywhere on an ISO; or
	// their paths in a PXE folder.
	names  []string
	folder bool
	// variables says that a "$" in a name stands for what is known on the machine alone.
	variables bool
	// fromRoot says that names in a menu are relative to the medium's root, not to the menu's folder.
	fromRoot bool
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

// loaderGRUB is the only loader here that boots by UEFI.
const loaderGRUB = "grub"

// dialects lists the boot loaders whose menus are known. The first one with a menu on a medium decides
// what the medium boots by default.
func dialects() []*dialect {
	return []*dialect{
		{loader: "isolinux", names: []string{"isolinux.cfg", "syslinux.cfg", "extlinux.conf", "syslx64.cfg", "syslia32.cfg"}, read: readISOLINUX, edit: editISOLINUX},
		{loader: loaderGRUB, names: []string{"grub.cfg", "loopback.cfg"}, variables: true, fromRoot: true, read: readGRUB, edit: editGRUB},
		{loader: "pxelinux", folder: true, names: []string{pxelinuxMenu}, fromRoot: true, read: readISOLINUX, edit: editISOLINUX},
		{loader: "ipxe", folder: true, names: []string{ipxeScript}, variables: true, fromRoot: true, read: readIPXE, edit: editIPXE},
	}
}

// dialectOf returns the dialect of a file that is a boot menu by its name, and a number that sorts menus by
// dialect and name; nil for other files.
func dialectOf(name string, folder bool) (*dialect, int) {
	if !folder {
		name = path.Base(name)
	}
	rank := 0
	for _, d := range dialects() {
		if i := slices.Index(d.names, strings.ToLower(name)); i >= 0 && d.folder == folder {
			return d, rank + i
		}
		rank += len(d.names)
	}
	return nil, 0
}

// dir returns the folder that names in the menu at a path are relative to.
func (d *dialect) dir(menu string) string {
	if d.fromRoot {
		return ""
	}
	return path.Dir(menu)
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

func readIPXE(text []byte, _ func(name string) ([]byte, error)) (*page, error) {
	p := &page{}
	for _, e := range ipxe.Entries(text) {
		p.entries = append(p.entries, Entry{Name: e.Name, Kernel: e.Kernel, Initrds: e.Initrds, Append: e.Append})
	}
	return p, nil
}

func editIPXE(text []byte, e Edit, _ place) ([]byte, error) {
	return ipxe.Edit(text, e.Remove, e.Append)
}
