package tcz

import (
	"path"

	"mkbuild/internal/overlay"
)

// InstalledDir is where Tiny Core keeps a file for each loaded extension.
const InstalledDir = "usr/local/tce.installed"

// moduleDirs are where extensions put kernel modules: the first on x86, the second in some of
// the ARM ports.
var moduleDirs = [...]string{"usr/local/lib/modules", "lib/modules"}

// Marker returns the path of the file that says an extension is loaded. name may end in ".tcz".
func Marker(name string) string { return path.Join(InstalledDir, Base(name)) }

// StartupScript reports whether the marker that t has for an extension is executable: then it is
// the extension's startup script, to be run as root once everything is loaded.
func StartupScript(t *overlay.Tree, name string) bool {
	e, err := t.Lookup(Marker(name))
	return err == nil && e.IsRegular() && e.Perm()&0o111 != 0
}

// HasModules reports whether t has kernel modules for the kernel release, or for any when kernel
// is empty: then the module index of the image must be made anew.
func HasModules(t *overlay.Tree, kernel string) bool {
	for _, dir := range moduleDirs {
		if e := t.Get(path.Join(dir, kernel)); e != nil && e.IsDir() && len(t.Children(e.Path)) > 0 {
			return true
		}
	}
	return false
}
