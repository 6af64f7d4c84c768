package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"mkbuild/internal/remaster"
)

func isoCommand(w *world) *cobra.Command {
	o := &buildOptions{}
	c := &cobra.Command{
		Use:   "iso",
		Short: "Build a microkernel ISO",
		Long: `Build a microkernel ISO from a Tiny Core Linux release. No config file is needed: the defaults are
those of the Razor microkernel for 4.5.2. ./mkbuild.yaml is read when it exists; flags override it.

stdout is the path of the ISO and nothing else. The file appears whole or not at all.`,
		Example: `  mkbuild iso --release 4.5.2
  mkbuild iso --release 4.5.2 --with-openssh --append 'console=ttyS0'
  mkbuild iso --mirror /srv/tinycore --offline -o nightly.iso`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runISO(cmd.Context(), w, o, cmd) },
	}
	o.addFlags(c)
	c.Flags().StringVar(&o.append, "append", "", "kernel `arguments` to add to every boot label")
	c.Flags().StringVarP(&o.output, "output", "o", "", "output `file` (default rz_mk_{prod,dev,debug}-image.<version>.iso)")
	return c
}

func runISO(ctx context.Context, w *world, o *buildOptions, cmd *cobra.Command) error {
	plan, err := o.plan(cmd.Flags())
	if err != nil {
		return err
	}
	name := plan.Config.ISOName()
	if cmd.Flags().Changed("output") {
		name = o.output
	}
	if err := checkOutput(name); err != nil {
		return err
	}
	return o.build(ctx, w, plan, func(b *remaster.Builder, s *remaster.Staged) error {
		if err := b.WriteISO(ctx, s, name); err != nil {
			return err
		}
		return printPath(w, name)
	})
}

func printPath(w *world, name string) error {
	_, err := fmt.Fprintln(w.stdout, filepath.ToSlash(name))
	return err
}
