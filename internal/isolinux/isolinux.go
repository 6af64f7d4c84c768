// Package isolinux edits isolinux.cfg in place. Tiny Core's releases use two dialects of it:
// lower-case lines with the initrd inside "append" (4.x), and upper-case KERNEL, INITRD and
// APPEND under many LABELs with a menu (7.x and later). The package knows the few keywords that
// matter to both, without regard to case, and leaves every byte that it does not have to change:
// comments, menus, includes, blank lines, tabs and line ends.
//
// The format is that of syslinux's doc/syslinux.txt and doc/menu.txt. Modules and boot sectors are not looked
// into: a label that starts one which is not known to boot the local disk, or nothing, is a doubt. Start
// reading at [Read].
package isolinux

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mkbuild/internal/bootmenu"
	"mkbuild/internal/cmdline"
	"mkbuild/internal/fail"
)

// maxConfig is the largest configuration that is accepted; real ones have a few kilobytes.
const maxConfig = 1 << 20

// ErrInvalid is returned for input, or options, that cannot be an isolinux configuration.
var ErrInvalid = fail.New(fail.Verification, "invalid isolinux configuration", "")

// maxEntries bounds labels and command lines, and maxLine what each may say: what stands in front of all labels
// counts for each. Real menus have some dozens, and no kernel takes 4 KiB.
const maxEntries, maxLines, maxLine = 1000, 20_000, 64 << 10

// bounded refuses a configuration that would take hours or gigabytes.
func (f *file) bounded() error {
	if len(f.lines) > maxLines {
		return fmt.Errorf("%w: %d lines, the limit is %d", ErrInvalid, len(f.lines), maxLines)
	}
	entries := 0
	for i := range f.lines {
		l := &f.lines[i]
		if len(l.value) > maxLine {
			return fmt.Errorf("%w: a line of %d bytes", ErrInvalid, len(l.value))
		}
		if l.is("label") || l.isCommand() {
			entries++
		}
	}
	if entries > maxEntries {
		return fmt.Errorf("%w: %d labels and command lines, the limit is %d", ErrInvalid, entries, maxEntries)
	}
	return nil
}

// validate refuses an edit that would change the meaning of other lines.
func validate(o bootmenu.Edit) error {
	if cmdline.Check("", o.Append) != nil || strings.TrimSpace(o.Append) == "-" { // "APPEND -" means none
		return fmt.Errorf("%w: kernel arguments %q", ErrInvalid, o.Append)
	}
	if o.TimeoutTenths > 35996 { // syslinux.txt, TIMEOUT
		return fmt.Errorf("%w: timeout of %d tenths of a second", ErrInvalid, o.TimeoutTenths)
	}
	return nil
}

// Read returns what a configuration boots, the files that it includes in the places of the lines that name
// them. Of what INCLUDE and MENU INCLUDE name and open does not have, isolinux passes over it.
func Read(cfg []byte, open bootmenu.Open) (*bootmenu.Menu, error) {
	left := maxIncludes
	f, err := expand(cfg, "", open, &left)
	if err != nil {
		return nil, err
	}
	if err := f.bounded(); err != nil {
		return nil, fmt.Errorf("read isolinux configuration: %w", err)
	}
	out := &bootmenu.Menu{}
	labels := f.labels()
	for i := range labels {
		labels[i].read(f, out)
	}
	f.readCommands(labels, out)
	return out, nil
}

// Edit returns cfg with the changes of o. Every label that boots a Linux kernel gets the
// arguments, on its APPEND line or on a new one; labels for the local disk, for .c32 modules and
// for other boot sectors are left alone. With nothing to change it returns cfg's own bytes.
func Edit(cfg []byte, o bootmenu.Edit) ([]byte, error) {
	if err := validate(o); err != nil {
		return nil, fmt.Errorf("edit isolinux configuration: %w", err)
	}
	f, err := parse(cfg)
	if err == nil {
		err = f.bounded()
	}
	if err != nil {
		return nil, fmt.Errorf("edit isolinux configuration: %w", err)
	}
	if args := strings.TrimSpace(o.Remove); args != "" {
		f.removeArgs(args)
	}
	if args := strings.TrimSpace(o.Append); args != "" {
		f.appendArgs(args)
	}
	if o.TimeoutTenths > 0 {
		f.setTimeout(o)
	}
	return f.bytes(), nil
}

// appendArgs adds arguments to every label that boots a kernel. It works from the end, so that
// the line numbers in front stay right.
func (f *file) appendArgs(args string) {
	for _, i := range f.commandLines() {
		f.lines[i].addValue(args)
	}
	for _, s := range slices.Backward(f.labels()) {
		switch {
		case !s.bootsKernel(f):
		case s.append >= 0 && !f.lines[s.append].noArgs():
			f.lines[s.append].addValue(args)
		case s.append >= 0: // of two lines the last one counts, and the first one is there when it goes again
			f.insert(s.append+1, f.lines[s.append].like("append", args))
		default:
			at := s.kernel
			if at < 0 {
				at = s.initrd
			}
			if at < 0 {
				at = s.at // a label whose name is the kernel's
			}
			f.insert(at+1, f.lines[at].like("append", s.inherited(f, args)))
		}
	}
}

// removeArgs takes arguments away from the end of those of every label that boots a kernel, and the lines that
// appendArgs made for them.
func (f *file) removeArgs(args string) {
	for _, i := range f.commandLines() {
		f.lines[i].dropValue(args)
	}
	for _, s := range slices.Backward(f.labels()) {
		if !s.bootsKernel(f) || s.append < 0 {
			continue
		}
		l := &f.lines[s.append]
		before := l.value
		l.dropValue(args)
		if l.value != before && (l.value == "" || l.value == s.inherited(f, "")) {
			f.remove(s.append)
		}
	}
}

// setTimeout changes the last TIMEOUT line, which is the one that counts, or adds one in front
// of the first label.
func (f *file) setTimeout(o bootmenu.Edit) {
	value := strconv.Itoa(o.TimeoutTenths)
	at := -1
	for i, l := range f.lines {
		if l.is("timeout") {
			at = i
		}
	}
	if at >= 0 {
		if now, err := strconv.Atoi(f.lines[at].value); !o.AtMost || err == nil && now > o.TimeoutTenths {
			f.lines[at].setValue(value)
		}
		return
	}
	if o.AtMost || o.Part {
		return
	}
	model := line{end: f.lineEnd()}
	for i, l := range f.lines {
		if l.is("label") || l.is("text") { // behind a TEXT that nothing closes it would be text
			f.insert(i, l.like("timeout", value))
			return
		}
	}
	f.insert(len(f.lines), model.like("timeout", value))
}

// parse splits a configuration into lines.
func parse(cfg []byte) (*file, error) {
	if len(cfg) > maxConfig {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrInvalid, len(cfg), maxConfig)
	}
	if bytes.IndexByte(cfg, 0) >= 0 {
		return nil, fmt.Errorf("%w: it has NUL bytes", ErrInvalid)
	}
	f := &file{}
	help := false
	for len(cfg) > 0 {
		n := bytes.IndexByte(cfg, '\n') + 1
		if n == 0 {
			n = len(cfg)
		}
		l := parseLine(string(cfg[:n]))
		cfg = cfg[n:]
		if help && !l.is("endtext") {
			l = line{indent: l.String()} // prose between TEXT HELP and ENDTEXT, whatever it says
		}
		help = l.is("text") || help && !l.is("endtext")
		f.lines = append(f.lines, l)
	}
	return f, nil
}
