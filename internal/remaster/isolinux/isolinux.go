// Package isolinux edits isolinux.cfg in place, in either dialect: the lower-case one of Tiny
// Core 4.x ("append initrd=/boot/core.gz quiet") and the upper-case one of 7.x and later
// ("KERNEL", "INITRD", "APPEND" under many LABELs). Keywords are compared without case, as
// SYSLINUX does (doc/syslinux.txt); what is not asked for stays byte for byte.
package isolinux

import (
	"bytes"
	"fmt"
	"strings"
)

// Options say what to change.
type Options struct {
	// Append is added to the kernel arguments of every label that boots a kernel.
	Append string
	// TimeoutTenths replaces the timeout, in tenths of a second; nil keeps it.
	TimeoutTenths *int
}

// Label is one thing that the menu can boot.
type Label struct {
	Name   string
	Kernel string
	// Initrds come from an INITRD line or from initrd= among the arguments, in load order.
	Initrds []string
	// Append are the kernel arguments as they stand, initrd= included.
	Append string
	// Default marks the label that "default" or "menu default" names.
	Default bool
}

// line is one line of the file, taken apart but kept whole.
type line struct {
	text    []byte // with its end of line
	keyword string // lower case; "" for blank lines and comments
	value   string
	indent  string
	end     string
}

func split(cfg []byte) []line {
	var out []line
	for len(cfg) > 0 {
		n := bytes.IndexByte(cfg, '\n') + 1
		if n == 0 {
			n = len(cfg)
		}
		out = append(out, parse(cfg[:n]))
		cfg = cfg[n:]
	}
	return out
}

func parse(text []byte) line {
	body := strings.TrimRight(string(text), "\r\n")
	l := line{text: text, end: string(text)[len(body):]}
	rest := strings.TrimLeft(body, " \t")
	l.indent = body[:len(body)-len(rest)]
	if rest == "" || rest[0] == '#' {
		return l
	}
	n := strings.IndexAny(rest, " \t")
	if n < 0 {
		n = len(rest)
	}
	l.keyword, l.value = strings.ToLower(rest[:n]), strings.TrimSpace(rest[n:])
	return l
}

// section is the lines of one label: from its LABEL line to the next one.
type section struct {
	Label
	start, end int
	appendAt   int // index of its APPEND line, or -1
	kernelAt   int // index of its KERNEL or LINUX line, or -1
	local      bool
}

// sections finds the labels. A label may be over before the next begins: global directives such
// as TIMEOUT can follow the last one, and are not taken for a part of it.
func sections(lines []line) []section {
	var out []section
	fallback := ""
	for i, l := range lines {
		if l.keyword == "default" {
			fallback = l.value
		}
		if l.keyword == "label" {
			out = append(out, section{Label: Label{Name: l.value}, start: i, end: i + 1, appendAt: -1, kernelAt: -1})
			continue
		}
		if len(out) > 0 {
			out[len(out)-1].take(l, i)
		}
	}
	for i := range out {
		if strings.EqualFold(out[i].Name, firstWord(fallback)) {
			out[i].Default = true
		}
	}
	return out
}

func (s *section) take(l line, i int) {
	switch l.keyword {
	case "kernel", "linux", "com32", "boot", "config":
		s.kernelAt, s.Kernel = i, firstWord(l.value)
		s.local = l.keyword != "kernel" && l.keyword != "linux"
	case "append":
		s.appendAt, s.Append = i, l.value
		if s.Append == "-" { // "append -" means none, not even the global ones
			s.Append = ""
		}
		s.Initrds = append(s.Initrds, initrdArgs(l.value)...)
	case "initrd":
		s.Initrds = append(s.Initrds, strings.Split(l.value, ",")...)
	case "localboot":
		s.local = true
	case "menu":
		if strings.EqualFold(firstWord(l.value), "default") {
			s.Default = true
		}
		return
	default:
		return
	}
	s.end = i + 1
}

// bootsKernel reports whether kernel arguments mean anything to what the label boots.
func (s *section) bootsKernel() bool {
	if s.local || s.Kernel == "" {
		return false
	}
	for _, other := range []string{".c32", ".com", ".cbt", ".bin", ".bss", ".img", ".0"} {
		if strings.HasSuffix(strings.ToLower(s.Kernel), other) {
			return false
		}
	}
	return true
}

func initrdArgs(args string) []string {
	var out []string
	for _, a := range strings.Fields(args) {
		if v, ok := cutFold(a, "initrd="); ok {
			out = append(out, strings.Split(v, ",")...)
		}
	}
	return out
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

func firstWord(s string) string {
	w, _, _ := strings.Cut(strings.ReplaceAll(s, "\t", " "), " ")
	return w
}

// Labels lists what the file can boot with a Linux kernel, the default label first and the
// others in their order.
func Labels(cfg []byte) []Label {
	var first, rest []Label
	for _, s := range sections(split(cfg)) {
		switch {
		case !s.bootsKernel():
		case s.Default && len(first) == 0:
			first = append(first, s.Label)
		default:
			rest = append(rest, s.Label)
		}
	}
	return append(first, rest...)
}

// Edit returns cfg with o applied. It fails only on arguments that would break the file.
func Edit(cfg []byte, o Options) ([]byte, error) {
	if strings.ContainsAny(o.Append, "\r\n\x00") {
		return nil, fmt.Errorf("edit isolinux.cfg: kernel arguments hold a line break or NUL: %q", o.Append)
	}
	lines := split(cfg)
	if args := strings.TrimSpace(o.Append); args != "" {
		lines = appendArgs(lines, args)
	}
	if o.TimeoutTenths != nil {
		lines = setTimeout(lines, *o.TimeoutTenths)
	}
	var out bytes.Buffer
	for _, l := range lines {
		out.Write(l.text)
	}
	return out.Bytes(), nil
}

// appendArgs adds args to each label's APPEND line, or gives it one after its kernel.
func appendArgs(lines []line, args string) []line {
	ss := sections(lines)
	for i := len(ss) - 1; i >= 0; i-- { // from the end: insertions move what follows
		s := ss[i]
		if !s.bootsKernel() {
			continue
		}
		if s.appendAt >= 0 {
			lines[s.appendAt] = withArgs(lines[s.appendAt], args)
			continue
		}
		k := lines[s.kernelAt]
		end := k.end
		if end == "" { // the file ends without a newline
			end = "\n"
			k.text = append(bytes.Clone(k.text), '\n')
			lines[s.kernelAt] = k
		}
		word := "append "
		if strings.Contains(string(k.text), strings.ToUpper(k.keyword)) {
			word = "APPEND "
		}
		lines = insert(lines, s.kernelAt+1, parse([]byte(k.indent+word+args+end)))
	}
	return lines
}

func withArgs(l line, args string) line {
	body := strings.TrimRight(strings.TrimSuffix(string(l.text), l.end), " \t")
	if l.value == "-" {
		body = strings.TrimRight(strings.TrimSuffix(body, "-"), " \t")
	}
	return parse([]byte(body + " " + args + l.end))
}

func insert(lines []line, at int, l line) []line {
	return append(lines[:at:at], append([]line{l}, lines[at:]...)...)
}

// setTimeout replaces every TIMEOUT line, or puts one before the first label.
func setTimeout(lines []line, tenths int) []line {
	found, end := false, "\n"
	for i, l := range lines {
		if l.end != "" {
			end = l.end
		}
		if l.keyword != "timeout" {
			continue
		}
		word := strings.TrimLeft(string(l.text), " \t")[:len("timeout")]
		lines[i] = parse([]byte(fmt.Sprintf("%s%s %d%s", l.indent, word, tenths, l.end)))
		found = true
	}
	if found {
		return lines
	}
	at := 0
	for at < len(lines) && lines[at].keyword != "label" {
		at++
	}
	if at > 0 && lines[at-1].end == "" {
		lines[at-1] = parse(append(bytes.Clone(lines[at-1].text), end...))
	}
	return insert(lines, at, parse([]byte(fmt.Sprintf("timeout %d%s", tenths, end))))
}
