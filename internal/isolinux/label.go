package isolinux

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"mkbuild/internal/bootmenu"
	"mkbuild/internal/cmdline"
)

// none is the number of a missing line of a section.
const none = -1

// section is a LABEL line with its lines up to the next LABEL. The numbers are lines of the file, or none; the last
// of repeated lines counts.
type section struct {
	name                               string
	at, kernel, append, initrd, global int
	standard, local, sector, configure bool // standard is the default label
}

// labels returns the sections of all labels. Lines before the first label are global: an APPEND there is for labels
// without their own. The default is the label with MENU DEFAULT, or the label in the first word of the last DEFAULT
// line.
func (f *file) labels() []section {
	var out []section
	global, standard := none, ""
	for i := range f.lines {
		l := &f.lines[i]
		if name, _ := l.fileArgs(); l.is("default") && name != "" {
			standard = name
		}
		if l.is("label") {
			out = append(out, section{name: l.value, at: i, kernel: none, append: none, initrd: none})
			continue
		}
		if len(out) == 0 {
			if l.is("append") {
				global = i
			}
			continue
		}
		out[len(out)-1].take(i, l)
	}
	for i := range out {
		out[i].global = global
		out[i].standard = out[i].standard || standard != "" && strings.EqualFold(standard, out[i].name)
	}
	return out
}

// take records a line of the section. The last line that names a file to start counts.
func (s *section) take(i int, l *line) {
	switch {
	case l.is("kernel"), l.is("linux"), l.is("com32"):
		s.kernel, s.local, s.sector, s.configure = i, false, false, false
	case l.is("append"):
		s.append = i
	case l.is("initrd"):
		s.initrd = i
	case l.is("localboot"):
		s.kernel, s.local, s.sector, s.configure = i, true, false, false
	case l.is("boot"), l.is("bss"), l.is("pxe"), l.is("fdimage"):
		s.kernel, s.local, s.sector, s.configure = i, false, true, false
	case l.is("config"):
		s.kernel, s.local, s.sector, s.configure = i, false, false, true
	case l.is("menu"):
		s.standard = s.standard || strings.EqualFold(l.value, "default")
	}
}

// otherTypes are the file types that isolinux does not boot as a Linux kernel (syslinux.txt, KERNEL): modules, boot
// sectors and images.
var otherTypes = map[string]bool{
	".c32": true, ".cbt": true, ".com": true, ".bin": true, ".bs": true, ".bss": true,
	".0": true, ".img": true,
}

func isKernel(file string) bool { return !otherTypes[strings.ToLower(path.Ext(file))] }

// bootsKernel reports whether the section boots a Linux kernel. With LINUX it does, whatever the file's name; with
// KERNEL the file's name decides. A label without either is the kernel's file name; it counts as a kernel if it has
// an initrd.
func (s *section) bootsKernel(f *file) bool {
	if s.local || s.sector || s.configure {
		return false
	}
	if s.kernel == none {
		return isKernel(s.name) && s.name != "" && len(s.entry(f).Initrds) > 0
	}
	k := &f.lines[s.kernel]
	file, _ := k.fileArgs()
	return file != "" && (k.is("linux") || !k.is("com32") && isKernel(file))
}

// fileArgs splits the value of a KERNEL line: arguments may follow the file, and isolinux puts them before the
// arguments of APPEND.
func (l *line) fileArgs() (file, args string) {
	n := strings.IndexAny(l.value, " \t")
	if n < 0 {
		return l.value, ""
	}
	return l.value[:n], strings.TrimSpace(l.value[n:])
}

// inherited returns args after the arguments of a global APPEND line, which the label's own new line would hide.
func (s *section) inherited(f *file, args string) string {
	if s.global == none || f.lines[s.global].noArgs() {
		return args
	}
	return cmdline.Add(f.lines[s.global].value, args)
}

// entry returns the exported form of a section that boots a kernel.
func (s *section) entry(f *file) bootmenu.Entry {
	out := bootmenu.Entry{Name: s.name, Kernel: s.name, Default: s.standard, Place: f.lines[s.at].at, Implied: s.kernel == none}
	if s.kernel != none {
		out.Kernel, out.Append = f.lines[s.kernel].fileArgs()
	}
	out.Append = strings.TrimSpace(out.Append + " " + s.options(f))
	if s.initrd != none {
		out.Initrds = splitList(f.lines[s.initrd].value)
	}
	takeInitrds(&out)
	return out
}

// file returns the file that the section starts, as written.
func (s *section) file(f *file) string {
	if s.kernel == none {
		return s.name
	}
	name, _ := f.lines[s.kernel].fileArgs()
	return name
}

// options returns the arguments of the section's APPEND, or of the global APPEND.
func (s *section) options(f *file) string {
	at := s.append
	if at == none {
		at = s.global
	}
	if at == none || f.lines[at].value == "-" {
		return ""
	}
	return f.lines[at].value
}

// takeInitrds searches for initrd=: the last one counts, and overrides INITRD. The loader does not know quotes.
func takeInitrds(e *bootmenu.Entry) {
	for _, arg := range strings.Fields(e.Append) {
		if name, list, ok := strings.Cut(arg, "="); ok && strings.EqualFold(strings.TrimLeft(name, `"`), "initrd") {
			e.Initrds = splitList(strings.TrimRight(list, `"`))
		}
	}
}

// splitList splits paths at commas.
func splitList(s string) []string {
	var out []string
	for _, p := range strings.Split(s, ",") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// read adds the section's target to the menu.
func (s *section) read(f *file, out *bootmenu.Menu) {
	switch {
	case s.bootsKernel(f):
		out.Entries = append(out.Entries, s.entry(f))
	case s.local:
	case s.kernel == none && isKernel(s.name): // a kernel without an initrd, or a menu line that starts nothing
		if s.name != "" {
			out.Entries = append(out.Entries, s.entry(f))
		}
	case s.configure:
		out.Menus = append(out.Menus, s.file(f))
	default:
		file, args := s.name, ""
		if s.kernel != none {
			file, args = f.lines[s.kernel].fileArgs()
		}
		at := f.lines[s.at].at
		if s.sector {
			out.Doubts = append(out.Doubts, bootmenu.Doubt{Place: at, Text: fmt.Sprintf("label %s starts the boot sector %s", s.name, file)})
			return
		}
		start(file, strings.TrimSpace(args+" "+s.options(f)), at, "label "+s.name, out)
	}
}

// start adds the target of a module. The menu modules show the files in their arguments; other known modules
// reboot, switch off, show the hardware, or boot the local disk.
func start(file, args string, at bootmenu.Place, who string, out *bootmenu.Menu) {
	if file == "" {
		return
	}
	name := strings.ToLower(path.Base(strings.ReplaceAll(file, "\\", "/")))
	switch {
	case name == "menu.c32", name == "vesamenu.c32":
		for _, more := range strings.Fields(args) {
			if more != "~" && more != "-" {
				out.Menus = append(out.Menus, more)
			}
		}
		return
	case slices.Contains([]string{"reboot.c32", "poweroff.c32", "poweroff.com", "hdt.c32"}, name):
		return
	case name == "chain.c32" && !strings.ContainsAny(args, "/="):
		return
	}
	out.Doubts = append(out.Doubts, bootmenu.Doubt{Place: at, Text: fmt.Sprintf("%s starts %s, of which mkbuild cannot say what it boots", who, strings.TrimSpace(file+" "+args))})
}

// isCommand reports whether a line has a command line as typed at the prompt: a label or a kernel, and arguments.
func (l *line) isCommand() bool {
	return l.value != "" && (l.is("default") || l.is("ontimeout") || l.is("onerror") || l.is("ui"))
}

// commandLines are the lines with the command line of a kernel that has an initrd.
func (f *file) commandLines() []int {
	var out []int
	labels := f.labels()
	for i := range f.lines {
		if l := &f.lines[i]; l.isCommand() && !l.is("ui") {
			e := f.command(l)
			f.addGlobal(&e)
			if isKernel(e.Kernel) && len(e.Initrds) > 0 && indexOf(labels, e.Kernel) < 0 {
				out = append(out, i)
			}
		}
	}
	return out
}

func indexOf(labels []section, name string) int {
	return slices.IndexFunc(labels, func(s section) bool { return strings.EqualFold(s.name, name) })
}

// command reads a command line as a kernel's command line.
func (f *file) command(l *line) bootmenu.Entry {
	e := bootmenu.Entry{Name: l.keyword, Place: l.at, Implied: true, Default: l.is("default")}
	e.Kernel, e.Append = l.fileArgs()
	takeInitrds(&e)
	return e
}

// addGlobal prepends the arguments of the last global APPEND to those of a command line without a label
// (syslinux.txt, APPEND).
func (f *file) addGlobal(e *bootmenu.Entry) {
	global := ""
	for i := range f.lines {
		l := &f.lines[i]
		if l.is("label") {
			break
		}
		if l.is("append") {
			global = strings.TrimPrefix(l.value, "-")
		}
	}
	e.Append = strings.TrimSpace(global + " " + e.Append)
	takeInitrds(e)
}

// readCommands adds the entries that boot without a label: by default, after a timeout, or after an error. A
// command line that names a label adds to the label's arguments.
func (f *file) readCommands(labels []section, out *bootmenu.Menu) {
	for i := range f.lines {
		l := &f.lines[i]
		if l.is("kernel") && (len(labels) == 0 || i < labels[0].at) {
			out.Doubts = append(out.Doubts, bootmenu.Doubt{Place: l.at, Text: "a KERNEL line in front of all labels"})
		}
		if !l.isCommand() {
			continue
		}
		e := f.command(l)
		at := indexOf(labels, e.Kernel)
		switch {
		case at >= 0 && !l.is("ui"):
			if s := &labels[at]; e.Append != "" && s.bootsKernel(f) {
				known := s.entry(f)
				known.Place, known.Append, known.Default = l.at, cmdline.Add(known.Append, e.Append), l.is("default")
				takeInitrds(&known)
				out.Entries = append([]bootmenu.Entry{known}, out.Entries...)
			} else if e.Append != "" {
				start(s.file(f), e.Append, l.at, l.keyword, out)
			}
		case isKernel(e.Kernel) && !l.is("ui"):
			f.addGlobal(&e)
			out.Entries = append(out.Entries, e)
		default:
			start(e.Kernel, e.Append, l.at, l.keyword, out)
		}
	}
}
