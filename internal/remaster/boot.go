package remaster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"mkbuild/internal/iso9660"
	"mkbuild/internal/ui"
)

// ErrNoISOLINUX says that an ISO has no boot menu that boots a kernel with an initrd.
var ErrNoISOLINUX = errors.New("no isolinux.cfg or grub.cfg that boots a kernel with an initrd")

// findBoot learns from the boot menus which kernel and initrd the image boots by default: from
// isolinux.cfg, where there is one.
func (b *base) findBoot() error {
	if err := b.findMenus(); err != nil {
		return err
	}
	for i := range b.menus {
		m := &b.menus[i]
		entries, err := b.entries(m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name(), err)
		}
		m.boots = len(entries) > 0
		for _, e := range entries {
			b.take(m, e)
		}
	}
	if b.kernel == "" {
		return ErrNoISOLINUX
	}
	return nil
}

// take adopts the first entry whose kernel and initrds are in the image, and notes every other
// one that boots without the initrd that will be remade: it would start stock Tiny Core.
func (b *base) take(m *menu, e entry) {
	dir := m.dir()
	kernel := b.find(dir, e.kernel)
	var initrds []string
	for _, name := range e.initrds {
		if p := b.find(dir, name); p != "" && (m.efi == nil || !m.efi.has(name)) {
			initrds = append(initrds, p)
		}
	}
	unclear := m.grub && strings.Contains(e.kernel, "$") || m.efi != nil && m.efi.has(e.kernel)
	switch {
	case b.kernel == "" && kernel != "" && len(initrds) > 0 && len(initrds) == len(e.initrds) && !unclear:
		b.kernel, b.initrds, b.append = kernel, initrds, e.append
	case unclear, kernel != "" && (b.kernel == "" || !slices.Contains(initrds, b.initrd())):
		b.others = append(b.others, e.name)
	}
}

// find returns the path of a file that isolinux names; old ones compare without case.
func (b *base) find(dir, name string) string {
	name = strings.ReplaceAll(name, "\\", "/")
	if !strings.HasPrefix(name, "/") {
		name = path.Join("/"+dir, name)
	}
	if f := b.image.LookupFold(strings.TrimPrefix(path.Clean(name), "/")); f != nil {
		return f.Path
	}
	return ""
}

// openInitrds reads the default label's initrds one after the other, as the boot loader puts
// them into memory: each padded to a multiple of four bytes.
func (b *base) openInitrds() (io.ReadCloser, error) {
	return b.joinInitrds(func(name string) (io.ReadCloser, int64, error) {
		r, err := b.open(name)
		return r, b.image.Lookup(name).Size, err
	})
}

// joinInitrds is openInitrds for initrds that open gives, with their sizes.
func (b *base) joinInitrds(open func(name string) (io.ReadCloser, int64, error)) (io.ReadCloser, error) {
	all := &joined{}
	for _, name := range b.initrds {
		r, size, err := open(name)
		if err != nil {
			all.Close() //nolint:errcheck,gosec // only read
			return nil, err
		}
		all.closers = append(all.closers, r)
		all.readers = append(all.readers, r, bytes.NewReader(make([]byte, -size&3)))
	}
	all.Reader = io.MultiReader(all.readers...)
	return all, nil
}

// joined is several files read as one.
type joined struct {
	io.Reader
	readers []io.Reader
	closers []io.Closer
}

// Close closes every part.
func (j *joined) Close() error {
	var errs []error
	for _, c := range j.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// checkLabels holds the whole boot menu against the profile: a label that boots without the
// remade initrd starts stock Tiny Core, with its open console, from what should be a prod image.
func (b *base) checkLabels(prod bool, sink ui.Sink) error {
	if len(b.others) == 0 {
		return nil
	}
	what := fmt.Sprintf("the boot menu of %s has labels that do not use %s and would start stock Tiny Core: %s", b.name, b.initrd(), strings.Join(b.others, ", "))
	if prod {
		return &OpenError{what}
	}
	sink.Event(ui.Event{Level: ui.Warning, Step: "base", Item: b.name, Text: what})
	return nil
}

// checkFirmware says which firmware the image boots on, and warns of a boot path that mkbuild
// keeps as it is.
func (b *base) checkFirmware(sink ui.Sink, edited bool) {
	if !slices.ContainsFunc(b.image.Boot, func(e iso9660.BootEntry) bool { return e.Platform == iso9660.PlatformUEFI }) {
		sink.Event(ui.Event{Level: ui.Info, Step: "base", Item: b.name, Text: "BIOS only: it has no UEFI boot entry, so the image has none"})
		return
	}
	if edited && !slices.ContainsFunc(b.menus, func(m menu) bool { return m.grub && m.boots || m.efi != nil && m.boots }) {
		sink.Event(ui.Event{Level: ui.Warning, Step: "base", Item: b.name, Text: "no menu of its UEFI loader was found: boot.append and boot.timeout apply to BIOS boots alone"})
	}
}
