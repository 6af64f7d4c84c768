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

// mirrorOptions are the options of a build, and the registry that receives the mirror instead of a folder.
type mirrorOptions struct {
	buildOptions
	oci string
}

func mirrorCommand(w *world) *cobra.Command {
	o := &mirrorOptions{}
	c := &cobra.Command{
		Use:   "mirror [DIR]",
		Short: "Write a mirror with every input of the images",
		Long: `Write a mirror with every input of the configuration's images, for all profiles, into DIR:
the ISO and the extensions in Tiny Core's own layout, RubyGems, MCollective and gems in archives/, a
mkbuild.lock, and a mkbuild.yaml whose sources are in DIR. The lock selects the inputs; without one, the
configuration selects them now. Existing files stay: a second run changes
nothing.

Build from it anywhere, without a network: mkbuild iso --config DIR/mkbuild.yaml, or with a
configuration of your own, mkbuild iso --mirror DIR. Your own files (overlay, keys, certificates) and
secrets are not copied: the written mkbuild.yaml says where they are expected.

--oci REF pushes these files, except mkbuild.yaml and mkbuild.lock, to an OCI registry instead, and
--mirror oci://REF takes them from there. See docs/registry.md for credentials.

stdout is DIR, or REF with the digest of all files.`,
		Example: `  mkbuild mirror airgap
  mkbuild iso --mirror airgap --offline
  mkbuild mirror --oci registry.example:5000/razor/inputs:1`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args)+len(o.oci) == 0:
				return usage("mirror: DIR or --oci is missing", "for example: mkbuild mirror airgap")
			case len(args) > 0 && o.oci != "":
				return usage("mirror: DIR and --oci cannot be combined", "leave one of the two out")
			case o.oci != "":
				return o.push(cmd.Context(), w, cmd)
			}
			return runMirror(cmd.Context(), w, &o.buildOptions, cmd, args[0])
		},
	}
	o.addInputFlags(c)
	o.addLockFlags(c)
	c.Flags().StringVar(&o.oci, "oci", "", "push the mirror to an OCI registry: `HOST/REPOSITORY:TAG`")
	return c
}

// push pushes a mirror to a registry.
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
