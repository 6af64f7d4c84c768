//go:build !unix

package main

import "github.com/spf13/cobra"

func extensionRunCommand(*world) *cobra.Command {
	return &cobra.Command{
		Use:   "run DIR|ZIP",
		Short: "Collect facts here with and without an extension (on Unix only)",
		Long:  "Collect facts with and without an extension. This needs a Unix system: the client's code runs here.",
		Args:  cobra.ExactArgs(1),
		RunE: func(*cobra.Command, []string) error {
			return usage("run an extension: this needs Linux or another Unix", "run it there, or in a microkernel with `mkbuild serve`")
		},
	}
}
