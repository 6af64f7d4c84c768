package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mkbuild/internal/tcz"
)

func releasesCommand(w *world) *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "releases",
		Short: "List the release series of Tiny Core Linux",
		Long: `List the release series of Tiny Core Linux, by major version and architecture: the name of the ISO
and its kernels. Which extensions there are, the mirror decides, and how an ISO is remade, its own kernel,
initrd and boot menu.`,
		Example: `  mkbuild releases
  mkbuild releases --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return releasesJSON(w)
			}
			return releasesText(w)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the table as JSON")
	return c
}

func releasesJSON(w *world) error {
	e := json.NewEncoder(w.stdout)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Schema string       `json:"schema"`
		Series []tcz.Series `json:"series"`
	}{"mkbuild.releases/v2", tcz.AllSeries()})
}

func releasesText(w *world) error {
	t := tabwriter.NewWriter(w.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SERIES\tISO\tKERNELS")
	for _, s := range tcz.AllSeries() {
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.Name(), s.ISO("VERSION"), strings.Join(s.Kernels, " "))
	}
	return t.Flush()
}
