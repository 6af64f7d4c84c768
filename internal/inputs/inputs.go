// Package inputs turns a configuration, and a lock if there is one, into the files that images are
// made of: [NewPlan] works out what to ask mirrors for, [Begin] and [Gathering.Finish] get the inputs of
// one image, [Lock] those of every profile. The result is one value, [Resolved]: a lock, and the
// content of each of its inputs.
//
// Mirrors, their digests and their small files, and what a lock pins, are known here and nowhere
// above. The package makes nothing of the inputs: that is remaster's part.
//
// Start reading at [Begin]; lookup.go asks mirrors, pins.go holds a lock against them.
package inputs

import (
	"context"
	"errors"

	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
	"mkbuild/internal/ui"
)

// Options are what inputs are gathered with.
type Options struct {
	Fetch *fetch.Client
	// Sink hears of warnings; nil drops them.
	Sink ui.Sink
	// Step, if set, is called when a step begins and returns what to call at its end.
	Step func(name string) func()
	// Epoch, if set, is the source date; else the lock's is taken, else the newest input's own.
	Epoch *int64
	// Lock, if set, pins inputs: those that it has are fetched by their SHA-256, and no mirror is asked
	// what it has now. The others are resolved as without a lock.
	Lock *lock.Lock
	// Strict makes it an error if there is no lock, if it is of another configuration, or if
	// anything is not as it says.
	Strict bool
}

func (o *Options) say(level ui.Level, step, item, text string) {
	if o.Sink != nil {
		o.Sink.Event(ui.Event{Level: level, Step: step, Item: item, Text: text})
	}
}

func (o *Options) step(name string) func() {
	if o.Step == nil {
		return func() {}
	}
	return o.Step(name)
}

// Begin fetches the source image of a plan, so that it can be looked at before everything else is
// downloaded.
func Begin(ctx context.Context, p *Plan, o Options) (*Gathering, error) {
	if text := p.followed(); text != "" {
		o.say(ui.Info, "plan", p.Config.Release, text)
	}
	g, err := newGathering(p, o, forImage)
	if err != nil {
		return nil, err
	}
	return g, g.iso(ctx)
}

// Lock fetches everything that images of the plan's configuration are made of, whatever the profile.
// What the lock of the options has stays as it is locked; the rest is looked up, and what nobody
// asks for any more is dropped. Other bytes than the locked ones are a [*lock.DriftError].
func Lock(ctx context.Context, p *Plan, o Options) (*Resolved, error) {
	return gatherAll(ctx, p, o, forLock)
}

// Check resolves the plan without the lock of the options and returns what is not as the lock says,
// upstream or in the configuration. It is an error if that cannot be found out.
func Check(ctx context.Context, p *Plan, o Options) ([]*lock.DriftError, error) {
	old := o.Lock
	now, err := gatherAll(ctx, p, o, forCheck)
	if err != nil {
		return nil, err
	}
	drifts := now.Lock.Compare(old)
	for _, d := range drifts {
		d.Command = old.Command
		if now.gone[d.Input] {
			d.Got = "on no mirror"
		}
	}
	return drifts, nil
}

func gatherAll(ctx context.Context, p *Plan, o Options, why purpose) (*Resolved, error) {
	g, err := newGathering(p, o, why)
	if err != nil {
		return nil, err
	}
	if err := g.iso(ctx); err != nil {
		return nil, err
	}
	return g.Finish(ctx)
}

// missing reports whether an error only says that no mirror has a file, where that is what is to be
// found out. Then it is noted.
func (g *Gathering) missing(err error, name string) bool {
	if g.purpose != forCheck || !errors.Is(err, fetch.ErrNotFound) {
		return false
	}
	g.out.lacks(name)
	return true
}
