package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"mkbuild/internal/extension"
)

func extensionShowCommand(w *world) *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "show ZIP",
		Short: "List what is in an extension",
		Long: `List the members of an extension with their mode on a microkernel, size and SHA-256, the
total, and the use of each top directory. Damaged and hostile archives are listed too, within
mk-client's limits: members that mk-client would refuse are marked. stdout is the list.`,
		Example: `  mkbuild extension show mk-extension.zip`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runExtensionShow(cmd.Context(), w, args[0], asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON ("+extension.ListingSchema+")")
	return c
}

func runExtensionShow(ctx context.Context, w *world, name string, asJSON bool) error {
	src, release, err := extension.Read(name, extension.DefaultLimits())
	if err != nil {
		return err
	}
	defer release()
	l, err := extension.List(ctx, src)
	if err != nil {
		return err
	}
	l.Extension = name
	if asJSON {
		return printJSON(w.stdout, l)
	}
	_, err = io.WriteString(w.stdout, l.Text())
	return err
}
