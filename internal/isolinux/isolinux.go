// Package isolinux edits isolinux.cfg in place. Tiny Core's releases use two dialects of it:
// lower-case lines with the initrd inside "append" (4.x), and upper-case KERNEL, INITRD and
// APPEND under many LABELs with a menu (7.x and later). The package knows the few keywords that
// matter to both, without regard to case, and leaves every byte that it does not have to change:
// comments, menus, includes, blank lines, tabs and line ends.
//
// The format is that of syslinux's doc/syslinux.txt. What INCLUDE lines name is the caller's to
// read ([Includes], [Expand]); "config" lines are not followed, and what the package does not know
// it does not check.
//
// Start reading at [Edit].
package isolinux

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"mkbuild/internal/fail"
)

// maxConfig is the largest configuration that is accepted; real ones have a few kilobytes.
const maxConfig = 1 << 20

// ErrNoLabel is returned if a configuration boots no kernel, so that there is nothing to append to.
var ErrNoLabel = errors.New("isolinux configuration boots no kernel")

// ErrInvalid is returned for input, or options, that cannot be an isolinux configuration.
var ErrInvalid = fail.New(fail.Verification, "invalid isolinux configuration", "")

// Options say what [Edit] changes.
type Options struct {
	// Remove is taken away from the end of the kernel arguments, where it stands there: what an
	// earlier edit has appended.
	Remove string
	// Append is put behind the kernel arguments of every label that boots a kernel.
	Append string
	// TimeoutTenths is the time in tenths of a second after which the default label boots, up
	// to 35996. Zero and less leave what the file says: a machine without a keyboard must never
	// be made to wait forever, which a TIMEOUT of 0 means.
	TimeoutTenths int
	// Part says that the file is one of several that INCLUDE lines join: it may have no label,
	// and a timeout is changed where there is one and never added.
	Part bool
}

// validate refuses options that would change the meaning of other lines.
func (o Options) validate() error {
	if strings.ContainsAny(o.Append, "\r\n\x00") || strings.TrimSpace(o.Append) == "-" { // "APPEND -" means none
		return fmt.Errorf("%w: kernel arguments %q", ErrInvalid, o.Append)
	}
	if o.TimeoutTenths > 35996 { // syslinux.txt, TIMEOUT
		return fmt.Errorf("%w: timeout of %d tenths of a second", ErrInvalid, o.TimeoutTenths)
	}
	return nil
}

// Edit returns cfg with the changes of o. Every label that boots a Linux kernel gets the
// arguments, on its APPEND line or on a new one; labels for the local disk, for .c32 modules and
// for other boot sectors are left alone. With nothing to change it returns cfg's own bytes.
func Edit(cfg []byte, o Options) ([]byte, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("edit isolinux configuration: %w", err)
	}
	f, err := parse(cfg)
	if err != nil {
		return nil, fmt.Errorf("edit isolinux configuration: %w", err)
	}
	if args := strings.TrimSpace(o.Remove); args != "" {
		f.removeArgs(args)
	}
	if args := strings.TrimSpace(o.Append); args != "" {
		if err := f.appendArgs(args); err != nil && !o.Part {
			return nil, fmt.Errorf("edit isolinux configuration: %w", err)
		}
	}
	if o.TimeoutTenths > 0 {
		f.setTimeout(o.TimeoutTenths, !o.Part)
	}
	return f.bytes(), nil
}

// Label is one entry of a configuration that boots a Linux kernel.
type Label struct {
	// Name is the label's name; "" for arguments in front of all labels.
	Name string
	// Kernel is the kernel's path as written.
	Kernel string
	// Initrds are the paths of the INITRD line or of initrd= in order.
	Initrds []string
	// Append are the kernel arguments, initrd= and those behind the kernel's path included.
	Append string
	// Default reports whether the DEFAULT line, or MENU DEFAULT, names the label.
	Default bool
}

// Labels returns the labels that boot a Linux kernel, in the order of the file.
func Labels(cfg []byte) ([]Label, error) {
	f, err := parse(cfg)
	if err != nil {
		return nil, fmt.Errorf("read isolinux configuration: %w", err)
	}
	var out []Label
	for _, s := range f.labels() {
		if s.bootsKernel(f) {
			out = append(out, s.label(f))
		}
	}
	return out, nil
}

// appendArgs adds arguments to every label that boots a kernel. It works from the end, so that
// the line numbers in front stay right.
func (f *file) appendArgs(args string) error {
	labels := f.labels()
	found := false
	for i := len(labels) - 1; i >= 0; i-- {
		s := labels[i]
		if !s.bootsKernel(f) {
			continue
		}
		found = true
		if s.append >= 0 {
			f.lines[s.append].addValue(args)
			continue
		}
		f.insert(s.kernel+1, f.lines[s.kernel].like("append", s.inherited(f, args)))
	}
	if !found {
		return ErrNoLabel
	}
	return nil
}

// removeArgs takes arguments away from the end of those of every label that boots a kernel.
func (f *file) removeArgs(args string) {
	for _, s := range f.labels() {
		if s.bootsKernel(f) && s.append >= 0 {
			f.lines[s.append].dropValue(args)
		}
	}
}

// setTimeout changes the last TIMEOUT line, which is the one that counts, or adds one in front
// of the first label.
func (f *file) setTimeout(tenths int, add bool) {
	value := strconv.Itoa(tenths)
	at := -1
	for i, l := range f.lines {
		if l.is("timeout") {
			at = i
		}
	}
	if at >= 0 {
		f.lines[at].setValue(value)
		return
	}
	if !add {
		return
	}
	model := line{end: f.lineEnd()}
	for i, l := range f.lines {
		if l.is("label") {
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
