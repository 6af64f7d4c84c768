package inputs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
	"mkbuild/internal/ui"
)

// Options say how to gather inputs.
type Options struct {
	Fetch *fetch.Client
	// Sink gets warnings; nil drops them.
	Sink ui.Sink
	// Step, if set, is called at the beginning of a step and returns a function to call at its end.
	Step func(name string) func()
	// Epoch, if set, is the source date; else it is the lock's, else the newest input's.
	Epoch *int64
	// Lock, if set, pins inputs: they are fetched by their SHA-256, and no mirror is asked for its current
	// version. Other inputs are resolved as without a lock.
	Lock *lock.Lock
	// Strict requires a lock of this configuration, and inputs that match it.
	Strict bool
}

type purpose int

const (
	forImage purpose = iota // the inputs of one image
	forLock                 // the inputs of all profiles
	forCheck                // the same; a missing input is no error
)

// source gets inputs from mirrors, as a lock pins them.
type source struct {
	Options
	purpose purpose
	mirrors []Mirror // the ISO's mirror first
	// pins is the lock; a check has none.
	pins *lock.Lock
	// stale says that the lock was made for another configuration.
	stale bool
	// foreign says that it was made for another architecture or series, where the same name means another file:
	// it pins only gems and archives.
	foreign bool
}

// newSource compares the lock with the plan.
func newSource(p *Plan, o Options, why purpose) (*source, error) {
	s := &source{Options: o, purpose: why, mirrors: p.Mirrors}
	if len(p.Followed) > 0 && why == forImage {
		s.say(ui.Info, "plan", p.Config.Release, "defaults of "+p.Series.Name()+": "+strings.Join(p.Followed, "; "))
	}
	l, c := o.Lock, &p.Config
	switch {
	case why == forCheck:
		return s, nil
	case l == nil && o.Strict:
		return nil, fmt.Errorf("read lock: %w", lock.ErrMissing)
	case l == nil:
		return s, nil
	}
	digest := lock.Digest(c)
	s.pins, s.stale = l, digest != l.Config
	s.foreign = l.Arch != c.Arch || majorOf(l.Release) != majorOf(c.Release)
	switch {
	case s.stale && o.Strict:
		return nil, l.Stale(c)
	case s.stale && why == forImage:
		s.say(ui.Warning, "lock", cmp.Or(l.File, lock.FileName), fmt.Sprintf(
			"it was made for another configuration: locked inputs are used, new ones are taken in their current version; `%s` updates the lock", cmp.Or(l.Command, "mkbuild lock")))
	}
	return s, nil
}

func (s *source) say(level ui.Level, step, item, text string) {
	if s.Sink != nil {
		s.Sink.Event(ui.Event{Level: level, Step: step, Item: item, Text: text})
	}
}

func (s *source) step(name string) func() {
	if s.Step == nil {
		return func() {}
	}
	return s.Step(name)
}

// prefer puts the mirror of a folder with ISOs before the others.
func (s *source) prefer(dir string) {
	has := func(m Mirror) bool { return m.Release == dir || m.Archived == dir }
	at := slices.IndexFunc(s.mirrors, has)
	s.mirrors = append([]Mirror{s.mirrors[at]}, slices.DeleteFunc(slices.Clone(s.mirrors), has)...)
}

// isoDirs are the folders that may have the ISO; tczDirs, the extensions.
func (s *source) isoDirs() (out []string) {
	for _, m := range s.mirrors {
		out = append(out, m.Release, m.Archived)
	}
	return out
}

func (s *source) tczDirs() (out []string) {
	for _, m := range s.mirrors {
		out = append(out, m.TCZ)
	}
	return out
}

// pinOf returns the lock's input of a file, or nil.
func (s *source) pinOf(kind, name string) (*lock.Input, error) {
	if s.pins == nil || s.foreign && (kind == lock.ISO || kind == lock.TCZ) {
		return nil, nil //nolint:nilnil // not pinned is a normal answer
	}
	in := s.pins.Find(kind, name)
	switch {
	case in != nil:
	case s.Strict:
		return nil, &lock.DriftError{Input: name, What: lock.Presence, Got: "wanted", Command: s.pins.Command}
	case s.purpose == forImage:
		s.say(ui.Warning, "lock", name, "it is not in the lock: its current version is taken")
	}
	return in, nil
}

// lockedWithout reports whether the lock was made for the configuration, but without an extension.
func (s *source) lockedWithout(file string) bool {
	return s.pins != nil && !s.stale && s.pins.Find(lock.TCZ, file) == nil
}

// get fetches a file. If it is pinned, its SHA-256 decides, and the locked URL is asked first, if it is among the
// places of r.
func (s *source) get(ctx context.Context, pinned *lock.Input, r fetch.Request) (*fetch.Blob, error) {
	if pinned == nil {
		return s.Fetch.Get(ctx, r)
	}
	r.MD5, r.SHA256 = "", pinned.SHA256
	for _, u := range r.URLs {
		if u == pinned.URL || fetch.Shown(u) == pinned.URL { // addresses in a lock have no secrets
			r.URLs = preferred(u, r.URLs)
			break
		}
	}
	b, err := s.Fetch.Get(ctx, r)
	sum, other := errors.AsType[*fetch.ChecksumError](err)
	if !other {
		return b, err
	}
	drift := &lock.DriftError{Input: pinned.Name, What: "sha256", Want: sum.Want, Got: sum.Got, Command: s.pins.Command}
	if s.Strict || s.purpose == forLock {
		return nil, drift
	}
	return nil, fail.Wrap(fail.Verification, fmt.Errorf("%w, which the lock names", err), drift.Hint())
}
