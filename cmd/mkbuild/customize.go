package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"mkbuild/internal/customize"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/medium"
	"mkbuild/internal/wholefile"
)

// customOptions are the flags of mkbuild customize.
type customOptions struct {
	request customize.Request
	output  string
	reset   bool
	reads   hostfile.Reads
}

func customizeCommand(w *world) *cobra.Command {
	o := &customOptions{}
	c := &cobra.Command{
		Use:   "customize IMAGE -o OUT",
		Short: "Change a built image for a site, without a rebuild",
		Long: `Write a copy of an image with other kernel arguments, settings of mk-client, an extension or
authorized keys. IMAGE is an ISO, a PXE folder or an initrd alone, and OUT has the same form. Nothing is
fetched or built: one segment is appended to the initrd, whose own bytes stay as they are, and the boot
menus, Razor's iso-metadata.yaml, checksums and the manifest follow.

A second run replaces the first: the result is always the image as built, with the changes that this run
names. --reset alone restores the image as built.

Kernel arguments and keys go behind those of the build; settings win over those of the build. Settings
that are secrets belong in a file (--client-config), because everybody on the machine can read a command
line. Everybody who can boot an image can read what it holds.

stdout is the path of OUT and nothing else.`,
		Example: `  mkbuild customize rz_mk_prod-image.0.1.0.iso -o ams1.iso --client-setting server=razor.ams1.example:8150
  mkbuild customize ams1.iso -o ams2.iso --append 'console=ttyS0' --extension mk-extension.zip
  mkbuild customize ams1.iso -o plain.iso --reset`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runCustomize(cmd.Context(), w, o, args[0]) },
	}
	f := c.Flags()
	f.StringVarP(&o.output, "output", "o", "", "output `file`, - for stdout, or folder for a PXE folder")
	f.StringVar(&o.request.Append, "append", "", "kernel `arguments` to add to every boot label")
	f.StringArrayVar(&o.request.Settings, "client-setting", nil, "setting of mk-client, `KEY=VALUE`, as below client.settings in mkbuild.yaml; may be repeated")
	f.StringVar(&o.request.SettingsFile, "client-config", "", "`file` of settings of mk-client, as below client.settings in mkbuild.yaml or as JSON")
	f.StringVar(&o.request.Extension, "extension", "", "runtime extension, a zip `file`, that mk-client uses until its server gives it one")
	f.StringArrayVar(&o.request.KeyFiles, "authorized-key", nil, "`file` of public keys for the ssh server of a dev or debug image; may be repeated")
	f.BoolVar(&o.reset, "reset", false, "alone: restore the image as built")
	return c
}

func runCustomize(ctx context.Context, w *world, o *customOptions, image string) error {
	custom, err := o.request.Read(ctx)
	if err != nil {
		return err
	}
	if o.output == "" {
		return usage("customize: -o OUT is missing", "for example: mkbuild customize "+image+" -o custom.iso --append 'console=ttyS0'")
	}
	if o.reset && !custom.IsZero() {
		return usage("--reset cannot be combined with changes", "leave --reset out: each run begins with the image as built")
	}
	if custom.IsZero() && !o.reset {
		return usage("customize "+image+": no change is named", "for example: --append 'console=ttyS0', or --reset for the image as built")
	}
	out := wholefile.Output{Name: o.output}
	form := medium.ISO // for an initrd, too: it may have a manifest next to it
	if info, err := os.Stat(image); err == nil && info.IsDir() {
		form = medium.PXE
	}
	if form == medium.PXE && o.output == toStdout {
		return usage("-o -: a PXE folder cannot go to stdout", "name a folder with -o DIR")
	}
	if out.Stream, err = w.stream(o.output); err != nil {
		return err
	}
	o.request.Reads(&o.reads)
	o.reads.Add("the image itself", image)
	if err := o.reads.Allow(ctx, form.Places(out)...); err != nil {
		return err
	}
	if err := customize.Run(ctx, image, out, custom); err != nil {
		return err
	}
	return printPath(w, o.output)
}
