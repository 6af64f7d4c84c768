package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mkbuild/internal/extension/lint"
	"mkbuild/internal/ui"
)

const runSchema = "mkbuild.extension-run/v1"

// moves matches Facter's own facts that change while it looks.
var moves = regexp.MustCompile(`^(memory|memoryfree.*|swapfree.*|uptime.*|system_uptime|load_averages|mountpoints|partitions)$`)

// factSample holds the facts of two collections in a row.
type factSample struct{ with, without map[string]any }

// changedFact is a fact that both collections have, with other values.
type changedFact struct {
	Without any `json:"without"`
	With    any `json:"with"`
}

// factDiff is what `run` prints.
type factDiff struct {
	Schema    string                 `json:"schema"`
	Extension string                 `json:"extension"`
	Added     map[string]any         `json:"added"`
	Changed   map[string]changedFact `json:"changed"`
	Removed   map[string]any         `json:"removed"`
	Unstable  []string               `json:"unstable"` // of the extension's facts: those that differ each time
}

// compareFacts tells what the extension does from what changes by itself: a fact counts as
// changed when it is the same without the extension both times, and another with it both times.
// The fact path always has the extension's bin/ in it, and what [moves] by itself may do so
// between any two collections: both are left out.
func compareFacts(s [2]factSample) factDiff {
	d := factDiff{Schema: runSchema, Added: map[string]any{}, Changed: map[string]changedFact{}, Removed: map[string]any{}, Unstable: []string{}}
	same := reflect.DeepEqual
	for name, v := range s[1].with {
		old, had := s[1].without[name]
		_, hadBefore := s[0].without[name]
		switch {
		case name == "path" || had && moves.MatchString(name):
			continue
		case !had && !hadBefore:
			d.Added[name] = v
		case had && same(old, s[0].without[name]) && !same(v, old) && !same(s[0].with[name], s[0].without[name]):
			d.Changed[name] = changedFact{old, v}
		default:
			continue
		}
		if !same(v, s[0].with[name]) {
			d.Unstable = append(d.Unstable, name)
		}
	}
	for name, v := range s[1].without {
		_, has := s[1].with[name]
		_, hadBefore := s[0].with[name]
		if !has && !hadBefore {
			d.Removed[name] = v
		}
	}
	slices.Sort(d.Unstable)
	return d
}

// print writes one line for each fact, with what its author should know about it.
func (d *factDiff) print(w *world, dropped func(string) bool) error {
	var b strings.Builder
	for _, name := range sortedNames(d.Added) {
		fmt.Fprintf(&b, "+ %s = %s%s\n", nameText(name), valueText(d.Added[name]), d.note(name, dropped))
	}
	for _, name := range sortedNames(d.Changed) {
		c := d.Changed[name]
		fmt.Fprintf(&b, "~ %s = %s, without the extension %s%s\n", nameText(name), valueText(c.With), valueText(c.Without), d.note(name, dropped))
	}
	for _, name := range sortedNames(d.Removed) {
		fmt.Fprintf(&b, "- %s = %s%s\n", nameText(name), valueText(d.Removed[name]), d.note(name, dropped))
	}
	if b.Len() == 0 {
		fmt.Fprintf(w.stderr, "mkbuild: %s adds and changes no facts\n", ui.Clean(d.Extension))
	}
	_, err := io.WriteString(w.stdout, b.String())
	return err
}

// note warns of facts that are there, but not of the use that one expects.
func (d *factDiff) note(name string, dropped func(string) bool) string {
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

// nameText shows blanks that belong to a name.
func nameText(name string) string {
	if name == "" || strings.ContainsAny(name, " \t=\"") {
		return strconv.Quote(name)
	}
	return ui.Clean(name)
}

func valueText(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return ui.Clean(fmt.Sprint(v))
	}
	return ui.Clean(strings.TrimSuffix(b.String(), "\n"))
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
