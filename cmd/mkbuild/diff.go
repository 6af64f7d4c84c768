package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"mkbuild/internal/fail"
	"mkbuild/internal/inspect"
)

// errDifferent ends a comparison that found a difference: exit status 1, without a message.
var errDifferent = errors.New("the two differ")

func diffCommand(w *world) *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "diff A B",
		Short: "Compare two images, initrds or locks",
		Long: `Compare the contents of two images, initrds or locks: boot entries and arguments, kernel, inputs,
extensions, gems, and every file's type, mode, owner, content and link. An image is an ISO or a PXE
folder. Times, and the packing of an initrd, do not count. Images of different forms are compared by the
systems that they boot; a lock and an image, by the inputs in the image's manifest.

stdout is a list that fits the text of a pull request as it is. The exit status is that of diff(1).`,
		Example: `  mkbuild diff yesterday.iso today.iso
  mkbuild diff old.lock mkbuild.lock
  mkbuild diff Core-4.5.2.iso core.gz --json`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := runDiff(w, args[0], args[1], asJSON)
			if err == nil || errors.Is(err, errDifferent) || errors.Is(err, context.Canceled) {
				return err
			}
			return fail.Wrap(fail.Usage, err, "") // status 2, as with diff(1): 1 always means that the two differ
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON (schema "+inspect.DiffSchema+")")
	return c
}

func runDiff(w *world, nameA, nameB string, asJSON bool) error {
	a, err := openImage(nameA)
	if err != nil {
		return err
	}
	defer a.Close() //nolint:errcheck // only read
	b, err := openImage(nameB)
	if err != nil {
		return err
	}
	defer b.Close() //nolint:errcheck // only read
	d, err := inspect.Compare(a, b)
	if err != nil {
		return err
	}
	if err := printReport(w, d, asJSON); err != nil || d.Same {
		return err
	}
	return errDifferent
}
