package medium

import (
	"path"
	"slices"
	"strings"

	"mkbuild/internal/bootmenu"
	"mkbuild/internal/grub"
	"mkbuild/internal/ipxe"
	"mkbuild/internal/isolinux"
	"mkbuild/internal/sdboot"
)

// dialect is the menu language of a boot loader: where its menus are, how to read and how to edit one. The
// loader's package knows the syntax.
type dialect struct {
	loader string
	// names are the loader's names for its menu, in lower case: base names on an ISO, or paths in a PXE folder.
	names  []string
	folder bool
	// isMenu recognises menus without fixed names.
	isMenu func(name string) bool
	// fromRoot says that names in a menu are relative to the medium's root, not to the menu's folder.
	fromRoot bool
	read     func(text []byte, open bootmenu.Open) (*bootmenu.Menu, error)
	edit     func(text []byte, e bootmenu.Edit) ([]byte, error)
}

// Where the menus of a PXE folder are, relative to the folder of pxelinux.0.
const (
	pxelinuxMenu = "pxelinux.cfg/default"
	ipxeScript   = "boot.ipxe"
)

// dialects lists the known boot loaders. The first one with a menu on a medium decides what the medium boots by
// default. A loader that is added here leaves isForeign.
func dialects() []*dialect {
	return []*dialect{
		{loader: "isolinux", names: []string{"isolinux.cfg", "syslinux.cfg", "extlinux.conf", "syslx64.cfg", "syslia32.cfg"}, read: isolinux.Read, edit: isolinux.Edit},
		{loader: "grub", names: []string{"grub.cfg", "loopback.cfg"}, fromRoot: true, read: grub.Read, edit: grub.Edit},
		{loader: "systemd-boot", isMenu: sdboot.IsEntry, fromRoot: true, read: sdboot.Read, edit: sdboot.Edit},
		{loader: "pxelinux", folder: true, names: []string{pxelinuxMenu}, fromRoot: true, read: isolinux.Read, edit: isolinux.Edit},
		{loader: "ipxe", folder: true, names: []string{ipxeScript}, fromRoot: true, read: ipxe.Read, edit: ipxe.Edit},
	}
}

// dialectOf returns the dialect of a file with a boot menu's name, and a number that sorts menus by dialect and
// name; nil for other files.
func dialectOf(name string, folder bool) (*dialect, int) {
	short := name
	if !folder {
		short = path.Base(name)
	}
	rank := 0
	for _, d := range dialects() {
		i := slices.Index(d.names, strings.ToLower(short))
		if d.isMenu != nil && d.isMenu(name) {
			i = 0
		}
		if i >= 0 && d.folder == folder {
			return d, rank + i
		}
		rank += len(d.names) + 1
	}
	return nil, 0
}

// isForeign reports whether a file is the menu of an unknown boot loader, or a unified kernel image, which
// systemd-boot offers.
func isForeign(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains([]string{"menu.lst", "grub.conf", "refind.conf", "limine.conf", "limine.cfg", "elilo.conf", "lilo.conf", "burg.cfg", "clover.plist"}, path.Base(name)) ||
		path.Dir(name) == "efi/linux" && path.Ext(name) == ".efi"
}

// dir returns the folder of relative names in the menu at a path.
func (d *dialect) dir(at string) string {
	if d.fromRoot {
		return ""
	}
	return path.Dir(at)
}
