package inspect

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"mkbuild/internal/config"
)

// DiffSchema is the version of a difference's JSON.
const DiffSchema = "mkbuild.diff/v1"

// ErrIncomparable says that two files have nothing in common that could be compared.
var ErrIncomparable = errors.New("nothing to compare")

// Diff is the difference of two images, initrds or locks: what they hold, not how it is packed.
type Diff struct {
	Schema string `json:"schema"`
	A      string `json:"a"`
	B      string `json:"b"`
	Same   bool   `json:"same"`
	// Changes are in the order of the areas below, then by name.
	Changes []Change `json:"changes"`
}

// Areas of a change.
const (
	AreaVolume    = "volume"    // a field of the medium's description
	AreaBoot      = "boot"      // an entry of the El Torito catalog, by its number
	AreaMenu      = "menu"      // an entry of a boot menu
	AreaKernel    = "kernel"    // the default entry's
	AreaInput     = "input"     // what a lock or a manifest names
	AreaExtension = "extension" // of Tiny Core
	AreaGem       = "gem"
	AreaFile      = "file"   // of the booted system
	AreaMedium    = "medium" // a file of the medium
)

// Change is one difference.
type Change struct {
	Area string `json:"area"`
	Name string `json:"name"`
	// Change is "added", "removed" or "changed".
	Change string `json:"change"`
	// What has changed, in detail.
	What []Detail `json:"what,omitempty"`
}

// Detail is one property that has changed. From and To may be left out.
type Detail struct {
	Property string `json:"property"`
	From     string `json:"from,omitempty"`
	To       string `json:"to,omitempty"`
}

// Compare tells how b differs from a. Times are not compared, nor is how an initrd is packed or how
// a medium is laid out. Two ISOs are compared whole; an ISO and an initrd by the systems that they
// boot; a lock with another lock, or with an image by the inputs that its manifest names.
func Compare(a, b *Image) (*Diff, error) {
	d := &Diff{Schema: DiffSchema, A: a.Name, B: b.Name, Changes: []Change{}}
	if a.Kind == KindLock || b.Kind == KindLock {
		if err := d.locks(a, b); err != nil {
			return nil, err
		}
	} else if err := d.images(a, b); err != nil {
		return nil, err
	}
	d.Same = len(d.Changes) == 0
	return d, nil
}

func (d *Diff) images(a, b *Image) error {
	if a.Kind == b.Kind && a.Medium != nil {
		d.volumes(a, b)
		d.catalogs(a, b)
		d.menus(a, b)
		if err := d.kernels(a, b); err != nil {
			return err
		}
		if a.Manifest != nil && b.Manifest != nil {
			d.inputs(a.Manifest.Inputs, b.Manifest.Inputs)
		}
	}
	if a.Tree != nil && b.Tree != nil {
		d.names(AreaExtension, extensionNames(a), extensionNames(b))
		d.names(AreaGem, a.gems(), b.gems())
		if err := d.trees(a, b); err != nil {
			return err
		}
	} else if a.Kind != b.Kind {
		return fmt.Errorf("compare %s with %s: %w: one of them boots nothing", a.Name, b.Name, ErrIncomparable)
	}
	if a.Kind == b.Kind && a.Medium != nil {
		return d.media(a, b)
	}
	return nil
}

// add notes a change of what both have.
func (d *Diff) add(area, name string, details ...Detail) {
	if len(details) > 0 {
		d.Changes = append(d.Changes, Change{area, name, "changed", details})
	}
}

// alone notes what only one of them has.
func (d *Diff) alone(area, name, change string) {
	d.Changes = append(d.Changes, Change{Area: area, Name: name, Change: change})
}

// differ collects the properties whose values differ.
func differ(properties ...[3]string) []Detail {
	var out []Detail
	for _, p := range properties {
		if p[1] != p[2] {
			out = append(out, Detail{p[0], p[1], p[2]})
		}
	}
	return out
}

// pairs calls both for every name of the two sorted lists that both have, and notes the others.
func (d *Diff) pairs(area string, a, b []string, both func(name string) error) error {
	names := append(slices.Clone(a), b...)
	slices.Sort(names)
	for _, n := range slices.Compact(names) {
		_, inA := slices.BinarySearch(a, n)
		_, inB := slices.BinarySearch(b, n)
		switch {
		case !inA:
			d.alone(area, n, "added")
		case !inB:
			d.alone(area, n, "removed")
		default:
			if err := both(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// names compares lists that say nothing but names.
func (d *Diff) names(area string, a, b []string) {
	_ = d.pairs(area, a, b, func(string) error { return nil }) // nothing in it fails
}

func extensionNames(m *Image) []string {
	var out []string
	for _, e := range m.extensions() {
		name := e.Name
		if e.How != "installed" {
			name += " (" + e.How + ")"
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (d *Diff) volumes(a, b *Image) {
	x, y := a.ISO, b.ISO
	for _, f := range [][3]string{
		{"id", x.VolumeID, y.VolumeID}, {"system", x.SystemID, y.SystemID}, {"application", x.ApplicationID, y.ApplicationID},
		{"preparer", x.Preparer, y.Preparer}, {"publisher", x.Publisher, y.Publisher},
	} {
		d.add(AreaVolume, f[0], differ([3]string{"text", f[1], f[2]})...)
	}
	if string(x.System) != string(y.System) {
		d.add(AreaVolume, "system area", Detail{Property: "content"})
	}
}

func (d *Diff) catalogs(a, b *Image) {
	for i := range max(len(a.ISO.Boot), len(b.ISO.Boot)) {
		name := fmt.Sprint(i + 1)
		switch {
		case i >= len(a.ISO.Boot):
			d.alone(AreaBoot, name, "added")
		case i >= len(b.ISO.Boot):
			d.alone(AreaBoot, name, "removed")
		default:
			x, y := &a.ISO.Boot[i], &b.ISO.Boot[i]
			d.add(AreaBoot, name, differ(
				[3]string{"platform", platform(x.Platform), platform(y.Platform)}, [3]string{"path", x.Path, y.Path},
				[3]string{"bootable", fmt.Sprint(x.Bootable), fmt.Sprint(y.Bootable)}, [3]string{"emulation", emulation(x.Media), emulation(y.Media)},
				[3]string{"sectors", fmt.Sprint(x.LoadSectors), fmt.Sprint(y.LoadSectors)},
				[3]string{"boot-info-table", fmt.Sprint(x.InfoTable), fmt.Sprint(y.InfoTable)})...)
		}
	}
}

// menuKey names an entry of a menu; a label that comes twice gets a number.
func menuKeys(m *Image) (keys []string, byKey map[string]MenuEntry) {
	byKey = map[string]MenuEntry{}
	for _, e := range m.Medium.Entries {
		key := e.Menu + " " + named(e.Name, "(no name)")
		for n := 2; ; n++ {
			if _, taken := byKey[key]; !taken {
				break
			}
			key = fmt.Sprintf("%s %s (%d)", e.Menu, e.Name, n)
		}
		byKey[key] = MenuEntry{Kernel: e.Kernel, Initrds: e.Initrds, Append: e.Append}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys, byKey
}

func (d *Diff) menus(a, b *Image) {
	ka, ea := menuKeys(a)
	kb, eb := menuKeys(b)
	_ = d.pairs(AreaMenu, ka, kb, func(key string) error { // nothing in it fails
		x, y := ea[key], eb[key]
		details := differ([3]string{"kernel", x.Kernel, y.Kernel},
			[3]string{"initrd", strings.Join(x.Initrds, " "), strings.Join(y.Initrds, " ")}, [3]string{"arguments", x.Append, y.Append})
		for i := range details {
			details[i].From, details[i].To = config.RedactArguments(details[i].From), config.RedactArguments(details[i].To)
		}
		d.add(AreaMenu, key, details...)
		return nil
	})
}

func (d *Diff) kernels(a, b *Image) error {
	x, y := a.Medium.Kernel, b.Medium.Kernel
	switch {
	case x == "" && y == "":
		return nil
	case x == "":
		d.alone(AreaKernel, y, "added")
		return nil
	case y == "":
		d.alone(AreaKernel, x, "removed")
		return nil
	}
	details := differ([3]string{"path", x, y}, [3]string{"release", a.Kernel, b.Kernel})
	sx, err := a.sumFile(a.Medium.Files.Get(x))
	if err != nil {
		return err
	}
	sy, err := b.sumFile(b.Medium.Files.Get(y))
	if err != nil {
		return err
	}
	d.add(AreaKernel, x, append(details, differ([3]string{"sha256", sx, sy})...)...)
	return nil
}
