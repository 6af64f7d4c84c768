package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"mkbuild/internal/extension"
	"mkbuild/internal/extension/lint"
	"mkbuild/internal/razor"
	"mkbuild/internal/ui"
)

// lintOptions are the flags of every command that checks an extension.
type lintOptions struct {
	arch, image string
}

func (o *lintOptions) addFlags(c *cobra.Command) {
	c.Flags().StringVar(&o.arch, "arch", "", "architecture of the image: x86 or x86_64 (default: that of --image, else x86)")
	c.Flags().StringVar(&o.image, "image", "", "check interpreters and libraries against this `ISO`")
}

func extensionLintCommand(w *world) *cobra.Command {
	o := &lintOptions{}
	asJSON := false
	c := &cobra.Command{
		Use:   "lint DIR|ZIP",
		Short: "Find mistakes in an extension, and say how to fix them",
		Long: `Check an extension for parts that will not work on a microkernel. An error makes a part
useless or costs a machine its facts, and ends with exit status 2; a warning may be intended,
and ends with 0. Without --image, libraries and interpreters are checked against those of a plain
microkernel. stdout is the findings.

The rules:
` + rulesText(),
		Example: `  mkbuild extension lint site
  mkbuild extension lint mk-extension.zip --image rz_mk_prod-image.0.1.0.iso
  mkbuild extension lint site --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runExtensionLint(cmd.Context(), w, o, args[0], asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON ("+lint.ReportSchema+")")
	o.addFlags(c)
	return c
}

func rulesText() string {
	var b strings.Builder
	for _, r := range lint.Rules() {
		fmt.Fprintf(&b, "  %-20s  %s\n", r.ID, r.About)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func runExtensionLint(ctx context.Context, w *world, o *lintOptions, name string, asJSON bool) error {
	src, release, err := extension.Read(name, extension.DefaultLimits())
	if err != nil {
		return err
	}
	defer release()
	found, err := o.lint(ctx, src)
	if err != nil {
		return err
	}
	if asJSON {
		err = printJSON(w.stdout, lint.NewReport(name, found))
	} else {
		_, err = io.WriteString(w.stdout, lint.Text(found))
	}
	if err != nil {
		return err
	}
	if errs, _ := lint.Count(found); errs > 0 {
		return usage("check "+name+": "+lint.CountText(found), "each finding says how to fix it")
	}
	fmt.Fprintf(w.stderr, "mkbuild: %s: %s\n", ui.Clean(name), lint.CountText(found))
	return nil
}

// lint checks src against the image or architecture that the flags name.
func (o *lintOptions) lint(ctx context.Context, src *extension.Source) ([]lint.Finding, error) {
	opt := lint.Options{Arch: o.arch, Drops: razor.DefaultConfig().Facts.Blacklist.Has}
	if o.image != "" {
		image, err := lint.ReadImage(o.image)
		if err != nil {
			return nil, err
		}
		if opt.Image = image; opt.Arch == "" {
			opt.Arch = image.Arch
		}
	}
	if opt.Arch != "" && !lint.KnownArch(opt.Arch) {
		return nil, usage(fmt.Sprintf("--arch: unknown value %q", opt.Arch), "choose one of x86, x86_64")
	}
	return lint.Check(ctx, src, opt)
}
