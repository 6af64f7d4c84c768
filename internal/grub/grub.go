// Package grub edits GRUB 2's grub.cfg in place: the kernel arguments of every menu entry, and the
// timeout. It reads the file as GRUB's shell splits it into words, so that quotes, comments and
// several commands on a line are what they are, and leaves every byte that it does not have to
// change.
//
// It runs no script: conditions are not decided (what stands in either branch counts), and of
// variables only those are known that the file itself sets to plain text. The format is that of the
// GRUB manual, "Writing full configuration files directly".
//
// Start reading at [Edit].
package grub

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"mkbuild/internal/fail"
)

// maxConfig is the largest configuration that is accepted; grub-mkconfig's have some 10 KiB.
const maxConfig = 1 << 20

// ErrInvalid is returned for input, or options, that cannot be a GRUB configuration.
var ErrInvalid = fail.New(fail.Verification, "invalid GRUB configuration", "")

// Options say what [Edit] changes.
type Options struct {
	// Remove is taken away from the end of the kernel arguments, where it stands there: what an
	// earlier edit has appended.
	Remove string
	// Append is put behind the kernel arguments of every entry that boots Linux, in the form of
	// a kernel command line: double quotes hold blanks together.
	Append string
	// TimeoutTenths is the time in tenths of a second after which the default entry boots. GRUB
	// counts seconds: it is rounded up. Zero and less leave what the file says.
	TimeoutTenths int
}

// Entry is one "linux" command with the "initrd" command that belongs to it.
type Entry struct {
	// Name is the title of the menu entry around it, "" outside of any.
	Name string
	// Kernel is the kernel's path, without GRUB's device in front. It is as written where it
	// takes a variable that the file does not set.
	Kernel string
	// Initrds are the paths of the initrds in order.
	Initrds []string
	// Append are the kernel arguments.
	Append string
}

// Edit returns cfg with the changes of o. With nothing to change it returns cfg's own bytes.
func Edit(cfg []byte, o Options) ([]byte, error) {
	if strings.ContainsAny(o.Append, "\r\n\x00") {
		return nil, fmt.Errorf("edit GRUB configuration: %w: kernel arguments %q", ErrInvalid, o.Append)
	}
	commands, err := parse(cfg)
	if err != nil {
		return nil, fmt.Errorf("edit GRUB configuration: %w", err)
	}
	e := &editor{cfg: string(cfg)}
	for _, c := range commands {
		if c.isLinux() {
			e.arguments(c, quoteArgs(o.Remove), quoteArgs(o.Append))
		}
	}
	if o.TimeoutTenths > 0 {
		e.timeout(commands, strconv.Itoa((o.TimeoutTenths+9)/10))
	}
	return e.bytes(), nil
}

// Entries lists what the configuration boots, in the order of the file.
func Entries(cfg []byte) ([]Entry, error) {
	commands, err := parse(cfg)
	if err != nil {
		return nil, fmt.Errorf("read GRUB configuration: %w", err)
	}
	vars := variables(commands)
	var out []Entry
	open := false // the last entry may still get its initrd
	for _, c := range commands {
		switch {
		case c.is("menuentry", "submenu"):
			open = false
		case c.isLinux() && len(c.words) > 1:
			args := make([]string, 0, len(c.words)-2)
			for _, w := range c.words[2:] {
				args = append(args, w.text)
			}
			out = append(out, Entry{Name: c.entry, Kernel: vars.path(c.words[1]), Append: strings.Join(args, " ")})
			open = true
		case c.is("initrd", "initrdefi", "initrd16") && open:
			for _, w := range c.words[1:] {
				out[len(out)-1].Initrds = append(out[len(out)-1].Initrds, vars.path(w))
			}
			open = false
		}
	}
	return out, nil
}

// Sources lists the files that "source" and "configfile" commands name, as far as the file itself
// says where they are.
func Sources(cfg []byte) ([]string, error) {
	commands, err := parse(cfg)
	if err != nil {
		return nil, fmt.Errorf("read GRUB configuration: %w", err)
	}
	vars := variables(commands)
	var out []string
	for _, c := range commands {
		if c.is("source", "configfile", ".") && len(c.words) == 2 {
			if p := vars.path(c.words[1]); !strings.Contains(p, "$") {
				out = append(out, p)
			}
		}
	}
	return out, nil
}

// check bounds the input.
func check(cfg []byte) error {
	if len(cfg) > maxConfig {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrInvalid, len(cfg), maxConfig)
	}
	if bytes.IndexByte(cfg, 0) >= 0 {
		return fmt.Errorf("%w: it has NUL bytes", ErrInvalid)
	}
	return nil
}
