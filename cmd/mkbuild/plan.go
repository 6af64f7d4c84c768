package main

import (
	"context"

	"github.com/spf13/cobra"

	"mkbuild/internal/fail"
	"mkbuild/internal/inspect"
	"mkbuild/internal/remaster"
	"mkbuild/internal/ui"
)

type planOptions struct {
	buildOptions
	json, strict, files bool
	maxSize             string
}

func planCommand(w *world) *cobra.Command {
	o := &planOptions{}
	c := &cobra.Command{
		Use:   "plan",
		Short: "Show what an image would be, and write none",
		Long: `Show what ` + "`mkbuild iso`" + ` would make with the same flags, to the byte: everything that ` + "`mkbuild inspect`" + ` reports about
the image once it is written, and how it comes to be: inputs and where they come from, which extension
needs which, which input provides which file, which one wins a conflict, and findings: published sample
secrets, shared libraries that programs need and the image lacks, dangling links, programs
that replace busybox's own.

Inputs are downloaded, unless --offline is given, and segments of the initrd are made.
Both go into the cache for the next build; nothing else is written. Secrets are never shown, and
neither are the lines of your own scripts.

With --strict a finding is an error; an image over --max-size always is: exit status 5. The plan is
printed all the same.`,
		Example: `  mkbuild plan
  mkbuild plan --profile dev --json
  mkbuild plan --strict --max-size iso=64M,initrd=48M,ram=192M`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPlan(cmd.Context(), w, o, cmd) },
	}
	o.addFlags(c)
	f := c.Flags()
	f.StringVar(&o.append, "append", "", "kernel `arguments` to add to every boot label")
	f.BoolVar(&o.json, "json", false, "print JSON (schema "+inspect.Schema+")")
	f.BoolVar(&o.files, "files", false, "list every file of the booted system, with its digest unless it may hold secrets")
	f.BoolVar(&o.strict, "strict", false, "fail if there are findings")
	f.StringVar(&o.maxSize, "max-size", "", "fail if the image exceeds these `SIZES`: iso=64M,initrd=48M,ram=192M, each optional")
	return c
}

func runPlan(ctx context.Context, w *world, o *planOptions, cmd *cobra.Command) error {
	var limits inspect.Limits
	if cmd.Flags().Changed("max-size") {
		var err error
		if limits, err = inspect.ParseLimits(o.maxSize); err != nil {
			return &fail.Error{Class: fail.Usage, What: "--max-size", Hint: "for example: --max-size iso=64M,initrd=48M", Err: err}
		}
	}
	plan, err := o.plan(cmd)
	if err != nil {
		return err
	}
	said := &inspect.Warnings{}
	o.wrap = func(next ui.Sink) ui.Sink { said.Next = next; return said }
	var r *inspect.Report
	err = o.build(ctx, w, plan, nil, func(b *remaster.Builder, s *remaster.Staged) error {
		p, err := b.Preview(ctx, s)
		if err != nil {
			return err
		}
		defer p.Close() //nolint:errcheck
		r, err = inspect.Plan(ctx, plan.Config.ISOName(), p, said.Findings, o.files)
		return err
	})
	if err != nil {
		return err
	}
	if err := printReport(w, r, o.json); err != nil {
		return err
	}
	if err := limits.Check(r); err != nil {
		return err
	}
	if o.strict {
		return r.Strict()
	}
	return nil
}
