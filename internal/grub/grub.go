// Package grub edits GRUB 2's grub.cfg in place: the kernel arguments of every menu entry, and the timeout. It
// splits the file into words like GRUB's shell, with quotes, comments and several commands on a line, and keeps
// every byte that need not change.
//
// It runs no script. Conditions are not evaluated: both branches count. It knows only variables that the file
// itself always sets to the same text. Commands that are not known to be harmless are doubts. The format is that of
// the GRUB manual, "Writing full configuration files directly". Start reading at [Read].
package grub

import (
	"fmt"
	"strconv"

	"mkbuild/internal/bootmenu"
	"mkbuild/internal/cmdline"
)

// Edit returns cfg with the changes of o. GRUB counts seconds: a timeout is rounded up. Without changes it returns
// cfg's own bytes.
func Edit(cfg []byte, o bootmenu.Edit) ([]byte, error) {
	if err := cmdline.Check("kernel arguments", o.Append); err != nil {
		return nil, fmt.Errorf("edit GRUB configuration: %w: %w", ErrInvalid, err)
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
