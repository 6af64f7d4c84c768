package lock

import (
	"slices"
	"strings"
)

// Compare returns what is not as old says in l: the configuration, and inputs that were added,
// dropped, replaced, or depend on others than before. Where a file came from, who asked for it and
// what its licence is called do not count.
func (l *Lock) Compare(old *Lock) []*DriftError {
	var out []*DriftError
	add := func(input, what, want, got string) {
		if want != got {
			out = append(out, &DriftError{Input: input, What: what, Want: want, Got: got})
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
// that they are resolved anew. A name is that of a file, with or without its ending, or a kind. It
// also returns the names that nothing has.
func (l *Lock) Without(which ...string) (rest *Lock, unknown []string) {
	drop := map[string]bool{}
	for _, name := range which {
		found := false
		for _, in := range l.Inputs {
			if in.called(name) {
				found = true
				l.reach(in, drop)
			}
		}
		if !found {
			unknown = append(unknown, name)
		}
	}
	out := *l
	out.Inputs = slices.DeleteFunc(slices.Clone(l.Inputs), func(in Input) bool { return drop[in.Kind+"/"+in.Name] })
	return &out, unknown
}

// called reports whether people may mean in by name.
func (in *Input) called(name string) bool {
	if name == in.Kind || name == in.Name {
		return true
	}
	base := in.Name
	for _, ending := range []string{".tcz", ".gem", ".iso", ".tgz"} {
		base = strings.TrimSuffix(base, ending)
	}
	if name == base {
		return true
	}
	version, ok := strings.CutPrefix(base, name+"-") // a gem's name without its version
	return ok && in.Kind == Gem && version != "" && version[0] >= '0' && version[0] <= '9'
}

// reach marks an input and what it depends on.
func (l *Lock) reach(in Input, marked map[string]bool) {
	key := in.Kind + "/" + in.Name
	if marked[key] {
		return
	}
	marked[key] = true
	for _, n := range in.Needs {
		if dep := l.Find(TCZ, n); dep != nil {
			l.reach(*dep, marked)
		}
	}
}

// Closure returns the file names of extensions and of all that they depend on, as the lock has
// them.
func (l *Lock) Closure(roots []string) map[string]bool {
	marked := map[string]bool{}
	for _, name := range roots {
		if in := l.Find(TCZ, name); in != nil {
			l.reach(*in, marked)
		}
	}
	out := map[string]bool{}
	for key := range marked {
		_, name, _ := strings.Cut(key, "/")
		out[name] = true
	}
	return out
}
