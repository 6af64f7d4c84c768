package remaster

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"sort"
	"strings"

	"mkbuild/internal/remaster/iso9660"
	"mkbuild/internal/remaster/isolinux"
	"mkbuild/internal/ui"
)

// ErrNoISOLINUX says that an ISO has no isolinux.cfg that boots a kernel with an initrd.
var ErrNoISOLINUX = errors.New("no isolinux.cfg that boots a kernel with an initrd")

// findBoot learns from isolinux.cfg which kernel and initrd the image boots by default.
func (b *base) findBoot() error {
	var names []string
	for i := range b.image.Files {
		if n := b.image.Files[i].Path; path.Base(n) == "isolinux.cfg" {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	for _, cfg := range names {
		labels, err := b.labels(cfg)
		if err != nil {
			return err
		}
		if len(labels) == 0 {
			continue
		}
		b.cfgs = append(b.cfgs, cfg)
		for _, l := range labels {
			b.take(path.Dir(cfg), l)
		}
	}
	if b.kernel == "" {
		return ErrNoISOLINUX
	}
	return nil
}

// labels lists what a configuration boots, the default first.
func (b *base) labels(cfg string) ([]isolinux.Label, error) {
	text, err := b.content(cfg)
	if err != nil {
		return nil, err
	}
	ls, err := isolinux.Labels(text)
	sort.SliceStable(ls, func(i, j int) bool { return ls[i].Default && !ls[j].Default })
	return ls, err
}

// take adopts the first label whose kernel and initrds are in the image, and notes every other
// one that boots without the initrd that will be remade: it would start stock Tiny Core.
func (b *base) take(dir string, l isolinux.Label) {
	kernel := b.find(dir, l.Kernel)
	var initrds []string
	for _, name := range l.Initrds {
		if p := b.find(dir, name); p != "" {
			initrds = append(initrds, p)
		}
	}
	switch {
	case b.kernel == "" && kernel != "" && len(initrds) > 0 && len(initrds) == len(l.Initrds):
		b.kernel, b.initrds, b.append = kernel, initrds, l.Append
	case kernel != "" && (b.kernel == "" || !slices.Contains(initrds, b.initrd())):
		b.others = append(b.others, l.Name)
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
	all := &joined{}
	for _, name := range b.initrds {
		r, err := b.open(name)
		if err != nil {
			all.Close() //nolint:errcheck,gosec // only read
			return nil, err
		}
		pad := make([]byte, -b.image.Lookup(name).Size&3)
		all.closers = append(all.closers, r)
		all.readers = append(all.readers, r, strings.NewReader(string(pad)))
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

// checkFirmware warns of boot paths that mkbuild keeps as they are.
func (b *base) checkFirmware(sink ui.Sink, edited bool) {
	for _, e := range b.image.Boot {
		if e.Platform == iso9660.PlatformUEFI && edited {
			sink.Event(ui.Event{Level: ui.Warning, Step: "base", Item: b.name, Text: "the boot menu of its UEFI loader is kept as it is: boot.append and boot.timeout apply to BIOS boots alone"})
			return
		}
	}
}
