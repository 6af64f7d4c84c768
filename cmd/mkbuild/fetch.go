package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"mkbuild/internal/inputs"
	"mkbuild/internal/ui"
)

func fetchCommand(w *world) *cobra.Command {
	o := &buildOptions{}
	c := &cobra.Command{
		Use:   "fetch",
		Short: "Fill the cache with every input of the lock",
		Long: `Fetch every file that the lock names, for all profiles, so that mkbuild iso --offline works.
Without a lock, fetch the files that the configuration selects now.

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
	plan, err := o.plan(cmd)
	if err != nil {
		return err
	}
	return o.withInputs(w, func(in inputs.Options) error {
		r, err := o.resolve(ctx, w, in, plan)
		if err != nil {
			return err
		}
		var size int64
		for i := range r.Lock.Inputs {
			size += r.Lock.Inputs[i].Size
		}
		in.Sink.Event(ui.Event{Level: ui.Info, Step: "fetch", Text: fmt.Sprintf("the cache has all %d inputs, %.1f MB", len(r.Lock.Inputs), float64(size)/1e6)})
		warnFirstUse(in.Sink, in.Fetch.FirstUse())
		return nil
	})
}
