package medium

import (
	"path"
	"slices"
	"strings"

	"mkbuild/internal/bootmenu"
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
	// fromRoot says that names in a menu are relative to the medium's root, not to the menu's folder.
	fromRoot bool
	read     func(text []byte, open bootmenu.Open) (*bootmenu.Menu, error)
	edit     func(text []byte, e bootmenu.Edit) ([]byte, error)
}

// loaderGRUB is the only loader here that boots by UEFI.
const loaderGRUB = "grub"

// Where the menus of a PXE folder are, relative to the folder of pxelinux.0.
const (
	pxelinuxMenu = "pxelinux.cfg/default"
	ipxeScript   = "boot.ipxe"
)

// dialects lists the boot loaders whose menus are known. The first one with a menu on a medium decides
// what the medium boots by default.
func dialects() []*dialect {
	return []*dialect{
		{loader: "isolinux", names: []string{"isolinux.cfg", "syslinux.cfg", "extlinux.conf", "syslx64.cfg", "syslia32.cfg"}, read: isolinux.Read, edit: isolinux.Edit},
		{loader: loaderGRUB, names: []string{"grub.cfg", "loopback.cfg"}, fromRoot: true, read: grub.Read, edit: grub.Edit},
		{loader: "pxelinux", folder: true, names: []string{pxelinuxMenu}, fromRoot: true, read: isolinux.Read, edit: isolinux.Edit},
		{loader: "ipxe", folder: true, names: []string{ipxeScript}, fromRoot: true, read: ipxe.Read, edit: ipxe.Edit},
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
func (d *dialect) dir(at string) string {
	if d.fromRoot {
		return ""
	}
	return path.Dir(at)
}
