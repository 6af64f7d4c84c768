package isolinux

import (
	"path"
	"strings"

	"mkbuild/internal/bootmenu"
)

// section is what a LABEL line and those up to the next one say. The numbers are lines of the
// file, -1 for what it does not have; of repeated lines the last one counts.
type section struct {
	name                           string
	kernel, append, initrd, global int
	menuDefault, other             bool
}

// labels returns the sections of all labels. Lines in front of the first label are global: an
// APPEND there is meant for labels without one of their own.
func (f *file) labels() []section {
	var out []section
	global := -1
	for i := range f.lines {
		l := &f.lines[i]
		if l.is("label") {
			out = append(out, section{name: l.value, kernel: -1, append: -1, initrd: -1, global: -1})
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
	}
	return out
}

// take notes a line of the section.
func (s *section) take(i int, l *line) {
	switch {
	case l.is("kernel"), l.is("linux"):
		s.kernel = i
	case l.is("append"):
		s.append = i
	case l.is("initrd"):
		s.initrd = i
	case l.is("localboot"), l.is("com32"), l.is("boot"), l.is("bss"), l.is("pxe"), l.is("fdimage"), l.is("config"):
		s.other = true
	case l.is("menu"):
		s.menuDefault = s.menuDefault || strings.EqualFold(l.value, "default")
	}
}

// otherTypes are the file types that isolinux does not start as a Linux kernel (syslinux.txt,
// KERNEL): modules, boot sectors and images.
var otherTypes = map[string]bool{
	".c32": true, ".cbt": true, ".com": true, ".bin": true, ".bs": true, ".bss": true,
	".0": true, ".img": true,
}

// bootsKernel reports whether the section starts a Linux kernel. LINUX says so whatever the
// file is called; KERNEL goes by the file's name.
func (s *section) bootsKernel(f *file) bool {
	if s.other || s.kernel < 0 || f.lines[s.kernel].value == "" {
		return false
	}
	k := &f.lines[s.kernel]
	file, _ := k.fileArgs()
	return k.is("linux") || !otherTypes[strings.ToLower(path.Ext(file))]
}

// fileArgs splits the value of a KERNEL line: arguments may stand behind the file, and isolinux puts
// them in front of those of APPEND.
func (l *line) fileArgs() (file, args string) {
	n := strings.IndexAny(l.value, " \t")
	if n < 0 {
		return l.value, ""
	}
	return l.value[:n], strings.TrimSpace(l.value[n:])
}

// inherited returns args behind those of a global APPEND line, which a new line of the label's
// own would hide.
func (s *section) inherited(f *file, args string) string {
	if s.global < 0 {
		return args
	}
	l := f.lines[s.global]
	l.addValue(args)
	return l.value
}

// entry is what a section that boots a kernel says.
func (s *section) entry(f *file) bootmenu.Entry {
	out := bootmenu.Entry{Name: s.name, Default: s.isDefault(f)}
	out.Kernel, out.Append = f.lines[s.kernel].fileArgs()
	at := s.append
	if at < 0 {
		at = s.global
	}
	if at >= 0 && f.lines[at].value != "-" {
		out.Append = strings.TrimSpace(out.Append + " " + f.lines[at].value)
	}
	if s.initrd >= 0 {
		out.Initrds = splitList(f.lines[s.initrd].value)
	}
	for _, arg := range strings.Fields(out.Append) {
		// The last initrd= counts, and counts more than INITRD.
		if list, ok := strings.CutPrefix(arg, "initrd="); ok {
			out.Initrds = splitList(list)
		}
	}
	return out
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

// isDefault reports whether the label boots on its own: MENU DEFAULT, or the last DEFAULT line,
// whose first word is the label.
func (s *section) isDefault(f *file) bool {
	if s.menuDefault {
		return true
	}
	name := ""
	for i := range f.lines {
		if words := strings.Fields(f.lines[i].value); f.lines[i].is("default") && len(words) > 0 {
			name = words[0]
		}
	}
	return name != "" && strings.EqualFold(name, s.name)
}
