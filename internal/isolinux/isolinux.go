// Package isolinux edits isolinux.cfg in place. Tiny Core's releases use two dialects: lower-case lines with the
// initrd inside "append" (4.x), and upper-case KERNEL, INITRD and APPEND under many LABELs with a menu (7.x and
// later). The package handles the few relevant keywords of both, without regard to case, and keeps every byte that
// need not change: comments, menus, includes, blank lines, tabs and line ends.
//
// The format is that of syslinux's doc/syslinux.txt and doc/menu.txt. Modules and boot sectors are not inspected: a
// label with a module or boot sector is a doubt, unless the module is known to boot the local disk or nothing.
// Start reading at [Read].
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

// maxConfig is the size limit of a configuration; real ones have a few kilobytes.
const maxConfig = 1 << 20

// ErrInvalid is returned for input or options that are not valid in an isolinux configuration.
var ErrInvalid = fail.New(fail.Verification, "invalid isolinux configuration", "")

// maxEntries bounds labels and command lines. maxLine bounds the text of each, and global text counts for each.
// Real menus have some dozens of labels, and no kernel accepts 4 KiB.
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

// Read returns the boot entries of a configuration with its included files. It ignores an included file that open
// does not have, like isolinux.
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

// Edit returns cfg with the changes of o. Every label that boots a Linux kernel gets the arguments, on its APPEND
// line or on a new line. Labels for the local disk, for .c32 modules and for other boot sectors stay unchanged.
// Without changes it returns cfg's own bytes.
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

// appendArgs adds arguments to every label that boots a kernel. It works backwards, so that earlier line numbers
// stay valid.
func (f *file) appendArgs(args string) {
	for _, i := range f.commandLines() {
		f.lines[i].addValue(args)
	}
	for _, s := range slices.Backward(f.labels()) {
		switch {
		case !s.bootsKernel(f):
		case s.append >= 0 && !f.lines[s.append].noArgs():
			f.lines[s.append].addValue(args)
		case s.append >= 0: // of two lines the last counts; when it is removed, the first applies again
			f.insert(s.append+1, f.lines[s.append].like("append", args))
		default:
			at := s.kernel
			if at < 0 {
				at = s.initrd
			}
			if at < 0 {
				at = s.at // a label that is the kernel's file name
			}
			f.insert(at+1, f.lines[at].like("append", s.inherited(f, args)))
		}
	}
}

// removeArgs removes arguments from the end of every kernel label's arguments, and the lines that appendArgs added.
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

// setTimeout changes the last TIMEOUT line, which is decisive, or adds one before the first label.
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
		if l.is("label") || l.is("text") { // after an unclosed TEXT it would be text
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
			l = line{indent: l.String()} // prose between TEXT HELP and ENDTEXT
		}
		help = l.is("text") || help && !l.is("endtext")
		f.lines = append(f.lines, l)
	}
	return f, nil
}
