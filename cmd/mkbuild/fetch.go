package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"mkbuild/internal/remaster"
	"mkbuild/internal/ui"
)

func fetchCommand(w *world) *cobra.Command {
	o := &buildOptions{}
	c := &cobra.Command{
		Use:   "fetch",
		Short: "Fill the cache with every input of the lock",
		Long: `Fetch everything that the lock names, for all profiles, so that mkbuild iso --offline needs no network.
Without a lock, fetch what the configuration selects now.

stdout stays empty.`,
		Example: `  mkbuild fetch --locked
  mkbuild fetch --cache-dir /var/cache/mkbuild`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runFetch(cmd.Context(), w, o, cmd) },
	}
	o.addInputFlags(c)
	o.addLockFlags(c)
	return c
}

func runFetch(ctx context.Context, w *world, o *buildOptions, cmd *cobra.Command) error {
	plan, err := o.plan(cmd.Flags())
	if err != nil {
		return err
	}
	return o.withFetcher(w, func(b *remaster.Builder) error {
		r, err := o.resolve(ctx, b, plan)
		if err != nil {
			return err
		}
		var size int64
		for _, in := range r.Lock.Inputs {
			size += in.Size
		}
		b.Sink.Event(ui.Event{Level: ui.Info, Step: "fetch", Text: fmt.Sprintf("the cache has all %d inputs, %.1f MB", len(r.Lock.Inputs), float64(size)/1e6)})
		warnFirstUse(b.Sink, b.Fetch.FirstUse())
		return nil
	})
}

// resolve fetches everything that the lock has, or that the configuration selects without one.
func (o *buildOptions) resolve(ctx context.Context, b *remaster.Builder, plan *remaster.Plan) (*remaster.Resolved, error) {
	l, err := o.loadLock()
	if err != nil {
		return nil, err
	}
	b.Lock, b.Strict = l, o.locked
	r, err := b.Resolve(ctx, plan)
	if err == nil && l != nil && l.Config != r.Lock.Config {
		b.Sink.Event(ui.Event{Level: ui.Warning, Step: "lock", Item: l.File, Text: fmt.Sprintf(
			"it was made for another configuration: what is new was fetched as it is now; `%s` brings it up to date", l.Command)})
	}
	return r, err
}
