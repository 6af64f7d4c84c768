package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"mkbuild/internal/config"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/wholefile"
)

func initCommand(w *world) *cobra.Command {
	return &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a commented mkbuild.yaml with the built-in defaults",
		Long: `Write the built-in configuration, every key explained, to mkbuild.yaml or FILE ("-" is stdout).
An existing file is left alone.`,
		Example: `  mkbuild init`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := defaultConfig
			if len(args) > 0 {
				name = args[0]
			}
			return runInit(cmd.Context(), w, name)
		},
	}
}

func runInit(ctx context.Context, w *world, name string) error {
	if name == toStdout {
		_, err := w.stdout.Write(config.Template)
		return err
	}
	if info, err := os.Stat(name); err == nil && !info.IsDir() {
		return usage("write "+name+": file exists", "edit it, or name another file: mkbuild init other.yaml")
	}
	var reads hostfile.Reads // none
	if err := reads.Allow(ctx, hostfile.File(name, "mkbuild init FILE")); err != nil {
		return err
	}
	err := wholefile.Write(name, func(f io.Writer) error {
		_, err := f.Write(config.Template)
		return err
	})
	if err != nil {
		return err
	}
	return printPath(w, name)
}
