package main

import (
	"errors"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"mkbuild/internal/config"
)

func initCommand(w *world) *cobra.Command {
	return &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a commented mkbuild.yaml with the built-in defaults",
		Long: `Write the built-in configuration, every key explained, to mkbuild.yaml or FILE ("-" is stdout).
An existing file is left alone.`,
		Example: `  mkbuild init`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			name := defaultConfig
			if len(args) > 0 {
				name = args[0]
			}
			return runInit(w, name)
		},
	}
}

func runInit(w *world, name string) error {
	if name == "-" {
		_, err := w.stdout.Write(config.Template)
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // a config file to share
	if errors.Is(err, fs.ErrExist) {
		return usage("write "+name+": it exists already", "edit it, or name another file: mkbuild init other.yaml")
	}
	if err != nil {
		return usage("write "+name+": "+err.Error(), "name a file in a folder that exists and that you may write to: mkbuild init FILE")
	}
	if _, err := f.Write(config.Template); err != nil {
		return errors.Join(err, f.Close(), os.Remove(name))
	}
	if err := f.Close(); err != nil {
		return err
	}
	return printPath(w, name)
}
