// Package grub edits GRUB 2's grub.cfg in place: the kernel arguments of every menu entry, and the
// timeout. It reads the file as GRUB's shell splits it into words, so that quotes, comments and
// several commands on a line are what they are, and leaves every byte that it does not have to
// change.
//
// It runs no script: conditions are not decided (what stands in either branch counts), and of
// variables only those are known that the file itself sets to plain text. The format is that of the
// GRUB manual, "Writing full configuration files directly". Start reading at [Read].
package grub

import (
	"fmt"
	"strconv"
	"strings"

	"mkbuild/internal/bootmenu"
)

// Edit returns cfg with the changes of o. GRUB counts seconds: a timeout is rounded up. With nothing to
// change it returns cfg's own bytes.
func Edit(cfg []byte, o bootmenu.Edit) ([]byte, error) {
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
	if o.TimeoutTenths > 0 && !o.AtMost { // GRUB's menus wait a few seconds
		e.timeout(commands, strconv.Itoa((o.TimeoutTenths+9)/10))
	}
	return e.bytes(), nil
}

// Read returns what a configuration boots: every "linux" command with the "initrd" command that belongs to
// it. Paths come without GRUB's device in front, and as written if they take a variable that the file does
// not set. Menus are what "source" and "configfile" commands name, as far as the file itself says where they
// are.
func Read(cfg []byte, _ bootmenu.Open) (*bootmenu.Menu, error) {
	commands, err := parse(cfg)
	if err != nil {
		return nil, fmt.Errorf("read GRUB configuration: %w", err)
	}
	vars := variables(commands)
	out := &bootmenu.Menu{}
	open := false // the last entry may still get its initrd
	for _, c := range commands {
		switch {
		case c.is("menuentry", "submenu"):
			open = false
		case c.isLinux() && len(c.words) > 1:
			out.Entries = append(out.Entries, bootmenu.Entry{Name: c.entry, Kernel: vars.path(c.words[1]), Append: texts(c.words[2:])})
			open = true
		case c.is("initrd", "initrdefi", "initrd16") && open:
			e := &out.Entries[len(out.Entries)-1]
			for _, w := range c.words[1:] {
				e.Initrds = append(e.Initrds, vars.path(w))
			}
			open = false
		case c.is("source", "configfile", ".") && len(c.words) == 2:
			if p := vars.path(c.words[1]); !strings.Contains(p, "$") {
				out.Menus = append(out.Menus, p)
			}
		}
	}
	return out, nil
}

func texts(words []word) string {
	out := make([]string, 0, len(words))
	for _, w := range words {
		out = append(out, w.text)
	}
	return strings.Join(out, " ")
}
