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

// cacheOf returns the shared caches: from the flags, else the configuration.
func cacheOf(c config.Cache, from, to []string) config.Cache {
	return config.Cache{From: placesOf(from, c.From), To: placesOf(to, c.To)}
}

func placesOf(urls []string, configured []config.CachePlace) (out []config.CachePlace) {
	for _, url := range urls {
		out = append(out, config.CachePlace{URL: url})
	}
	if len(urls) == 0 {
		return configured
	}
	return out
}

// sharedCache is the cache that builds share; nil without a registry or a network.
func (o *buildOptions) sharedCache(client *registry.Client, sink ui.Sink) (*registry.Cache, error) {
	c, err := registry.NewCache(client, o.cache, func(place, text string) {
		sink.Event(ui.Event{Level: ui.Warning, Step: "cache", Item: place, Text: text})
	})
	if o.offline {
		return nil, err
	}
	return c, err
}

// offerInputs sends inputs to the shared caches.
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

// pinDerived makes the segments of a build, and pins them in a lock whose builds share a cache. Other locks keep
// their pins.
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
	o.shared.End(ctx, time.Minute) // no build waits here
	return preview.Close()
}
