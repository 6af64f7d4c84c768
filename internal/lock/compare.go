package lock

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"mkbuild/internal/fail"
)

// Configuration is the [DriftError.Input] of a changed configuration, Presence the [DriftError.What]
// of an input that was added or dropped.
const (
	Configuration = "configuration"
	Presence      = "input"
)

// DriftError is one difference between a lock and what there is now.
type DriftError struct {
	// Input is a file name, or [Configuration].
	Input string
	// What differs: "sha256", "needs", "digest", or [Presence].
	What string
	// Want is what the lock says, Got what there is; either is empty if there is nothing.
	Want, Got string
	// Command writes the lock; empty means plain `mkbuild lock`.
	Command string
}

func (e *DriftError) Error() string { return "check " + e.Input + " against the lock: " + e.Change() }

// Change says what differs.
func (e *DriftError) Change() string {
	return fmt.Sprintf("%s: locked %s, now %s", e.What, cmp.Or(e.Want, "none"), cmp.Or(e.Got, "none"))
}

// Class is [fail.Drift].
func (e *DriftError) Class() fail.Class { return fail.Drift }

// Hint names the command that accepts what there is now.
func (e *DriftError) Hint() string {
	if e.Want == "" && e.What == Presence || e.Input == Configuration {
		return updates(e.Command)
	}
	return "if you trust it, accept it with `" + cmp.Or(e.Command, command) + " --update=" + e.Input + "`"
}

// Drifts returns one error of several differences. command writes the lock.
func Drifts(all []*DriftError, command string) error {
	names := make([]string, 0, len(all))
	for _, d := range all {
		names = append(names, d.Input)
	}
	return fail.New(fail.Drift, fmt.Sprintf("check the lock: %d things are not as locked: %s", len(all), strings.Join(names, ", ")),
		"if you trust them, accept all with `"+command+" --update`, or one with `"+command+" --update=NAME`")
}

// Stale returns the error of a lock that was made for another configuration than the one with the
// digest now.
func (l *Lock) Stale(now string) error {
	return fail.New(fail.Drift, fmt.Sprintf("check %s: it was made for another configuration: locked %s, now %s", cmp.Or(l.File, "the lock"), l.Config, now), updates(l.Command))
}

// updates is the hint to write the lock anew.
func updates(writes string) string {
	return "`" + cmp.Or(writes, command) + "` locks what is new and keeps the rest"
}

// DriftFrom returns how l differs from old: the configuration, and inputs that were added, dropped or
// replaced, or that depend on others than before. Where a file came from, who asked for it and what
// its licence is called do not count.
func (l *Lock) DriftFrom(old *Lock) []*DriftError {
	var out []*DriftError
	add := func(input, what, want, got string) {
		if want != got {
			out = append(out, &DriftError{Input: input, What: what, Want: want, Got: got, Command: old.Command})
		}
	}
	add(Configuration, "digest", old.Config, l.Config)
	for _, was := range old.Inputs {
		now := l.Find(was.Kind, was.Name)
		if now == nil {
			add(was.Name, Presence, was.SHA256, "")
			continue
		}
		add(was.Name, "sha256", was.SHA256, now.SHA256)
		add(was.Name, "needs", strings.Join(was.Needs, " "), strings.Join(now.Needs, " "))
	}
	for _, now := range l.Inputs {
		if old.Find(now.Kind, now.Name) == nil {
			add(now.Name, Presence, "", now.SHA256)
		}
	}
	return out
}

// Without returns the lock without the inputs of the given names and all that these depend on, so
// that they are resolved anew. A name is that of a file, with or without its extension, or a kind. It
// also returns the names that no input has.
func (l *Lock) Without(which ...string) (rest *Lock, unknown []string) {
	drop := map[*Input]bool{}
	for _, name := range which {
		found := false
		for i := range l.Inputs {
			if in := &l.Inputs[i]; in.called(name) {
				found = true
				l.reach(in, drop)
			}
		}
		if !found {
			unknown = append(unknown, name)
		}
	}
	out := *l
	out.Inputs = nil
	for i := range l.Inputs {
		if !drop[&l.Inputs[i]] {
			out.Inputs = append(out.Inputs, l.Inputs[i])
		}
	}
	return &out, unknown
}

// called reports whether a user may mean the input by name.
func (in *Input) called(name string) bool {
	base := in.Name
	for _, ending := range []string{".tcz", ".gem", ".iso", ".tgz"} {
		base = strings.TrimSuffix(base, ending)
	}
	if slices.Contains([]string{in.Kind, in.Name, base}, name) {
		return true
	}
	version, ok := strings.CutPrefix(base, name+"-") // a gem's name without its version
	return ok && in.Kind == Gem && version != "" && version[0] >= '0' && version[0] <= '9'
}

// Closure returns extensions, by their file names, and all that they depend on, according to the lock.
func (l *Lock) Closure(roots []string) map[*Input]bool {
	marked := map[*Input]bool{}
	for _, name := range roots {
		if in := l.Find(TCZ, name); in != nil {
			l.reach(in, marked)
		}
	}
	return marked
}

// reach marks an input and what it depends on.
func (l *Lock) reach(in *Input, marked map[*Input]bool) {
	if marked[in] {
		return
	}
	marked[in] = true
	for _, n := range in.Needs {
		if dep := l.Find(TCZ, n); dep != nil {
			l.reach(dep, marked)
		}
	}
}
