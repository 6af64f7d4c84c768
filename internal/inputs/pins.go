package inputs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
	"mkbuild/internal/ui"
)

// pins are what a lock says of a plan's inputs.
type pins struct {
	lock *lock.Lock // nil: nothing is pinned
	// stale says that the lock was made for another configuration.
	stale bool
	// foreign says that it was made for another architecture or series, where the same names are
	// other files: only gems and archives are pinned.
	foreign bool
}

// pin holds the lock of the options against the plan, whose configuration has the digest.
func (g *Gathering) pin(digest string) error {
	l, c := g.options.Lock, &g.own.Config
	if l == nil {
		if g.options.Strict {
			return lock.Missing(lock.FileName, "")
		}
		return nil
	}
	g.pins = pins{lock: l, stale: digest != l.Config, foreign: l.Arch != c.Arch || majorOf(l.Release) != majorOf(c.Release)}
	switch {
	case !g.pins.stale:
	case g.options.Strict:
		return l.Stale(digest)
	case g.purpose == forImage:
		g.options.say(ui.Warning, "lock", cmp.Or(l.File, lock.FileName), fmt.Sprintf(
			"it was made for another configuration: what it has is used, what is new is taken as it is now; `%s` brings it up to date", cmp.Or(l.Command, "mkbuild lock")))
	}
	return nil
}

// pinOf returns what the lock has of a file, or nil.
func (g *Gathering) pinOf(kind, name string) (*lock.Input, error) {
	l := g.pins.lock
	if l == nil || g.pins.foreign && (kind == lock.ISO || kind == lock.TCZ) {
		return nil, nil //nolint:nilnil // not pinned is a normal answer
	}
	in := l.Find(kind, name)
	switch {
	case in != nil:
	case g.options.Strict:
		return nil, &lock.DriftError{Input: name, What: lock.Presence, Got: "wanted", Command: l.Command}
	case g.purpose == forImage:
		g.options.say(ui.Warning, "lock", name, "the lock has none: the one that there is now is taken")
	}
	return in, nil
}

// lacks reports whether the lock was made for the configuration, but without an extension.
func (p *pins) lacks(file string) bool {
	return p.lock != nil && !p.stale && p.lock.Find(lock.TCZ, file) == nil
}

// get fetches a file as r says. If it is pinned, its SHA-256 decides, and the place that it once came
// from is asked first, if that is one to ask at all.
func (g *Gathering) get(ctx context.Context, pinned *lock.Input, r fetch.Request) (*fetch.Blob, error) {
	if pinned == nil {
		return g.options.Fetch.Get(ctx, r)
	}
	r.MD5, r.SHA256 = "", pinned.SHA256
	if slices.Contains(r.URLs, pinned.URL) {
		r.URLs = preferred(pinned.URL, r.URLs)
	}
	b, err := g.options.Fetch.Get(ctx, r)
	sum, other := errors.AsType[*fetch.ChecksumError](err)
	if !other {
		return b, err
	}
	drift := &lock.DriftError{Input: pinned.Name, What: "sha256", Want: sum.Want, Got: sum.Got, Command: g.pins.lock.Command}
	if g.options.Strict || g.purpose == forLock {
		return nil, drift
	}
	return nil, fail.Wrap(fail.Verification, fmt.Errorf("%w, as the lock says", err), drift.Hint())
}
