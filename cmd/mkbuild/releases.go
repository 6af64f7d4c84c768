package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mkbuild/internal/inputs"
	"mkbuild/internal/tcz"
	"mkbuild/internal/ui"
)

type releasesOptions struct {
	buildOptions
	json bool
}

func releasesCommand(w *world) *cobra.Command {
	o := &releasesOptions{}
	c := &cobra.Command{
		Use:   "releases",
		Short: "List the releases of Tiny Core Linux that the mirrors have",
		Long: `List the releases of Tiny Core Linux that a mirror has: for each series the newest, the number of older
ones, the ISOs of the newest, and the known kernels of the series. The mirrors of
mkbuild.yaml, or those of --mirror, are asked in their order; the first that lists its folders counts.

Without a network, or if no mirror lists its folders, mkbuild warns and prints the series that it knows
itself.`,
		Example: `  mkbuild releases
  mkbuild releases --mirror http://tinycorelinux.net/ --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runReleases(cmd.Context(), w, o) },
	}
	o.addFetchFlags(c)
	c.Flags().BoolVar(&o.json, "json", false, "print JSON (schema "+releasesSchema+")")
	return c
}

// releasesSchema is the version of the JSON.
const releasesSchema = "mkbuild.releases/v3"

func runReleases(ctx context.Context, w *world, o *releasesOptions) error {
	c, err := o.load(ctx)
	if len(o.mirrors) > 0 {
		c.Mirrors = o.mirrors
	}
	if err == nil {
		err = inputs.CheckHost(&c)
	}
	if err != nil {
		return err
	}
	return o.withInputs(w, func(in inputs.Options) error {
		all, mirror, err := inputs.Releases(ctx, c.Mirrors, in)
		if ctx.Err() != nil {
			return err
		}
		if err != nil {
			in.Sink.Event(ui.Event{Level: ui.Warning, Step: "releases", Text: "no mirror lists its releases; these are the known series: " + err.Error()})
			for _, s := range tcz.AllSeries() {
				all = append(all, inputs.Listed{Series: s})
			}
		}
		if !o.json {
			return printReleases(w, all)
		}
		e := json.NewEncoder(w.stdout)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			Schema string          `json:"schema"`
			Mirror string          `json:"mirror,omitempty"`
			Series []inputs.Listed `json:"series"`
		}{releasesSchema, mirror, all})
	})
}

// printReleases prints at most 100 columns.
func printReleases(w *world, all []inputs.Listed) error {
	t := tabwriter.NewWriter(w.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SERIES\tNEWEST\tOLDER\tISOS\tKERNELS")
	for _, s := range all {
		newest, older := "-", "-"
		if n := len(s.Releases) - 1; n >= 0 {
			newest = s.Releases[n]
			if n > 0 {
				older = fmt.Sprintf("%d from %s", n, s.Releases[0])
			}
		}
		isos := strings.Join(s.Editions, " ")
		if isos == "" {
			isos = s.Edition
		}
		kernels := strings.Join(s.Kernels, " ")
		kernels = strings.ReplaceAll(strings.ReplaceAll(kernels, "-tinycore64", ""), "-tinycore", "")
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", s.Name(), newest, older, isos, kernels)
	}
	return t.Flush()
}
