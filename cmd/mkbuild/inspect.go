package main

import (
	"errors"

	"github.com/spf13/cobra"

	"mkbuild/internal/fail"
	"mkbuild/internal/inspect"
)

type inspectOptions struct {
	inspect.Options
	json bool
	file string
}

func inspectCommand(w *world) *cobra.Command {
	o := &inspectOptions{}
	c := &cobra.Command{
		Use:   "inspect IMAGE|INITRD|LOCK",
		Short: "Show what is in an image",
		Long: `Show what is in an ISO, a PXE folder, an initrd or a lock of any origin: the volume, boot entries, the
kernel, the segments of the initrd, extensions, services, accounts that can log in, set-uid files, and
mkbuild's manifest. Nothing is mounted, and nothing in the file is trusted.

--file PATH writes one file of the booted system to stdout, symlinks followed; a path that begins
with "iso:" names a file of the ISO or PXE folder itself: --file iso:boot/isolinux/isolinux.cfg.`,
		Example: `  mkbuild inspect rz_mk_prod-image.0.1.0.iso
  mkbuild inspect Core-current.iso --json
  mkbuild inspect image.iso --file /etc/inittab`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return runInspect(w, o, args[0]) },
	}
	f := c.Flags()
	f.BoolVar(&o.json, "json", false, "print JSON (schema "+inspect.Schema+")")
	f.BoolVar(&o.Files, "files", false, "list every file of the booted system, with its digest")
	f.BoolVar(&o.Sizes, "sizes", false, "show what takes the space")
	f.StringVar(&o.file, "file", "", "write the file `PATH` of the image to stdout, and nothing else")
	return c
}

func runInspect(w *world, o *inspectOptions, name string) error {
	m, err := openImage(name)
	if err != nil {
		return err
	}
	defer m.Close() //nolint:errcheck // only read
	if o.file != "" {
		err := m.WriteFile(w.stdout, o.file)
		if errors.Is(err, inspect.ErrNoFile) {
			return fail.Wrap(fail.Usage, err, "mkbuild inspect "+name+" --files lists them")
		}
		return err
	}
	r, err := m.Report(o.Options)
	if err != nil {
		return err
	}
	return printReport(w, r, o.json)
}

// openImage opens the image that the command line names. Its errors do not suggest another mirror.
func openImage(name string) (*inspect.Image, error) {
	m, err := inspect.Open(name)
	if fail.ClassOf(err) == fail.Verification && fail.HintOf(err) == "" {
		err = fail.Wrap(fail.Verification, err, makeAgain)
	}
	return m, err
}
