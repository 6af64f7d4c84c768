package medium

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"

	"mkbuild/internal/fail"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/wholefile"
)

// CopyWithArguments writes an ISO with further kernel arguments in every entry of its boot menus to
// w. A menu that boots by itself after a while does so after a second. Nothing else changes: boot loader,
// kernel and initrd are the image's own bytes in their own places, so what boots of the copy is what would
// boot of the image. The copy is for one boot; its manifest and its name are not its own.
func CopyWithArguments(ctx context.Context, w io.Writer, name, args string) (err error) {
	defer fail.Recover(name, &err)
	f, err := os.Open(name) //nolint:gosec // the user's own choice
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	m, err := ReadISO(f, info.Size(), name)
	if err != nil {
		return err
	}
	edited, err := m.withArguments(args)
	if err != nil {
		return fmt.Errorf("add kernel arguments to %s: %w", name, err)
	}
	return iso9660.Replace(wholefile.Interruptible(ctx, w), f, info.Size(), edited)
}

// withArguments edits the menus that a BIOS can read, whether their entries have an initrd or not,
// and returns what has changed.
func (m *Medium) withArguments(args string) (map[string][]byte, error) {
	m.menus = slices.DeleteFunc(m.menus, func(x menu) bool { return x.efi != nil || !x.boots })
	if len(m.menus) == 0 {
		return nil, ErrNoMenu
	}
	var files []string
	for _, x := range m.menus {
		files = append(append(files, x.path), x.parts...)
	}
	tenths, err := m.sooner(files)
	if err != nil {
		return nil, err
	}
	edited, err := m.Edit(Edit{Append: args, TimeoutTenths: tenths}, 0)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, name := range files {
		if out[name], err = edited.text(name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// timeoutLine is a menu's time in tenths of a second.
var timeoutLine = regexp.MustCompile(`(?im)^[ \t]*timeout[ \t]+([0-9]+)[ \t\r]*$`) //nolint:gochecknoglobals // a constant

// sooner returns one second if menus wait longer. It returns 0, no change, for all others: a menu that
// waits forever must go on doing so.
func (m *Medium) sooner(files []string) (int, error) {
	const second = 10
	tenths := 0
	for _, name := range files {
		text, err := m.text(name)
		if err != nil {
			return 0, err
		}
		for _, found := range timeoutLine.FindAllSubmatch(text, -1) {
			switch n, err := strconv.Atoi(string(found[1])); {
			case n == 0 || err != nil:
				return 0, nil
			case n > second:
				tenths = second
			}
		}
	}
	return tenths, nil
}
