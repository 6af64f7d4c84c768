package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"github.com/spf13/cobra"

	"mkbuild/internal/attest"
	"mkbuild/internal/fail"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/inputs"
	"mkbuild/internal/remaster"
	"mkbuild/internal/sbom"
	"mkbuild/internal/signing"
	"mkbuild/internal/ui"
)

// isoOptions are the options of a build, and the forms that it writes.
type isoOptions struct {
	buildOptions
	forms  []string
	bill   string
	strict bool
	sign   signOptions
}

func isoCommand(w *world) *cobra.Command {
	o := &isoOptions{}
	c := &cobra.Command{
		Use:     "iso",
		Aliases: []string{"build"},
		Short:   "Build a microkernel image: an ISO, or the files of a network boot",
		Long: `Build a microkernel image from a Tiny Core Linux release. No configuration is needed: the defaults are
those of the Razor microkernel for 4.5.2. ./mkbuild.yaml is read if it exists; flags override it.

--format names the forms to write. All forms of a build hold the same kernel and initrd:

  iso    an ISO 9660 image with Razor's iso-metadata.yaml. It boots from a USB stick and by UEFI if
         its source does; the build says when it does not.
  pxe    a folder for a network boot server: kernel, initrd, boot.ipxe, pxelinux.cfg/default, SHA256SUMS.
         With --layout segments, the kernel and each segment of the initrd are files of their own, named
         by SHA-256: a build into the same folder adds only new files, and an HTTP cache fetches only these.
  razor  the tar archive that razor-server unpacks into its repository: microkernel/vmlinuz0 and
         initrd0.img. The server's own boot script decides the kernel arguments.
  tar    the files that the image adds to Tiny Core, as mkbuild overlay writes it

With one form, -o names it. With several, -o names the ISO, and the others are named after it:
-o x.iso makes x-pxe, x.razor.tar and x.overlay.tar.gz, even if no ISO is written. -o -
writes one form (iso, razor or tar) to stdout, and nothing else.

An ISO has its manifest next to it, OUTPUT.manifest.json; a PXE folder has it inside.

--sign writes two files next to each form: OUTPUT.minisig, a signature that minisign -V verifies (for a PXE
folder, of its SHA256SUMS), and OUTPUT.intoto.jsonl, an in-toto statement with its SLSA provenance v1.
` + "`mkbuild verify IMAGE --key PUB`" + ` checks an image against both.

stdout is the path of each form, one a line, in the order of --format, and nothing else.
Each form appears whole or not at all. A form in which mkbuild verify finds an error is not written: exit
status 5. An existing PXE folder is replaced as a whole; with --layout segments it keeps the segments of earlier
builds until you run mkbuild prune. A folder with other files is left alone, and the build fails. If the output is
a symbolic link, mkbuild writes to its target. Devices, pipes and the build's own inputs are refused before
anything is fetched. The umask decides who may read the result.

` + "`mkbuild build`" + ` is the same command.`,
		Example: `  mkbuild iso --release 4.5.2
  mkbuild iso --release 4.5.2 --with-openssh --append 'console=ttyS0'
  mkbuild iso --mirror /srv/tinycore --offline -o nightly.iso
  mkbuild iso --format iso,pxe,razor -o nightly.iso
  mkbuild iso --format pxe -o /srv/tftp/microkernel
  mkbuild iso --format pxe --layout segments -o /srv/boot/microkernel`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runISO(cmd.Context(), w, o, cmd) },
	}
	o.addFlags(c)
	c.Flags().StringVar(&o.append, "append", "", "kernel `arguments` to add to every boot label")
	c.Flags().StringSliceVar(&o.forms, "format", []string{"iso"}, "`forms` to write, separated by commas: iso, pxe, razor, tar")
	c.Flags().BoolVar(&o.strict, "strict", false, "write nothing if there are warnings")
	c.Flags().StringVar(&o.layout, "layout", "", "layout of a PXE folder: whole, or segments: files that all builds in the folder share (default whole)")
	c.Flags().StringVar(&o.bill, "sbom", "", "write a bill of materials next to the first form, in the `format` spdx: OUTPUT.spdx.json")
	o.sign.addFlags(c, "sign", "sign each form with this secret `key`: OUTPUT.minisig, and its provenance OUTPUT.intoto.jsonl")
	c.Flags().StringVarP(&o.output, "output", "o", "", "output `file` or folder, - for stdout (default rz_mk_{prod,dev,debug}-image.<version>.iso)")
	return c
}

func runISO(ctx context.Context, w *world, o *isoOptions, cmd *cobra.Command) error {
	plan, err := o.plan(cmd)
	if err != nil {
		return err
	}
	given := cmd.Flags().Changed("output") || o.output != ""
	if !given {
		o.output = plan.Config.ISOName()
	}
	outputs, err := remaster.Outputs(o.forms, o.output, given)
	if err != nil {
		return err
	}
	if cmd.Flags().Changed("layout") && !slices.ContainsFunc(outputs, func(x remaster.Output) bool { return x.Form == remaster.FormPXE }) {
		return usage("--layout needs --format pxe", "for example: --format pxe --layout segments")
	}
	if o.bill != "" && o.bill != "spdx" {
		return usage(fmt.Sprintf("--sbom: unknown format %q", o.bill), "the format is spdx: --sbom spdx")
	}
	if outputs[0].Stream, err = o.stream(w, outputs); err != nil {
		return err
	}
	signer, err := o.sign.signer(ctx, w)
	if err != nil {
		return err
	}
	return o.writeForms(ctx, w, plan, outputs, signer)
}

// stream is stdout for -o -, else nil.
func (o *isoOptions) stream(w *world, outputs []remaster.Output) (io.Writer, error) {
	switch {
	case o.output != toStdout:
		return nil, nil
	case len(outputs) > 1:
		return nil, usage("-o -: only one form can go to stdout", "name one: --format iso, razor or tar")
	case outputs[0].Form == remaster.FormPXE:
		return nil, usage("-o -: a PXE folder cannot go to stdout", "name a folder with -o DIR, or another form: --format iso, razor or tar")
	case o.bill != "":
		return nil, usage("--sbom and -o - cannot be combined", "leave --sbom out, or name a file with -o FILE")
	case o.sign.key != "":
		return nil, usage("--sign and -o - cannot be combined", "leave --sign out, or name a file with -o FILE")
	}
	return w.stream(o.output)
}

func (o *isoOptions) writeForms(ctx context.Context, w *world, plan *inputs.Plan, outputs []remaster.Output, signer *signing.Signer) error {
	o.sign.reads(&o.reads)
	var places []hostfile.Place
	for _, out := range outputs {
		places = append(places, out.Places()...)
		if signer != nil {
			places = append(places, hostfile.File(attest.SignatureName(out.Path), "-o FILE"), hostfile.File(attest.FileName(out.Path), "-o FILE"))
		}
	}
	if o.bill != "" {
		places = append(places, hostfile.File(sbom.FileName(outputs[0].Path), "-o FILE"))
	}
	said := &warningCount{}
	o.wrap = func(next ui.Sink) ui.Sink { said.Sink = next; return said }
	return o.build(ctx, w, plan, places, func(b *remaster.Builder, s *remaster.Staged) error {
		if n := said.n.Load(); o.strict && n > 0 {
			return fail.New(fail.Verification, fmt.Sprintf("build the image: %d warnings, and --strict allows none", n), "do what the warnings say, or leave --strict out")
		}
		b.Sign = signer
		if err := b.Write(ctx, s, outputs); err != nil {
			return err
		}
		if o.bill != "" {
			if err := b.WriteBill(s, outputs[0].Path); err != nil {
				return err
			}
		}
		return printOutputs(w, outputs)
	})
}

// warningCount is a sink that counts warnings.
type warningCount struct {
	ui.Sink
	n atomic.Int32
}

// Event implements [ui.Sink].
func (c *warningCount) Event(e ui.Event) {
	if e.Level == ui.Warning {
		c.n.Add(1)
	}
	c.Sink.Event(e)
}
