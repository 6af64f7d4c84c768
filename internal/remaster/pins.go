package remaster

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

// pins are what a lock says of a plan's inputs.
type pins struct {
	lock *lock.Lock // nil: nothing is pinned
	// strict makes whatever is not as locked an error.
	strict bool
	// stale says that the lock was made for another configuration.
	stale bool
	// foreign says that it was made for another architecture or major release, where the same
	// names are other files: only gems and archives are pinned.
	foreign bool
}

// newPins holds a lock against a plan.
func newPins(l *lock.Lock, strict bool, p *Plan) (pins, error) {
	ps := pins{lock: l, strict: strict}
	if l == nil {
		if strict {
			return ps, lock.Missing(lock.FileName, "")
		}
		return ps, nil
	}
	digest := lock.Digest(&p.Config)
	ps.stale = digest != l.Config
	ps.foreign = l.Arch != p.Config.Arch || major(l.Release) != major(p.Config.Release)
	if ps.stale && strict {
		return ps, l.Stale(digest)
	}
	return ps, nil
}

func major(release string) string {
	m, _, _ := strings.Cut(release, ".")
	return m
}

// dated returns the time that the lock gives to what is made of its inputs, if it gives one.
func (ps *pins) dated() *int64 {
	if ps.lock == nil || ps.foreign {
		return nil
	}
	return &ps.lock.SourceDate
}

// pin returns what the lock has of a file, nil where it has none.
func (s *sources) pin(kind, name string) (*lock.Input, error) {
	ps := &s.pins
	if ps.lock == nil || ps.foreign && (kind == lock.ISO || kind == lock.TCZ) {
		return nil, nil //nolint:nilnil // not pinned is a normal answer
	}
	in := ps.lock.Find(kind, name)
	if in == nil && ps.strict {
		return nil, &lock.DriftError{Input: name, What: lock.Presence, Got: "wanted", Command: ps.lock.Command}
	}
	if in == nil && !s.resolving {
		s.warn(name, "the lock has none: the one that there is now is taken")
	}
	return in, nil
}

// lockedAway reports whether the lock was made without an extension that the configuration lists
// as missing: then no mirror is asked for it.
func (s *sources) lockedAway(file, kernel string) bool {
	return s.pins.lock != nil && !s.pins.stale && s.pins.lock.Find(lock.TCZ, file) == nil && s.mayMiss(file, kernel)
}

func (s *sources) warn(item, text string) {
	if s.client.Sink != nil {
		s.client.Sink.Event(ui.Event{Level: ui.Warning, Step: "lock", Item: item, Text: text})
	}
}

// get fetches a file as r says, or, where it is pinned, as the lock does: then its SHA-256 decides,
// and the place that it once came from is asked first, if it is one of those to ask at all.
func (s *sources) get(ctx context.Context, in *lock.Input, r fetch.Request) (*fetch.Blob, error) {
	if in == nil {
		return s.client.Get(ctx, r)
	}
	r.MD5, r.SHA256 = "", in.SHA256
	if slices.Contains(r.URLs, in.URL) {
		r.URLs = preferred(in.URL, r.URLs)
	}
	b, err := s.client.Get(ctx, r)
	sum, other := errors.AsType[*fetch.ChecksumError](err)
	if !other {
		return b, err
	}
	drift := &lock.DriftError{Input: in.Name, What: "sha256", Want: sum.Want, Got: sum.Got, Command: s.pins.lock.Command}
	if s.pins.strict || s.resolving {
		return nil, drift
	}
	return nil, fail.Wrap(fail.Verification, fmt.Errorf("%w, as the lock says", err), drift.Hint())
}

// sources are those of a plan, held against the lock.
func (b *Builder) sources(p *Plan) (*sources, error) {
	ps, err := newPins(b.Lock, b.Strict, p)
	if err != nil {
		return nil, err
	}
	s := &sources{client: b.Fetch, plan: p, pins: ps, blobs: map[[2]string]*fetch.Blob{}}
	if l := b.Lock; ps.stale {
		s.warn(cmp.Or(l.File, lock.FileName), fmt.Sprintf(
			"it was made for another configuration: what it has is used, what is new is taken as it is now; `%s` brings it up to date", cmp.Or(l.Command, "mkbuild lock")))
	}
	return s, nil
}

// dated is the builder with the time that the lock gives, where the user gave none.
func (b *Builder) dated(s *sources) *Builder {
	out := *b
	if out.Epoch == nil {
		out.Epoch = s.pins.dated()
	}
	return &out
}
