package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"mkbuild/internal/extension"
	"mkbuild/internal/extension/lint"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/wholefile"
)

func extensionCommand(w *world) *cobra.Command {
	c := &cobra.Command{
		Use:   "extension",
		Short: "Write, check, pack and try runtime extensions",
		Long: `A runtime extension is a zip file that a running microkernel fetches before each check-in: programs, libraries,
Ruby code and external facts that add to the facts of a machine (microkernel.extension-zip in
Razor's config.yaml).`,
		Example: `  mkbuild extension new site
  mkbuild extension lint site
  mkbuild extension run site
  mkbuild extension pack site -o /etc/razor/mk-extension.zip`,
		Args: noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(extensionNewCommand(w), extensionPackCommand(w), extensionLintCommand(w), extensionShowCommand(w), extensionRunCommand(w),
		extensionSignCommand(w), extensionVerifyCommand(w))
	return c
}

func extensionNewCommand(w *world) *cobra.Command {
	return &cobra.Command{
		Use:   "new DIR",
		Short: "Write a small example extension with comments",
		Long: `Write a working extension into DIR, which must be empty or missing: one of everything that an
extension can hold, with the rules in comments. stdout is DIR.`,
		Example: `  mkbuild extension new site`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var reads hostfile.Reads // none
			if err := reads.Allow(cmd.Context(), hostfile.Tree(args[0], "mkbuild extension new DIR", nil)); err != nil {
				return err
			}
			if err := hostfile.MakeTree(args[0]); err != nil {
				return err
			}
			if err := extension.WriteExample(args[0]); err != nil {
				return err
			}
			return printPath(w, args[0])
		},
	}
}

type packOptions struct {
	lintOptions
	sealOptions
	reads  hostfile.Reads
	output string
	noLint bool
}

func extensionPackCommand(w *world) *cobra.Command {
	o := &packOptions{}
	c := &cobra.Command{
		Use:   "pack DIR",
		Short: "Pack a directory as an extension",
		Long: `Pack DIR as a zip file for microkernel.extension-zip. The same tree gives the same bytes: members are
sorted, modes are 0755 or 0644, times are 1980-01-01. Traces of version control and file managers
are left out. DIR is checked first, as by ` + "`mkbuild extension lint`" + `: errors prevent the zip file.

stdout is the path of the file and nothing else. The file appears whole or not at all, even while a
server hands out the old one.`,
		Example: `  mkbuild extension pack site -o /etc/razor/mk-extension.zip
  mkbuild extension pack site --sign site.key`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runExtensionPack(cmd.Context(), w, o, args[0]) },
	}
	c.Flags().StringVarP(&o.output, "output", "o", "mk-extension.zip", "`file` to write, - for stdout")
	c.Flags().BoolVar(&o.noLint, "no-lint", false, "skip the check")
	o.lintOptions.addFlags(c)
	o.sealOptions.addFlags(c)
	return c
}

func runExtensionPack(ctx context.Context, w *world, o *packOptions, dir string) error {
	src, err := extension.ReadDir(dir, extension.DefaultLimits())
	if err != nil {
		return extension.Named(err, "name the directory that holds bin, lib and facts.d")
	}
	out := wholefile.Output{Name: o.output}
	if out.Stream, err = w.stream(o.output); err != nil {
		return err
	}
	if out.Stream == nil {
		o.reads.Add("the extension", dir)
		o.reads.Add("", o.image)
		o.signOptions.reads(&o.reads)
		if err := o.reads.Allow(ctx, hostfile.File(o.output, "-o FILE")); err != nil {
			return err
		}
	}
	if !o.noLint {
		if err := o.checkBeforePack(ctx, w, src); err != nil {
			return err
		}
	}
	b, err := extension.Pack(ctx, src, extension.DefaultLimits())
	if err != nil {
		return extension.Named(err, "`mkbuild extension lint "+dir+"` says how to fix it")
	}
	if b, err = o.seal(ctx, w, b, dir); err != nil {
		return err
	}
	err = out.Write(func(f io.Writer) error {
		_, err := f.Write(b)
		return err
	})
	if err != nil {
		return err
	}
	return printPath(w, o.output)
}

func (o *packOptions) checkBeforePack(ctx context.Context, w *world, src *extension.Source) error {
	found, err := o.lint(ctx, src)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w.stderr, lint.Text(found)); err != nil {
		return err
	}
	if errs, _ := lint.Count(found); errs > 0 {
		return usage(fmt.Sprintf("pack %s: %s", src.Name, lint.CountText(found)), "fix the errors, or pack it as it is with --no-lint")
	}
	return nil
}
