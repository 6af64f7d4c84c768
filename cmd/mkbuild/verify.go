package main

import (
	"context"

	"github.com/spf13/cobra"

	"mkbuild/internal/inspect"
)

type verifyOptions struct {
	buildOptions
	json, strict, again bool
}

func verifyCommand(w *world) *cobra.Command {
	o := &verifyOptions{}
	c := &cobra.Command{
		Use:   "verify IMAGE",
		Short: "Check an image against its manifest and the rules of a microkernel",
		Long: `Check an image, that is an ISO or a PXE folder, or an initrd: every file against the manifest that
mkbuild left in it, kernel and initrd against iso-metadata.yaml, a PXE folder against its SHA256SUMS, the
boot loader's boot-info-table, and the rules that
` + "`mkbuild explain`" + ` lists: dangling links, fixed host keys, published secrets, missing libraries,
wrong modes, and ways into a prod image. An image that mkbuild did not build has no manifest; the
rest is checked all the same.

Errors end with exit status 5, warnings do not, unless --strict is given.

--rebuild builds the image once more instead, from what its manifest says: that configuration and
those inputs, by their digests, out of the cache or from mirrors. The manifest has no secrets, no
mirrors and none of your own files: they come from --config. Where the bytes are not the same, the
first difference is printed, and the exit status is 5.`,
		Example: `  mkbuild verify rz_mk_prod-image.0.1.0.iso
  mkbuild verify Core-current.iso --json
  mkbuild verify --rebuild rz_mk_prod-image.0.1.0.iso --config mkbuild.yaml --offline`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runVerify(cmd.Context(), w, o, args[0]) },
	}
	f := c.Flags()
	f.BoolVar(&o.json, "json", false, "print JSON (schema "+inspect.VerifySchema+"; with --rebuild "+inspect.RebuildSchema+")")
	f.BoolVar(&o.strict, "strict", false, "count warnings as errors")
	f.BoolVar(&o.again, "rebuild", false, "build the image once more and compare the bytes; the flags below are for this")
	o.addFetchFlags(c)
	return c
}

func runVerify(ctx context.Context, w *world, o *verifyOptions, name string) error {
	m, err := openImage(name)
	if err != nil {
		return err
	}
	defer m.Close() //nolint:errcheck // only read
	if o.again {
		return o.rebuild(ctx, w, m)
	}
	v, err := m.Verify()
	if err != nil {
		return err
	}
	if err := printReport(w, v, o.json); err != nil {
		return err
	}
	return v.Err(o.strict)
}
