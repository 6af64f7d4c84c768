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
		Long: `List the release series of Tiny Core Linux, by major version and architecture: the name of the ISO,
its kernels, and the extensions of a microkernel, by the names that a mirror is asked for where you
list none.

The table only says what to ask for. The mirror decides what there is, and the ISO how it is remade:
its own kernel, initrd and boot menu count. A series that the table lacks is asked for by the names
of the nearest one.`,
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
	fmt.Fprintln(t, "SERIES\tISO\tKERNELS\tEXTENSIONS")
	for _, s := range tcz.AllSeries() {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.Name(), s.ISO("VERSION"), strings.Join(s.Kernels, " "), strings.Join(s.Extensions, " "))
	}
	return t.Flush()
}
