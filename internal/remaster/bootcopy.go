package remaster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"

	"mkbuild/internal/iso9660"
)

// CopyWithArguments writes an ISO with further kernel arguments in every entry of its boot menus to
// w. A menu that boots by itself after a while does so after a second. Nothing else changes: boot loader, kernel and initrd are the image's own bytes in their own
// places, so what boots of the copy is what would boot of the image. The copy is for one boot;
// its manifest and its name are not its own.
func CopyWithArguments(ctx context.Context, w io.Writer, name, args string) (err error) {
	defer recovered(name, &err)
	f, err := os.Open(name) //nolint:gosec // the user's own choice
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	img, err := iso9660.Open(f, info.Size())
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	edited, err := (&base{image: img, name: name}).withArguments(args)
	if err != nil {
		return fmt.Errorf("add kernel arguments to %s: %w", name, err)
	}
	return iso9660.Replace(interruptible{ctx, w}, f, info.Size(), edited)
}

// withArguments edits the menus that a BIOS can read, whether their entries have an initrd or not,
// and returns what has changed.
func (b *base) withArguments(args string) (map[string][]byte, error) {
	if err := b.findBoot(); err != nil && !errors.Is(err, ErrNoISOLINUX) {
		return nil, err
	}
	b.menus = slices.DeleteFunc(b.menus, func(m menu) bool { return m.efi != nil || !m.boots })
	if len(b.menus) == 0 {
		return nil, ErrNoISOLINUX
	}
	var files []string
	for _, m := range b.menus {
		files = append(append(files, m.path), m.parts...)
	}
	tenths, err := b.sooner(files)
	if err != nil {
		return nil, err
	}
	img := *b.image
	img.Files = slices.Clone(b.image.Files)
	if err := b.editMenus(&img, menuEdit{append: args, tenths: tenths}, 0); err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, name := range files {
		if out[name], err = img.Lookup(name).Content(maxBootText); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// timeoutLine is a menu's time in tenths of a second.
var timeoutLine = regexp.MustCompile(`(?im)^[ \t]*timeout[ \t]+([0-9]+)[ \t\r]*$`) //nolint:gochecknoglobals // a constant

// sooner returns one second when menus wait longer, and 0, no change, for all others: one that
// waits for ever must go on doing so.
func (b *base) sooner(files []string) (int, error) {
	const second = 10
	tenths := 0
	for _, name := range files {
		text, err := b.content(name)
		if err != nil {
			return 0, err
		}
		for _, m := range timeoutLine.FindAllSubmatch(text, -1) {
			switch n, err := strconv.Atoi(string(m[1])); {
			case n == 0 || err != nil:
				return 0, nil
			case n > second:
				tenths = second
			}
		}
	}
	return tenths, nil
}
