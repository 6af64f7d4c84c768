package inspect

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"mkbuild/internal/cmdline"
	"mkbuild/internal/lock"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/ui"
)

// page collects lines of text. Texts of an image go through [ui.Clean], so that no image can control the
// terminal.
type page struct {
	w   io.Writer
	err error
}

func (p *page) line(format string, args ...any) {
	if p.err != nil {
		return
	}
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = ui.Clean(s)
		}
	}
	_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
}

// title begins a part of the page.
func (p *page) title(format string, args ...any) {
	p.line("")
	p.line(format, args...)
}

// section writes a title and a line for each item. Without items it writes ifNone after the title, or nothing.
func section[T any](p *page, title, ifNone string, all []T, line func(T) string) {
	if len(all) == 0 && ifNone == "" {
		return
	}
	p.title("%s%s", title, when(len(all) == 0, ifNone))
	for _, x := range all {
		p.line("  %s", line(x))
	}
}

func when(is bool, note string) string {
	if is {
		return note
	}
	return ""
}

// Print writes the report as text.
func (r *Report) Print(w io.Writer) error {
	p := &page{w: w}
	kind := map[string]string{KindISO: "ISO image", KindPXE: "PXE folder", KindInitrd: "initrd", KindLock: "lock"}[r.Kind]
	p.line("%s: %s, %s%d bytes, sha256 %s", r.Name, kind, when(r.Plan != nil, "to be built, "), r.Size, r.SHA256)
	p.medium(r)
	p.system(r)
	if s := r.Manifest; s != nil && s.Error != "" {
		p.title("Manifest: %s", s.Error)
	} else if s != nil {
		p.title("Made by mkbuild %s: profile %s, release %s, %s, source date %d, plan %s", s.Mkbuild, s.Profile, s.Release, s.Arch, s.SourceDate, s.Plan)
		p.inputs(s.Inputs)
	}
	if l := r.Lock; l != nil {
		p.title("Release %s, %s, kernel %s, source date %d", l.Release, l.Arch, l.Kernel, l.SourceDate)
		p.inputs(l.Inputs)
	}
	if s := r.Sizes; s != nil {
		section(p, "Bytes by origin: unpacked, in RAM, files", "", s.Origins, Amount.line)
		section(p, "Bytes by directory: unpacked, in RAM, files", "", s.Directories, Amount.line)
		section(p, "Largest files: unpacked, in RAM, files", "", s.Largest, Amount.line)
	}
	if r.Plan != nil {
		p.plan(r)
	}
	section(p, "Files", "", r.Files, fileLine)
	p.line("")
	p.line("Tip: for machine-readable output, use --json.")
	return p.err
}

// medium describes a medium and its boot entries.
func (p *page) medium(r *Report) {
	if v := r.Volume; v != nil {
		features := fmt.Sprintf("%d entries", v.Files) + when(v.RockRidge, ", Rock Ridge") + when(v.Joliet, ", Joliet") + when(v.Hybrid, ", hybrid (boots from a disk, too)")
		p.title("Volume %s: %s", v.ID, features)
		for _, f := range [][2]string{{"system", v.System}, {"application", v.Application}, {"preparer", v.Preparer}} {
			if f[1] != "" {
				p.line("  %s: %s", f[0], f[1])
			}
		}
	}
	section(p, "Boot entries (El Torito)", "", r.Boot, func(b BootEntry) string {
		return fmt.Sprintf("%s  %s  emulation %s, loads %d sectors%s", b.Platform, cmp.Or(b.Path, "(hidden)"), b.Emulation, b.LoadSectors,
			when(b.InfoTable, ", with boot-info-table")+when(!b.Bootable, ", not bootable"))
	})
	menu := ""
	for _, e := range r.Menu {
		if e.Menu != menu {
			p.title("Menu %s (%s)", e.Menu, e.Loader)
			menu = e.Menu
		}
		p.line("  %s: kernel %s, initrd %s", cmp.Or(e.Name, "(no name)"), e.Kernel, cmp.Or(initrdNames(e.Initrds), "none"))
		if args := ownArguments(&e); args != "" {
			p.line("    arguments: %s", args)
		}
		if len(e.Missing) > 0 {
			p.line("    missing on the medium: %s", strings.Join(e.Missing, " "))
		}
	}
	if k := r.Kernel; k != nil {
		p.title("Kernel %s: %s, %d bytes, sha256 %s", cmp.Or(k.Release, "(of unknown release)"), k.Path, k.Size, k.SHA256)
	}
}

// maxNamed is the number of initrds shown by name. More of them are segments, whose names are digests.
const maxNamed = 4

func initrdNames(paths []string) string {
	if len(paths) > maxNamed {
		return fmt.Sprintf("in %d segments", len(paths))
	}
	return strings.Join(paths, " ")
}

// ownArguments are the kernel arguments of an entry, without the names of its segments.
func ownArguments(e *medium.Entry) string {
	if len(e.Initrds) > maxNamed {
		return cmdline.Without(e.Append, "initrd")
	}
	return e.Append
}

// maxScript is the number of lines shown of a script.
const maxScript = 10

func (p *page) system(r *Report) {
	i := r.Initrd
	if i == nil {
		return
	}
	p.title("Initrd %s: %d entries, %d bytes unpacked", initrdNames(i.Paths), i.Entries, i.Unpacked)
	for _, s := range i.Segments {
		p.line("  at byte %d: %d bytes, %s, %d entries  %s", s.Offset, s.Size, s.Packing, s.Entries, s.Name)
	}
	p.line("  RAM: %d bytes, %d while the kernel unpacks the initrd", i.RAM, i.BootRAM)
	if r.Release != "" {
		p.title("Tiny Core %s", r.Release)
	}
	if r.Razor != nil && r.Razor.Version != "" {
		p.title("Microkernel %s", r.Razor.Version)
	}
	section(p, "Extensions", ": none", r.Extensions, func(e Extension) string {
		return fmt.Sprintf("%s (%s%s)", e.Name, e.How, when(e.Startup, ", startup script")+when(e.OnBoot, ", on boot"))
	})
	section(p, "Gems", "", r.Gems, func(gem string) string { return gem })
	section(p, "Started", "", shortened(r.Services), func(s Service) string { return s.From + ": " + s.What })
	section(p, "Accounts that can log in", ": none", r.Accounts, func(a Account) string {
		return fmt.Sprintf("%s (uid %s), password: %s, shell %s", a.Name, a.UID, a.Password, cmp.Or(a.Shell, "/bin/sh"))
	})
	section(p, "Set-uid and set-gid files", ": none", r.SetID, func(f manifest.File) string {
		return fmt.Sprintf("%s %d:%d /%s", f.Mode, f.UID, f.GID, f.Path)
	})
}

// shortened cuts long scripts.
func shortened(all []Service) []Service {
	var out []Service
	n := map[string]int{}
	for _, s := range all {
		switch n[s.From]++; {
		case n[s.From] <= maxScript:
			out = append(out, s)
		case n[s.From] == maxScript+1:
			out = append(out, Service{s.From, "…"})
		}
	}
	return out
}

func (p *page) inputs(all []lock.Input) {
	for _, in := range all {
		p.line("  %s %s  %d bytes, sha256 %s (wanted by %s)%s", in.Kind, in.Name, in.Size, in.SHA256, strings.Join(in.Why, ", ")+firstOf(&in), when(in.URL != "", "  "+in.URL))
	}
}

// firstOf names the alternatives of which an extension was the first on a mirror.
func firstOf(in *lock.Input) string {
	return when(len(in.FirstOf) > 0, ", the first available of "+strings.Join(in.FirstOf, " and of "))
}

func (a Amount) line() string {
	return fmt.Sprintf("%10d %10d  %5d files  %s", a.Bytes, a.RAM, a.Files, a.Name)
}

func (p *page) plan(r *Report) {
	p.title("Extensions and what they need")
	tree := &closure{page: p, inputs: map[string]*lock.Input{}, done: map[string]bool{}}
	tree.print(r.Manifest.Inputs)
	for _, entry := range r.Plan.LeftOut {
		p.line("  left out, since no mirror has it: %s", entry)
	}
	p.title("Changes to the source image's files")
	p.changes(r.Plan.Changes)
	section(p, "Conflicts", ": none", r.Plan.Conflicts, func(c overlay.Conflict) string {
		return fmt.Sprintf("/%s: from %s; the file of %s is left out (%s)", c.Path, c.Kept, c.Skipped, c.Reason)
	})
	section(p, "Findings", ": none", r.Plan.Findings, func(f Finding) string {
		return f.line() + when(f.Origin != "", " ("+f.Origin+")")
	})
	if files := r.Plan.Private; len(files) > 0 {
		p.title("Note: everybody on the network of a PXE server can read these files of the image: /%s", strings.Join(files, ", /"))
	}
}

// closure writes extensions as trees of dependencies.
type closure struct {
	page   *page
	inputs map[string]*lock.Input // the extensions, by name
	done   map[string]bool
}

// print starts a tree at each extension that not only another extension asked for.
func (c *closure) print(inputs []lock.Input) {
	for i := range inputs {
		if inputs[i].Kind == lock.TCZ {
			c.inputs[inputs[i].Name] = &inputs[i]
		}
	}
	for i := range inputs {
		asked := slices.DeleteFunc(slices.Clone(inputs[i].Why), func(why string) bool { return c.inputs[why] != nil })
		if inputs[i].Kind == lock.TCZ && len(asked) > 0 {
			c.node(inputs[i].Name, "  ", "  ("+strings.Join(asked, ", ")+firstOf(&inputs[i])+")")
		}
	}
}

// node stops at extensions shown before, and so at cycles. A picked file does not need its extension's
// dependencies.
func (c *closure) node(name, indent, note string) {
	in := c.inputs[name]
	if c.done[name] && len(in.Needs) > 0 {
		note = cmp.Or(note, "  (needs what is shown above)")
	}
	c.page.line("%s%s%s", indent, name, note)
	if c.done[name] || in.OnlyPicked() {
		return
	}
	c.done[name] = true
	for _, need := range in.Needs {
		if c.inputs[need] != nil {
			c.node(need, indent+"  ", "")
		}
	}
}

// maxListed is the number of added paths shown of one origin.
const maxListed = 40

// changes counts and names the files that each origin adds and replaces.
func (p *page) changes(all []FileChange) {
	origins := map[string][]FileChange{}
	added := map[string]int{}
	for _, c := range all {
		origins[c.Origin] = append(origins[c.Origin], c)
		if c.Change == "add" {
			added[c.Origin]++
		}
	}
	for _, origin := range slices.Sorted(maps.Keys(origins)) {
		p.line("  %s: adds %d, replaces %d", origin, added[origin], len(origins[origin])-added[origin])
		for _, c := range origins[origin] {
			if c.Change == "replace" || added[origin] <= maxListed {
				p.line("    %s /%s", c.Change, c.Path)
			}
		}
	}
}

func fileLine(f manifest.File) string {
	tail := when(f.Device != "", " device "+f.Device) + when(f.Link != "", " -> "+string(f.Link)) + when(f.Origin != "", "  ("+f.Origin+")")
	return fmt.Sprintf("%6s %d:%d %10d %s%s", f.Mode, f.UID, f.GID, f.Size, f.Path, tail)
}
