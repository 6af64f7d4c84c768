package inspect

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"mkbuild/internal/fail"
)

// DiffSchema is the version of a difference's JSON.
const DiffSchema = "mkbuild.diff/v1"

// ErrIncomparable is returned for two files without a common part to compare.
var ErrIncomparable = fail.New(fail.Unexpected, "nothing to compare", "")

// Diff is the difference of the contents of two images, initrds or locks.
type Diff struct {
	Schema string `json:"schema"`
	A      string `json:"a"`
	B      string `json:"b"`
	Same   bool   `json:"same"`
	// Changes are in the order of the areas, then by name.
	Changes []Change `json:"changes"`
}

// Change is one difference.
type Change struct {
	Area string `json:"area"`
	Name string `json:"name"`
	// Change is "added", "removed" or "changed".
	Change string `json:"change"`
	// What lists the changed properties.
	What []Detail `json:"what,omitempty"`
}

// Detail is one changed property. From and To may be empty.
type Detail struct {
	Property string `json:"property"`
	From     string `json:"from,omitempty"`
	To       string `json:"to,omitempty"`
}

// Compare returns the differences of b from a. It ignores times, the packing of an initrd and the layout of a
// medium. Two ISOs are compared whole; an ISO and an initrd by the systems that they boot; a lock with another
// lock, or with an image by the inputs that its manifest names.
func Compare(a, b *Image) (*Diff, error) {
	areas, err := inCommon(a, b)
	if err != nil {
		return nil, err
	}
	d := &Diff{Schema: DiffSchema, A: a.Name, B: b.Name, Changes: []Change{}}
	for _, area := range areas {
		x, errA := area.of(a)
		y, errB := area.of(b)
		if err := errors.Join(errA, errB); err != nil {
			return nil, fmt.Errorf("compare %s with %s: %w", a.Name, b.Name, err)
		}
		d.Changes = append(d.Changes, slices.DeleteFunc(changesOf(area.name, x, y), d.isTold)...)
	}
	d.Same = len(d.Changes) == 0
	return d, nil
}

// area is a part of the compared content of two images.
type area struct {
	name string
	of   func(*Image) (items, error)
}

// inCommon are the areas that both have.
func inCommon(a, b *Image) ([]area, error) {
	switch {
	case a.Lock != nil && b.Lock != nil:
		return []area{{AreaLock, lockItems}, {AreaInput, inputItems}}, nil
	case a.Lock != nil || b.Lock != nil:
		for _, m := range []*Image{a, b} {
			if m.Lock == nil && m.Manifest == nil {
				return nil, fmt.Errorf("read the inputs of %s: %w: it has no manifest", m.Name, ErrIncomparable)
			}
		}
		return []area{{AreaInput, inputItems}}, nil
	}
	system := []area{{AreaExtension, extensionItems}, {AreaGem, gemItems}, {AreaFile, fileItems}}
	switch boots := a.Tree != nil && b.Tree != nil; {
	case a.Kind != b.Kind && !boots:
		return nil, fmt.Errorf("compare %s with %s: %w: one of them boots nothing", a.Name, b.Name, ErrIncomparable)
	case a.Kind != b.Kind || a.Medium == nil:
		return system, nil
	case !boots:
		system = nil
	}
	out := []area{{AreaVolume, volumeItems}, {AreaBoot, bootItems}, {AreaMenu, menuItems}, {AreaKernel, kernelItems}}
	if a.Manifest != nil && b.Manifest != nil {
		out = append(out, area{AreaInput, inputItems})
	}
	return append(append(out, system...), area{AreaMedium, mediumItems}), nil
}

// changesOf compares the items of one area.
func changesOf(area string, a, b items) []Change {
	var out []Change
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		x, inA := a[key]
		y, inB := b[key]
		what := differ(x, y)
		switch {
		case !inA && !y.covered:
			out = append(out, Change{Area: area, Name: y.name, Change: "added"})
		case !inB && !x.covered:
			out = append(out, Change{Area: area, Name: x.name, Change: "removed"})
		case inA && inB && len(what) > 0:
			out = append(out, Change{area, x.name, "changed", what})
		}
	}
	return out
}

// differ are the properties in which y differs from x; for a file of another type, only the type.
func differ(x, y item) []Detail {
	var out []Detail
	for i := range min(len(x.properties), len(y.properties)) {
		p, q := x.properties[i], y.properties[i]
		if p.value == q.value {
			continue
		}
		if out = append(out, Detail{p.name, p.shown, q.shown}); p.name == "type" {
			break
		}
	}
	return out
}

// isTold reports whether the changes so far explain a changed file of the medium: it is a boot menu, and an entry
// of it has changed.
func (d *Diff) isTold(c Change) bool {
	return c.Area == AreaMedium && slices.ContainsFunc(d.Changes, func(entry Change) bool {
		return entry.Area == AreaMenu && strings.HasPrefix(entry.Name, c.Name+" ")
	})
}

// Print writes the difference as a list for the text of a pull request.
func (d *Diff) Print(w io.Writer) error {
	p := &page{w: w}
	if d.Same {
		p.line("%s and %s hold the same.", d.A, d.B)
		return p.err
	}
	for i := range d.Changes {
		p.line("- %s", d.Changes[i].line())
	}
	return p.err
}

func (c *Change) line() string {
	var parts []string
	for _, x := range c.What {
		if x.From == "" && x.To == "" {
			parts = append(parts, x.Property)
		} else {
			parts = append(parts, fmt.Sprintf("%s %s → %s", x.Property, shown(x.From), shown(x.To)))
		}
	}
	line := fmt.Sprintf("%s %s `%s`", c.Change, c.Area, strings.ReplaceAll(c.Name, "`", "'"))
	if len(parts) > 0 {
		line += ": " + strings.Join(parts, "; ")
	}
	return line
}

// shown shortens a digest to twelve digits.
func shown(s string) string {
	if len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" {
		return s[:12]
	}
	return cmp.Or(s, "(none)")
}
