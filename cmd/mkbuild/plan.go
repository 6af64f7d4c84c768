package main

import (
	"context"
	"sync"

	"github.com/spf13/cobra"

	"mkbuild/internal/planreport"
	"mkbuild/internal/remaster"
	"mkbuild/internal/ui"
)

type planOptions struct {
	buildOptions
	json, strict bool
	maxSize      string
}

func planCommand(w *world) *cobra.Command {
	o := &planOptions{}
	c := &cobra.Command{
		Use:   "plan",
		Short: "Show what an image will be, and write none",
		Long: `Show what ` + "`mkbuild iso`" + ` would make with the same flags, to the byte: inputs and where they come
from, which extension needs which, who puts which file where, who wins a conflict, sizes (compressed,
unpacked, in RAM), and what deserves a look: published sample secrets, shared libraries that programs
ask for and the image lacks, links that lead nowhere, programs that run instead of busybox's own.

What is needed to know this is downloaded, unless --offline is given, and segments of the initrd are made.
Both go into the cache, where a build finds them; nothing else is written. Secrets are never shown.

With --strict a warning is an error, and so is an image over --max-size: exit status 5. The plan is
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
	f.BoolVar(&o.json, "json", false, "print JSON (schema "+planreport.Schema+")")
	f.BoolVar(&o.strict, "strict", false, "fail when there are warnings")
	f.StringVar(&o.maxSize, "max-size", "", "fail over these `SIZES`: iso=64M,initrd=48M,ram=192M, each optional")
	return c
}

func runPlan(ctx context.Context, w *world, o *planOptions, cmd *cobra.Command) error {
	var limits planreport.Limits
	if cmd.Flags().Changed("max-size") {
		var err error
		if limits, err = planreport.ParseLimits(o.maxSize); err != nil {
			return &usageError{"--max-size " + err.Error(), "for example: --max-size iso=64M,initrd=48M"}
		}
	}
	plan, err := o.plan(cmd.Flags())
	if err != nil {
		return err
	}
	var r *planreport.Report
	said := &warnings{}
	o.wrap = func(next ui.Sink) ui.Sink { said.next = next; return said }
	err = o.build(ctx, w, plan, func(b *remaster.Builder, s *remaster.Staged) error {
		p, err := b.Preview(ctx, s)
		if err != nil {
			return err
		}
		r = planreport.New(s, p, said.list)
		return nil
	})
	if err != nil {
		return err
	}
	if err := o.print(w, r); err != nil {
		return err
	}
	if err := limits.Check(r); err != nil {
		return err
	}
	if o.strict && len(r.Warnings) > 0 {
		return &planreport.WarningsError{Warnings: r.Warnings}
	}
	return nil
}

func (o *planOptions) print(w *world, r *planreport.Report) error {
	if !o.json {
		return r.Print(w.stdout)
	}
	return printJSON(w.stdout, r)
}

// warnings keeps what the build warns of, for the plan: there it is printed once.
type warnings struct {
	mu   sync.Mutex
	list []planreport.Warning
	next ui.Sink
}

// Event takes warnings in and passes everything else on, but for conflicts, which the plan lists.
func (x *warnings) Event(e ui.Event) {
	switch {
	case e.Level == ui.Warning:
		x.mu.Lock()
		defer x.mu.Unlock()
		x.list = append(x.list, planreport.Warning{Rule: e.Step, Item: e.Item, Text: e.Text})
	case e.Level != ui.Info:
		x.next.Event(e)
	}
}
