package main

import (
	"context"

	"github.com/spf13/cobra"

	"mkbuild/internal/inputs"
	"mkbuild/internal/ui"
)

func mirrorCommand(w *world) *cobra.Command {
	o := &buildOptions{}
	c := &cobra.Command{
		Use:   "mirror DIR",
		Short: "Write a mirror that has everything the images need",
		Long: `Write a mirror of everything that images of the configuration are made of, for all profiles, into DIR:
the ISO and the extensions in Tiny Core's own layout, RubyGems, MCollective and gems in archives/, a
mkbuild.lock, and a mkbuild.yaml whose sources are in DIR. It is made from the lock, or of what the
configuration selects now without one. Files that are there already stay; running it again changes
nothing.

Build from it anywhere, without a network: mkbuild iso --config DIR/mkbuild.yaml, or with a
configuration of your own, mkbuild iso --mirror DIR. Your own files (overlay, keys, certificates) and
secrets are not copied: the written mkbuild.yaml says where they are expected.

stdout is DIR.`,
		Example: `  mkbuild mirror airgap
  mkbuild iso --mirror airgap --offline`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runMirror(cmd.Context(), w, o, cmd, args[0]) },
	}
	o.addInputFlags(c)
	o.addLockFlags(c)
	return c
}

func runMirror(ctx context.Context, w *world, o *buildOptions, cmd *cobra.Command, dir string) error {
	plan, err := o.plan(cmd)
	if err != nil {
		return err
	}
	return o.withInputs(w, func(in inputs.Options) error {
		r, err := o.resolve(ctx, w, in, plan, inputs.MirrorPlace(dir))
		if err != nil {
			return err
		}
		notes, err := r.WriteMirror(ctx, dir)
		if err != nil {
			return err
		}
		for _, n := range notes {
			in.Sink.Event(ui.Event{Level: ui.Warning, Step: "mirror", Item: dir, Text: n})
		}
		warnFirstUse(in.Sink, in.Fetch.FirstUse())
		return printPath(w, dir)
	})
}
