package main

import (
	"context"
	"slices"
	"time"

	"mkbuild/internal/config"
	"mkbuild/internal/inputs"
	"mkbuild/internal/lock"
	"mkbuild/internal/registry"
	"mkbuild/internal/remaster"
	"mkbuild/internal/store"
	"mkbuild/internal/ui"
)

// cacheOf puts flags in the place of what the configuration says of shared caches.
func cacheOf(c config.Cache, from, to []string) config.Cache {
	for _, side := range []struct {
		flags []string
		to    *[]config.CachePlace
	}{{from, &c.From}, {to, &c.To}} {
		if len(side.flags) > 0 {
			*side.to = nil
		}
		for _, url := range side.flags {
			*side.to = append(*side.to, config.CachePlace{URL: url})
		}
	}
	return c
}

// sharedCache is the cache that builds share, nil if there is none or no network.
func (o *buildOptions) sharedCache(client *registry.Client, sink ui.Sink) (*registry.Cache, error) {
	from, err := places(o.cache.From)
	if err != nil {
		return nil, err
	}
	to, err := places(o.cache.To)
	if err != nil || o.offline || len(from)+len(to) == 0 {
		return nil, err
	}
	c := &registry.Cache{Client: client, From: from, To: to, Warn: func(place, text string) {
		sink.Event(ui.Event{Level: ui.Warning, Step: "cache", Item: place, Text: text})
	}}
	return c.Begin(), nil
}

func places(list []config.CachePlace) (out []*registry.Place, err error) {
	for _, l := range list {
		p, err := registry.NewPlace(l.URL)
		if err != nil {
			return nil, err
		}
		p.Trust, p.Inputs = l.Trust, l.Inputs
		out = append(out, p)
	}
	return out, nil
}

// pin tells a store what a lock pins of that which is derived.
func pin(s *store.Store, l *lock.Lock) {
	if l != nil && len(l.Derived) > 0 {
		s.Pinned = l.Pin
	}
}

// offerInputs sends inputs to the shared caches that take them.
func (o *buildOptions) offerInputs(ctx context.Context, kept *store.Store, s *remaster.Staged) error {
	if !slices.ContainsFunc(o.cache.To, func(p config.CachePlace) bool { return p.Inputs }) || o.shared == nil {
		return nil
	}
	for _, in := range s.Inputs() {
		b, err := kept.Get(ctx, in.SHA256, nil)
		if err != nil {
			return err
		}
		o.shared.Offer(store.Made{Kind: store.KindDownload, Key: in.SHA256, SHA256: in.SHA256}, b)
	}
	return nil
}

// closeCache ends what goes on with shared caches.
func (o *buildOptions) closeCache(ctx context.Context, more time.Duration) {
	if o.shared != nil {
		o.shared.End(ctx, more)
	}
}

// pinDerived makes what a build would make, and pins it in a lock whose builds share a cache. Other locks keep
// the pins that they have.
func (o *lockOptions) pinDerived(ctx context.Context, w *world, in inputs.Options, plan *inputs.Plan, l, old *lock.Lock) error {
	if o.shared == nil {
		if old != nil {
			l.Derived = old.Derived
		}
		return nil
	}
	b, err := o.unlocked(w, plan, in.Sink)
	if err != nil {
		return err
	}
	b.Inputs.Lock = l
	p, err := b.Stage(ctx, plan)
	if err != nil {
		return err
	}
	preview, err := b.Preview(ctx, p)
	if err != nil {
		return err
	}
	l.Derived = nil
	for _, m := range o.shared.Made() {
		l.Derived = append(l.Derived, lock.Derived(m))
	}
	o.closeCache(ctx, time.Minute) // no build waits here
	return preview.Close()
}
