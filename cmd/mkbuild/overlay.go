package main

import (
	"context"

	"github.com/spf13/cobra"

	"mkbuild/internal/remaster"
	"mkbuild/internal/wholefile"
)

func overlayCommand(w *world) *cobra.Command {
	o := &buildOptions{}
	c := &cobra.Command{
		Use:   "overlay",
		Short: "Write everything that an image adds to Tiny Core as a tar.gz",
		Long: `Write what ` + "`mkbuild iso`" + ` would add to Tiny Core's own files as one gzip'd tar archive, with owners,
modes and devices: the snapshot of the manual procedure, without the virtual machine.`,
		Example: `  mkbuild overlay -o overlay.tar.gz`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runOverlay(cmd.Context(), w, o, cmd) },
	}
	o.addFlags(c)
	c.Flags().StringVarP(&o.output, "output", "o", "overlay.tar.gz", "output `file`")
	return c
}

func runOverlay(ctx context.Context, w *world, o *buildOptions, cmd *cobra.Command) error {
	plan, err := o.plan(cmd.Flags())
	if err != nil {
		return err
	}
	if err := wholefile.Check(o.output); err != nil {
		return err
	}
	return o.build(ctx, w, plan, func(b *remaster.Builder, s *remaster.Staged) error {
		if err := b.WriteOverlay(ctx, s, o.output); err != nil {
			return err
		}
		return printPath(w, o.output)
	})
}
