package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"mkbuild/internal/fetch"
	"mkbuild/internal/inputs"
	"mkbuild/internal/registry"
	"mkbuild/internal/ui"
	"mkbuild/internal/wholefile"
)

// mirrorOptions are those of a build, and where the mirror goes if that is no folder.
type mirrorOptions struct {
	buildOptions
	oci string
}

func mirrorCommand(w *world) *cobra.Command {
	o := &mirrorOptions{}
	c := &cobra.Command{
		Use:   "mirror [DIR]",
		Short: "Write a mirror that has everything the images need",
		Long: `Write a mirror of everything that images of the configuration are made of, for all profiles, into DIR:
the ISO and the extensions in Tiny Core's own layout, RubyGems, MCollective and gems in archives/, a
mkbuild.lock, and a mkbuild.yaml whose sources are in DIR. It is made from the lock, or of what the
configuration selects now without one. Files that are there already stay; running it again changes
nothing.

Build from it anywhere, without a network: mkbuild iso --config DIR/mkbuild.yaml, or with a
configuration of your own, mkbuild iso --mirror DIR. Your own files (overlay, keys, certificates) and
secrets are not copied: the written mkbuild.yaml says where they are expected.

--oci REF puts these files, but for mkbuild.yaml and mkbuild.lock, into an OCI registry instead, and
--mirror oci://REF takes them from there. See docs/registry.md for credentials.

stdout is DIR, or REF with the digest of all files.`,
		Example: `  mkbuild mirror airgap
  mkbuild iso --mirror airgap --offline
  mkbuild mirror --oci registry.example:5000/razor/inputs:1`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args)+len(o.oci) == 0 || len(args) > 0 && o.oci != "":
				return usage("name a folder, or a registry with --oci, and not both", "for example: mkbuild mirror airgap")
			case o.oci != "":
				return o.push(cmd.Context(), w, cmd)
			}
			return runMirror(cmd.Context(), w, &o.buildOptions, cmd, args[0])
		},
	}
	o.addInputFlags(c)
	o.addLockFlags(c)
	c.Flags().StringVar(&o.oci, "oci", "", "put the mirror into an OCI registry: `HOST/REPOSITORY:TAG`")
	return c
}

// push puts a mirror into a registry.
func (o *mirrorOptions) push(ctx context.Context, w *world, cmd *cobra.Command) error {
	ref, err := registry.Parse(o.oci)
	if err == nil && o.offline {
		err = fmt.Errorf("push to %s: %w", ref, fetch.ErrOffline)
	}
	if err != nil {
		return err
	}
	dir, release, err := wholefile.TempFolder()
	if err != nil {
		return err
	}
	defer release()
	plan, err := o.plan(cmd)
	if err != nil {
		return err
	}
	return o.withInputs(w, func(in inputs.Options) error {
		r, err := o.resolve(ctx, w, in, plan)
		if err == nil {
			_, err = r.WriteMirror(ctx, dir)
		}
		if err != nil {
			return err
		}
		if ref, err = o.registry(w).PushMirror(ctx, ref, dir, in.Sink); err != nil {
			return err
		}
		warnFirstUse(in.Sink, in.Fetch.FirstUse())
		_, err = fmt.Fprintln(w.stdout, ref)
		return err
	})
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
