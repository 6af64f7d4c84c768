package inspect

import (
	"fmt"
	"io"
	"strings"

	"mkbuild/internal/lock"
	"mkbuild/internal/manifest"
	"mkbuild/internal/ui"
)

// page collects lines for people. Everything that came out of an image goes through [ui.Clean], so
// that no image can move the cursor of a terminal.
type page struct {
	w   io.Writer
	err error
}

func (p *page) line(format string, args ...any) {
	if p.err != nil {
		return
	}
	for i, a := range args {
		switch s := a.(type) {
		case string:
			args[i] = ui.Clean(s)
		case manifest.Text:
			args[i] = ui.Clean(string(s))
		}
	}
	_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
}

// title begins a part of the page.
func (p *page) title(format string, args ...any) {
	p.line("")
	p.line(format, args...)
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) error {
	p := &page{w: w}
	p.line("%s: %s, %d bytes, sha256 %s", r.Name, kindName(r.Kind), r.Size, r.SHA256)
	r.printMedium(p)
	r.printSystem(p)
	r.printManifest(p)
	if r.Lock != nil {
		printLock(p, r.Lock)
	}
	r.printSizes(p)
	r.printFiles(p)
	p.line("")
	p.line("Tip: for machine-readable output, use --json.")
	return p.err
}

func kindName(kind string) string {
	return map[string]string{KindISO: "ISO image", KindPXE: "PXE folder", KindInitrd: "initrd", KindLock: "lock"}[kind]
}

func (r *Report) printMedium(p *page) {
	if v := r.Volume; v != nil {
		p.title("Volume %s: %s", v.ID, strings.Join(features(v), ", "))
		for _, f := range [][2]string{{"system", v.System}, {"application", v.Application}, {"preparer", v.Preparer}} {
			if f[1] != "" {
				p.line("  %s: %s", f[0], f[1])
			}
		}
	}
	if len(r.Boot) > 0 {
		p.title("Boot entries (El Torito)")
	}
	for _, b := range r.Boot {
		note := ""
		if b.InfoTable {
			note += ", boot-info-table"
		}
		if !b.Bootable {
			note += ", not bootable"
		}
		p.line("  %s  %s  emulation %s, loads %d sectors%s", b.Platform, named(b.Path, "(hidden)"), b.Emulation, b.LoadSectors, note)
	}
	r.printMenus(p)
	if k := r.Kernel; k != nil {
		p.title("Kernel %s: %s, %d bytes, sha256 %s", named(k.Release, "(of unknown release)"), k.Path, k.Size, k.SHA256)
	}
}

func features(v *Volume) []string {
	out := []string{fmt.Sprintf("%d entries", v.Files)}
	for _, f := range []struct {
		has  bool
		name string
	}{{v.RockRidge, "Rock Ridge"}, {v.Joliet, "Joliet"}, {v.Hybrid, "hybrid (boots from a disk, too)"}} {
		if f.has {
			out = append(out, f.name)
		}
	}
	return out
}

func named(s, or string) string {
	if s == "" {
		return or
	}
	return s
}

func (r *Report) printMenus(p *page) {
	menu := ""
	for _, e := range r.Menu {
		if e.Menu != menu {
			p.title("Menu %s (%s)", e.Menu, e.Loader)
			menu = e.Menu
		}
		p.line("  %s: kernel %s, initrd %s", named(e.Label, "(no name)"), e.Kernel, named(strings.Join(e.Initrds, " "), "none"))
		if e.Append != "" {
			p.line("    arguments: %s", e.Append)
		}
		if len(e.Missing) > 0 {
			p.line("    missing on the medium: %s", strings.Join(e.Missing, " "))
		}
	}
}

// maxLines is how much of one script people want to see here.
const maxLines = 10

func (r *Report) printSystem(p *page) {
	i := r.Initrd
	if i == nil {
		return
	}
	p.title("Initrd %s: %d entries, %d bytes unpacked", strings.Join(i.Paths, " "), i.Entries, i.Unpacked)
	for _, s := range i.Segments {
		p.line("  at %d: %d bytes, %s, %d entries  %s", s.Offset, s.Size, s.Packing, s.Entries, s.Name)
	}
	if r.Release != "" {
		p.title("Tiny Core %s", r.Release)
	}
	if r.Razor != nil && r.Razor.Version != "" {
		p.title("Microkernel %s", r.Razor.Version)
	}
	r.printExtensions(p)
	if len(r.Services) > 0 {
		p.title("Started")
	}
	shown := map[string]int{}
	for _, s := range r.Services {
		shown[s.From]++
		switch n := shown[s.From]; {
		case n <= maxLines:
			p.line("  %s: %s", s.From, s.What)
		case n == maxLines+1:
			p.line("  %s: …", s.From)
		}
	}
	p.title("Accounts that can log in%s", none(len(r.Accounts)))
	for _, a := range r.Accounts {
		p.line("  %s (uid %s), password: %s, shell %s", a.Name, a.UID, a.Password, named(a.Shell, "/bin/sh"))
	}
	p.title("Set-uid and set-gid files%s", none(len(r.SetID)))
	for _, f := range r.SetID {
		p.line("  %s %d:%d /%s", f.Mode, f.UID, f.GID, f.Path)
	}
}

func none(n int) string {
	if n == 0 {
		return ": none"
	}
	return ""
}

func (r *Report) printExtensions(p *page) {
	p.title("Extensions%s", none(len(r.Extensions)))
	for _, e := range r.Extensions {
		note := ""
		if e.Startup {
			note += ", startup script"
		}
		if e.OnBoot {
			note += ", on boot"
		}
		p.line("  %s (%s%s)", e.Name, e.How, note)
	}
	if len(r.Gems) > 0 {
		p.title("Gems")
	}
	for _, g := range r.Gems {
		p.line("  %s", g)
	}
}

func (r *Report) printManifest(p *page) {
	s := r.Manifest
	switch {
	case s == nil:
		return
	case s.Error != "":
		p.title("Manifest: %s", s.Error)
		return
	}
	p.title("Made by mkbuild %s: profile %s, release %s, %s, source date %d, plan %s", s.Mkbuild, s.Profile, s.Release, s.Arch, s.SourceDate, s.Plan)
	printInputs(p, s.Inputs)
}

func printLock(p *page, l *lock.Lock) {
	p.title("Release %s, %s, kernel %s, source date %d", l.Release, l.Arch, l.Kernel, l.SourceDate)
	printInputs(p, l.Inputs)
}

func printInputs(p *page, inputs []lock.Input) {
	for _, in := range inputs {
		p.line("  %s %s  %d bytes, sha256 %s (%s)", in.Kind, in.Name, in.Size, in.SHA256, strings.Join(in.Why, ", "))
	}
}

func (r *Report) printSizes(p *page) {
	if r.Sizes == nil {
		return
	}
	for _, part := range []struct {
		title string
		list  []Amount
	}{{"Bytes by origin", r.Sizes.Origins}, {"Bytes by directory", r.Sizes.Directories}, {"Largest files", r.Sizes.Largest}} {
		if len(part.list) == 0 {
			continue
		}
		p.title("%s", part.title)
		for _, a := range part.list {
			p.line("  %10d  %5d files  %s", a.Bytes, a.Files, a.Name)
		}
	}
}

func (r *Report) printFiles(p *page) {
	if len(r.Files) > 0 {
		p.title("Files")
	}
	for _, f := range r.Files {
		tail := ""
		switch {
		case f.Link != "":
			tail = " -> " + string(f.Link)
		case f.Device != "":
			tail = " device " + f.Device
		}
		if f.Origin != "" {
			tail += "  (" + f.Origin + ")"
		}
		p.line("  %6s %d:%d %10d %s%s", f.Mode, f.UID, f.GID, f.Size, f.Path, tail)
	}
}
