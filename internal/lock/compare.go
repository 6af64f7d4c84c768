package lock

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/fail"
)

// Configuration is the [DriftError.Input] of a changed configuration, Presence the [DriftError.What]
// of an input that was added or dropped.
const (
	Configuration = "configuration"
	Presence      = "input"
)

// DriftError is one difference between a lock and the current state.
type DriftError struct {
	// Input is a file name, or [Configuration].
	Input string
	// What differs: "sha256", "needs", "digest", or [Presence].
	What string
	// Want is the lock's value, Got the current one; either may be empty.
	Want, Got string
	// Command writes the lock; empty means plain `mkbuild lock`.
	Command string
}

func (e *DriftError) Error() string { return "check " + e.Input + " against the lock: " + e.Change() }

// Change returns the difference.
func (e *DriftError) Change() string {
	if e.Input == Configuration {
		return "it selects other inputs than the lock's"
	}
	return fmt.Sprintf("%s: locked %s, now %s", e.What, cmp.Or(e.Want, "none"), cmp.Or(e.Got, "none"))
}

// Class is [fail.Drift].
func (e *DriftError) Class() fail.Class { return fail.Drift }

// Hint names the command that accepts the current state.
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
	return fail.New(fail.Drift, fmt.Sprintf("check the lock: %d inputs differ from it: %s", len(all), strings.Join(names, ", ")),
		"if you trust them, accept all with `"+command+" --update`, or one with `"+command+" --update=NAME`")
}

// Stale returns the error of a lock for another configuration than c, and names the different keys, if the lock
// shows them.
func (l *Lock) Stale(c *config.Config) error {
	keys := strings.Join(l.changed(c), "; ")
	return fail.New(fail.Drift, fmt.Sprintf("check %s: the configuration has changed: %s", cmp.Or(l.File, "the lock"), cmp.Or(keys, "sha256 or missing")), updates(l.Command))
}

// changed lists the keys of c that select other inputs than the lock has.
func (l *Lock) changed(c *config.Config) (keys []string) {
	for _, k := range [][3]string{{"release", l.Release, c.Release}, {"arch", l.Arch, c.Arch}} {
		if k[1] != k[2] {
			keys = append(keys, fmt.Sprintf("%s: locked %s, now %s", k[0], k[1], k[2]))
		}
	}
	dev := *c
	dev.Profile = "dev"
	var whole, picked, gems, archives [][]string
	for _, entry := range dev.AllExtensions() {
		whole = append(whole, l.files(entry))
	}
	for _, p := range c.Picks {
		picked = append(picked, l.files(p.Extension))
	}
	for _, g := range c.Gems.Install {
		gems = append(gems, []string{g.Name + "-" + g.Version + ".gem"})
	}
	if c.RubyGems != nil {
		archives = append(archives, []string{"rubygems-" + c.RubyGems.Version + ".tgz"})
	}
	if c.MCollective != nil {
		archives = append(archives, []string{"mcollective-" + c.MCollective.Version + ".tgz"})
	}
	because := func(why ...string) func(*Input) bool {
		return func(in *Input) bool {
			return in.Kind == TCZ && slices.ContainsFunc(why, func(w string) bool { return slices.Contains(in.Why, w) })
		}
	}
	return slices.Concat(keys, l.moved("extensions", because(WhyConfig, WhyDev), whole), l.moved("pick", because(WhyPick), picked),
		l.moved("rubygems or mcollective", func(in *Input) bool { return in.Kind == RubyGems || in.Kind == MCollective }, archives),
		l.moved("gems.install", func(in *Input) bool { return in.Kind == Gem }, gems))
}

// moved compares the inputs of one key, for which has returns true, with the files that it names now: of each
// entry's alternatives, one must be locked.
func (l *Lock) moved(key string, has func(*Input) bool, entries [][]string) (changes []string) {
	var news, lost []string
	kept := map[string]bool{"": true}
	for i := range l.Inputs {
		if has(&l.Inputs[i]) {
			kept[l.Inputs[i].Name] = false
		}
	}
	for _, files := range entries {
		at := slices.IndexFunc(files, func(name string) bool { _, locked := kept[name]; return locked })
		if at < 0 {
			news = append(news, files[0])
		} else {
			kept[files[at]] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		if !kept[name] {
			lost = append(lost, name)
		}
	}
	if news != nil {
		changes = append(changes, key+" has "+strings.Join(news, ", ")+" now")
	}
	if lost != nil {
		changes = append(changes, key+" no longer has "+strings.Join(lost, ", "))
	}
	return changes
}

// files are the file names of an entry's alternatives, with "" for an optional entry.
func (l *Lock) files(entry string) (files []string) {
	names, optional := config.Alternatives(entry)
	for _, name := range names {
		files = append(files, strings.Replace(strings.TrimSuffix(name, ".tcz"), "KERNEL", l.Kernel, 1)+".tcz")
	}
	if optional {
		files = append(files, "")
	}
	return files
}

// updates is the hint to write the lock again.
func updates(writes string) string {
	return "`" + cmp.Or(writes, command) + "` locks new inputs and keeps the rest"
}

// DriftFrom returns the differences of l from old: the configuration, and inputs that were added, dropped or
// replaced, or have other dependencies. It ignores URLs, reasons and licences.
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

// Without returns the lock without the named inputs and their dependencies, so that they are resolved again. A
// name is that of a file, with or without its extension, or a kind. It also returns unknown names.
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

// called reports whether name means the input.
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

// Closure returns extensions, by file name, with their dependencies in the lock.
func (l *Lock) Closure(roots []string) map[*Input]bool {
	marked := map[*Input]bool{}
	for _, name := range roots {
		if in := l.Find(TCZ, name); in != nil {
			l.reach(in, marked)
		}
	}
	return marked
}

// reach marks an input and its dependencies.
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
