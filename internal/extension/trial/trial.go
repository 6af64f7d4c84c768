// Package trial finds an extension's effect on a machine's facts, apart from facts that change by themselves. It
// runs nothing: the client collects the facts. Start reading at [Compare].
package trial

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"mkbuild/internal/ui"

	"mkbuild/internal/extension/lint"
)

// Schema is the version of a [Diff]'s JSON.
const Schema = "mkbuild.extension-run/v1"

// moves matches Facter's facts that always change.
var moves = regexp.MustCompile(`^(memory|memoryfree.*|swapfree.*|uptime.*|system_uptime|load_averages|mountpoints|partitions)$`)

// Sample holds the facts of two collections in a row.
type Sample struct{ With, Without map[string]any }

// ChangedFact is a fact that both collections have, with other values.
type ChangedFact struct {
	Without any `json:"without"`
	With    any `json:"with"`
}

// Diff is an extension's effect on the facts of this machine.
type Diff struct {
	Schema    string                 `json:"schema"`
	Extension string                 `json:"extension"`
	Added     map[string]any         `json:"added"`
	Changed   map[string]ChangedFact `json:"changed"`
	Removed   map[string]any         `json:"removed"`
	Unstable  []string               `json:"unstable"` // the extension's facts that differ each time
}

// Compare finds the extension's effect: a fact counts as changed if it has one value in both collections without
// the extension, and another in both with it. It leaves out the fact path, which always contains the extension's
// bin/, and facts that [moves] matches.
func Compare(s [2]Sample) *Diff {
	d := &Diff{Schema: Schema, Added: map[string]any{}, Changed: map[string]ChangedFact{}, Removed: map[string]any{}, Unstable: []string{}}
	same := reflect.DeepEqual
	for name, v := range s[1].With {
		old, had := s[1].Without[name]
		_, hadBefore := s[0].Without[name]
		switch {
		case name == "path" || had && moves.MatchString(name):
			continue
		case !had && !hadBefore:
			d.Added[name] = v
		case had && same(old, s[0].Without[name]) && !same(v, old) && !same(s[0].With[name], s[0].Without[name]):
			d.Changed[name] = ChangedFact{old, v}
		default:
			continue
		}
		if !same(v, s[0].With[name]) {
			d.Unstable = append(d.Unstable, name)
		}
	}
	for name, v := range s[1].Without {
		_, has := s[1].With[name]
		_, hadBefore := s[0].With[name]
		if !has && !hadBefore {
			d.Removed[name] = v
		}
	}
	slices.Sort(d.Unstable)
	return d
}

// Text returns one line for each fact, with notes for its author. dropped reports whether the Razor server drops
// a fact.
func (d *Diff) Text(dropped func(string) bool) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(d.Added)) {
		fmt.Fprintf(&b, "+ %s = %s%s\n", ui.FactName(name), ui.FactValue(d.Added[name]), d.note(name, dropped))
	}
	for _, name := range slices.Sorted(maps.Keys(d.Changed)) {
		c := d.Changed[name]
		fmt.Fprintf(&b, "~ %s = %s, without the extension %s%s\n", ui.FactName(name), ui.FactValue(c.With), ui.FactValue(c.Without), d.note(name, dropped))
	}
	for _, name := range slices.Sorted(maps.Keys(d.Removed)) {
		fmt.Fprintf(&b, "- %s = %s%s\n", ui.FactName(name), ui.FactValue(d.Removed[name]), d.note(name, dropped))
	}
	return b.String()
}

// note warns of facts that do not work as expected.
func (d *Diff) note(name string, dropped func(string) bool) string {
	var notes []string
	if slices.Contains(d.Unstable, name) {
		notes = append(notes, "it has another value at every check-in")
	}
	if lint.Identity(name) {
		notes = append(notes, "Razor identifies machines by it")
	}
	if dropped(name) {
		notes = append(notes, "Razor drops it by its default facts.blacklist")
	}
	if len(notes) == 0 {
		return ""
	}
	return "  (" + strings.Join(notes, "; ") + ")"
}
