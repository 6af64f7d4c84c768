package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"mkbuild/internal/extension"
	"mkbuild/internal/extension/lint"
	"mkbuild/internal/medium"
	"mkbuild/internal/razor"
	"mkbuild/internal/ui"
)

const lintSchema = "mkbuild.extension-lint/v2"

// lintOptions are the flags of every command that checks an extension.
type lintOptions struct {
	arch, image string
}

func (o *lintOptions) addFlags(c *cobra.Command) {
	c.Flags().StringVar(&o.arch, "arch", "", "architecture of the image: x86 or x86_64 (default: --image's, else x86)")
	c.Flags().StringVar(&o.image, "image", "", "check interpreters and libraries against this `ISO`")
}

func extensionLintCommand(w *world) *cobra.Command {
	o := &lintOptions{}
	asJSON := false
	c := &cobra.Command{
		Use:   "lint DIR|ZIP",
		Short: "Find what will not work in an extension, and say how to fix it",
		Long: `Check an extension for everything that does not do what it looks like on a microkernel. Errors make
something useless or cost a machine its facts, and end with exit status 2; warnings may be meant so
and end with 0. Without --image, libraries and interpreters are checked against what a plain
microkernel has. stdout is the findings.

What is looked for:
` + rulesText(),
		Example: `  mkbuild extension lint site
  mkbuild extension lint mk-extension.zip --image rz_mk_prod-image.0.1.0.iso
  mkbuild extension lint site --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runExtensionLint(cmd.Context(), w, o, args[0], asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON ("+lintSchema+")")
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
	src, release, err := openSource(name)
	if err != nil {
		return err
	}
	defer release()
	found, err := o.lint(ctx, src)
	if err != nil {
		return err
	}
	if asJSON {
		err = printFindingsJSON(w.stdout, name, found)
	} else {
		err = printFindings(w.stdout, found)
	}
	if err != nil {
		return err
	}
	if errs, _ := lint.Count(found); errs > 0 {
		return usage("check "+name+": "+countText(found), "each finding says how to fix it")
	}
	fmt.Fprintf(w.stderr, "mkbuild: %s: %s\n", ui.Clean(name), countText(found))
	return nil
}

// lint checks src against the image or architecture that the flags name.
func (o *lintOptions) lint(ctx context.Context, src *extension.Source) ([]lint.Finding, error) {
	opt := lint.Options{Arch: o.arch, Drops: razor.DefaultConfig().Facts.Blacklist.Has}
	if o.image != "" {
		image, err := readImage(o.image)
		if err != nil {
			return nil, err
		}
		if opt.Image = image; opt.Arch == "" {
			opt.Arch = image.Arch
		}
	}
	if opt.Arch != "" && !lint.KnownArch(opt.Arch) {
		return nil, usage(fmt.Sprintf("--arch: mkbuild does not know %q", opt.Arch), "use --arch x86 or --arch x86_64")
	}
	return lint.Check(ctx, src, opt)
}

// readImage reads the root file system that an ISO boots.
func readImage(name string) (*lint.Image, error) {
	m, err := medium.OpenISO(name)
	if errors.Is(err, syscall.ENOENT) {
		return nil, usage("read "+name+": no such file", "build one with `mkbuild iso`, or leave --image out")
	}
	if err != nil {
		return nil, err
	}
	defer m.Close() //nolint:errcheck // only read
	release, err := m.KernelRelease()
	if err != nil {
		return nil, err
	}
	tree, err := m.Tree()
	if err != nil {
		return nil, fmt.Errorf("read the initrd of %s: %w", name, err)
	}
	arch := "x86"
	if strings.HasSuffix(release, "64") {
		arch = "x86_64"
	}
	return lint.NewImage(name, arch, tree), nil
}

// printFindings writes one finding as two lines: what is wrong where, and what helps.
func printFindings(w io.Writer, found []lint.Finding) error {
	for _, f := range found {
		where := f.File
		if where == "" {
			where = "(all)"
		}
		where = ui.Clean(where)
		if f.Line > 0 {
			where += fmt.Sprintf(":%d", f.Line)
		}
		if _, err := fmt.Fprintf(w, "%s: %s: %s [%s]\n    %s\n", where, f.Severity, ui.Clean(f.What), f.Rule, ui.Clean(f.Fix)); err != nil {
			return err
		}
	}
	return nil
}

func printFindingsJSON(w io.Writer, name string, found []lint.Finding) error {
	errs, warnings := lint.Count(found)
	if found == nil {
		found = []lint.Finding{}
	}
	return printJSON(w, struct {
		Schema    string         `json:"schema"`
		Extension string         `json:"extension"`
		Errors    int            `json:"errors"`
		Warnings  int            `json:"warnings"`
		Findings  []lint.Finding `json:"findings"`
	}{lintSchema, name, errs, warnings, found})
}

// printJSON writes a document for programs; encoding/json escapes control characters.
func countText(found []lint.Finding) string {
	errs, warnings := lint.Count(found)
	return plural(errs, "error") + ", " + plural(warnings, "warning")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
