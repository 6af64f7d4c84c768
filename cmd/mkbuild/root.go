package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the Makefile; a plain `go build` takes it from the module's own data.
var version string //nolint:gochecknoglobals // set by the linker

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

func rootCommand(w *world) *cobra.Command {
	root := &cobra.Command{
		Use:   "mkbuild",
		Short: "Turn a stock Tiny Core Linux ISO into a Razor microkernel ISO",
		Long: `mkbuild turns a stock Tiny Core Linux ISO into a Razor microkernel ISO: it fetches the ISO and
its extensions, stages Ruby, Facter, MCollective and its own client, and repacks initrd and ISO.
It needs no root, no mount and no other program, and gives the same bytes for the same inputs.

  mkbuild iso --release 4.5.2                 a production image: no way in
  mkbuild iso --release 4.5.2 --with-openssh  a development image: ssh with your own key
` + exitHelp,
		Version:       versionText(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetOut(w.stdout)
	root.SetErr(w.stderr)
	root.SetVersionTemplate("mkbuild {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{err.Error(), "see `" + cmd.CommandPath() + " --help`"}
	})
	root.AddGroup(&cobra.Group{ID: "image", Title: "Images:"})
	for _, c := range []*cobra.Command{isoCommand(w), overlayCommand(w), initCommand(w), bootCommand(w)} {
		c.GroupID = "image"
		c.Long += "\n" + exitHelp
		c.Args = strictArgs(c.Args)
		root.AddCommand(c)
	}
	root.AddGroup(&cobra.Group{ID: "runtime", Title: "Run time:"})
	serve := serveCommand(w)
	serve.Long += "\n" + exitHelp
	serve.Args = strictArgs(serve.Args)
	for _, c := range []*cobra.Command{extensionCommand(w), serve} {
		c.GroupID = "runtime"
		root.AddCommand(c)
	}
	root.Args = strictArgs(func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown command %q", args[0])
		}
		return nil
	})
	return root
}

// strictArgs makes a wrong number of arguments a usage error.
func strictArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{err.Error(), "see `" + cmd.CommandPath() + " --help`"}
		}
		return nil
	}
}
