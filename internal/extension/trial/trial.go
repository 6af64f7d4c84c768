// Package trial tells what an extension does to a machine's facts from what changes by itself. It runs nothing:
// the facts are the client's to collect. Start reading at [Compare].
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

// Schema is that of a [Diff] as JSON.
const Schema = "mkbuild.extension-run/v1"

// moves matches Facter's own facts that change while it looks.
var moves = regexp.MustCompile(`^(memory|memoryfree.*|swapfree.*|uptime.*|system_uptime|load_averages|mountpoints|partitions)$`)

// Sample holds the facts of two collections in a row.
type Sample struct{ With, Without map[string]any }

// ChangedFact is a fact that both collections have, with other values.
type ChangedFact struct {
	Without any `json:"without"`
	With    any `json:"with"`
}

// Diff is what an extension does to the facts of this machine.
type Diff struct {
	Schema    string                 `json:"schema"`
	Extension string                 `json:"extension"`
	Added     map[string]any         `json:"added"`
	Changed   map[string]ChangedFact `json:"changed"`
	Removed   map[string]any         `json:"removed"`
	Unstable  []string               `json:"unstable"` // of the extension's facts: those that differ each time
}

// Compare tells what the extension does from what changes by itself: a fact counts as
// changed when it is the same without the extension both times, and another with it both times.
// The fact path always has the extension's bin/ in it, and what [moves] by itself may do so
// between any two collections: both are left out.
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

// Text returns one line for each fact, with what its author should know about it. dropped tells which facts
// the Razor server drops.
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

// note warns of facts that are there, but not of the use that one expects.
func (d *Diff) note(name string, dropped func(string) bool) string {
	var notes []string
	if slices.Contains(d.Unstable, name) {
		notes = append(notes, "another value each time: it changes at every check-in")
	}
	if lint.Identity(name) {
		notes = append(notes, "Razor tells machines apart by it")
	}
	if dropped(name) {
		notes = append(notes, "Razor drops it by its default facts.blacklist")
	}
	if len(notes) == 0 {
		return ""
	}
	return "  (" + strings.Join(notes, "; ") + ")"
}
