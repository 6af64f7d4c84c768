package main

import (
	"errors"

	"github.com/spf13/cobra"

	"mkbuild/internal/inspect"
)

type verifyOptions struct{ json, strict bool }

func verifyCommand(w *world) *cobra.Command {
	o := &verifyOptions{}
	c := &cobra.Command{
		Use:   "verify IMAGE",
		Short: "Check an image against its manifest and the rules of a microkernel",
		Long: `Check an image, or an initrd: every file against the manifest that mkbuild left in it, kernel and
initrd against iso-metadata.yaml, the boot loader's boot-info-table, and the rules that
` + "`mkbuild explain`" + ` lists: dangling links, fixed host keys, published secrets, missing libraries,
wrong modes, and ways into a prod image. An image that mkbuild did not build has no manifest; the
rest is checked all the same.

Errors end with exit status 5, warnings do not, unless --strict is given.`,
		Example: `  mkbuild verify rz_mk_prod-image.0.1.0.iso
  mkbuild verify Core-current.iso --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return runVerify(w, o, args[0]) },
	}
	f := c.Flags()
	f.BoolVar(&o.json, "json", false, "print JSON (schema mkbuild.verify/v1)")
	f.BoolVar(&o.strict, "strict", false, "count warnings as errors")
	return c
}

func runVerify(w *world, o *verifyOptions, name string) error {
	m, err := openImage(name)
	if err != nil {
		return err
	}
	defer m.Close() //nolint:errcheck // only read
	v, err := m.Verify()
	if errors.Is(err, inspect.ErrNothingToVerify) {
		return &usageError{err.Error(), "name an image; mkbuild lock --check checks a lock"}
	}
	if err != nil {
		return err
	}
	if o.json {
		err = printJSON(w.stdout, v)
	} else {
		err = v.Print(w.stdout)
	}
	if err != nil {
		return err
	}
	return v.Err(o.strict)
}
