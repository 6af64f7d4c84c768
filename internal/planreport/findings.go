package planreport

import (
	"path"
	"strings"

	"mkbuild/internal/needed"
	"mkbuild/internal/overlay"
	"mkbuild/internal/remaster"
)

// Rules of this package's own warnings.
const (
	RuleMissingLibrary = "missing-library"
	RuleDanglingLink   = "dangling-link"
	RuleShadowsBusybox = "shadows-busybox"
)

// findings looks at what was added. What the base lacks by itself is not the plan's business.
func findings(p *remaster.Preview) []Warning {
	out := missingLibraries(p)
	out = append(out, danglingLinks(p)...)
	return append(out, shadows(p)...)
}

// missingLibraries are those that the image lacks and its base did not.
func missingLibraries(p *remaster.Preview) []Warning {
	known := map[string]bool{}
	for _, l := range needed.Missing(p.Base) {
		known[l.String()] = true
	}
	var out []Warning
	for _, l := range needed.Missing(p.Image) {
		if !known[l.String()] {
			out = append(out, Warning{RuleMissingLibrary, l.Name, "no file of the image is the shared library " + l.String()})
		}
	}
	return out
}

// made are directories that a booting system fills.
func made() []string {
	return []string{"dev/", "proc/", "sys/", "run/", "tmp/", "var/", "mnt/", "home/", "media/", "etc/mtab", "etc/sysconfig/"}
}

// danglingLinks are added symlinks that lead nowhere, but for places that come into being at boot.
func danglingLinks(p *remaster.Preview) []Warning {
	var out []Warning
	for _, e := range p.Image.Entries() {
		if !e.IsLink() || fromBase(p, e) {
			continue
		}
		end, err := p.Image.Resolve(e.Path)
		if err == nil && (p.Image.Get(end) != nil || end == "." || filledAtBoot(end)) {
			continue
		}
		out = append(out, Warning{RuleDanglingLink, e.Path, "/" + e.Path + " of " + owner(e) + " leads to " + e.Link + ", which is not in the image"})
	}
	return out
}

func filledAtBoot(p string) bool {
	for _, dir := range made() {
		if strings.HasPrefix(p+"/", dir) || p == dir {
			return true
		}
	}
	return false
}

func fromBase(p *remaster.Preview, e *overlay.Entry) bool {
	old := p.Base.Get(e.Path)
	return old != nil && sameEntry(old, e)
}

// programDirs are where programs are looked for. Tiny Core's PATH begins with /usr/local.
func programDirs() []string {
	return []string{"usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"}
}

// shadows are added programs that run instead of one of busybox's.
func shadows(p *remaster.Preview) []Warning {
	applets := appletsOf(p.Base)
	var out []Warning
	for _, dir := range programDirs() {
		for _, e := range p.Image.Children(dir) {
			applet := applets[path.Base(e.Path)]
			if applet == "" || e.IsDir() || fromBase(p, e) || rank(e.Path) > rank(applet) {
				continue
			}
			out = append(out, Warning{RuleShadowsBusybox, e.Path, "/" + e.Path + " of " + owner(e) + " runs instead of busybox's /" + applet + ": options and output may differ"})
		}
	}
	return out
}

func rank(p string) int {
	for i, dir := range programDirs() {
		if path.Dir(p) == dir {
			return i
		}
	}
	return len(programDirs())
}

// appletsOf are the base's programs that are busybox, by name: links to it of both kinds.
func appletsOf(base *overlay.Tree) map[string]string {
	group := ""
	if b, err := base.Lookup("bin/busybox"); err == nil {
		group = b.HardLink
	}
	out := map[string]string{}
	for _, dir := range programDirs() {
		for _, e := range base.Children(dir) {
			name := path.Base(e.Path)
			switch {
			case strings.HasPrefix(name, "busybox"), out[name] != "":
			case e.IsLink() && strings.HasPrefix(path.Base(e.Link), "busybox"), group != "" && e.HardLink == group:
				out[name] = e.Path
			}
		}
	}
	return out
}
