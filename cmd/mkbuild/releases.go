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
		Short: "List what mkbuild knows of the releases of Tiny Core Linux",
		Long: `List the lines of releases that mkbuild knows, by major version and architecture: the ISO, its
kernel, initrd and boot menu, what its scripts offer, and the extensions that a microkernel has
there by default. What nobody has seen proof of, and mkbuild assumes, is marked with a star.

The table says where to look and what to ask for. The ISO itself decides how it is remade: its own
kernel, initrd and boot menu count. A release that the table has not works when its layout is that
of the nearest line; mkbuild says then what it assumed.`,
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
		Schema string     `json:"schema"`
		Lines  []tcz.Line `json:"lines"`
	}{"mkbuild.releases/v1", tcz.Lines()})
}

func releasesText(w *world) error {
	t := tabwriter.NewWriter(w.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LINE\tISO\tKERNEL\tINITRD\tMENU\tRUBY\tSCRIPTS\tEXTENSIONS")
	for _, l := range tcz.Lines() {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Name(),
			starred(l.ISO("VERSION"), l.Assumes(tcz.FactISO)),
			starred(strings.Join(l.Kernels, " "), l.Assumes(tcz.FactKernel)),
			l.InitrdFile+onlyGzip(l),
			starred(menuText(l.Menu), l.Assumes(tcz.FactMenu)),
			starred(l.Ruby, l.Assumes(tcz.FactRuby)),
			starred(scriptsText(l.Scripts), l.Assumes(tcz.FactScripts)),
			extensionsText(l))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w.stdout, "\n* assumed: nobody has seen proof of it. For machines: mkbuild releases --json")
	return err
}

// starred marks what is assumed.
func starred(text string, assumed bool) string {
	if assumed {
		return text + "*"
	}
	return text
}

func extensionsText(l tcz.Line) string {
	names := make([]string, len(l.Extensions))
	for i, x := range l.Extensions {
		names[i] = starred(x, l.AssumesExtension(x))
	}
	return strings.Join(names, " ")
}

func onlyGzip(l tcz.Line) string {
	if l.GzipOnly {
		return " (gzip only)"
	}
	return ""
}

func menuText(m tcz.Menu) string {
	text := "initrd="
	if m.Initrd == "line" {
		text = "INITRD"
	}
	if m.UEFI {
		text += ", UEFI"
	}
	return text
}

func scriptsText(s tcz.Scripts) string {
	var out []string
	for _, x := range []struct {
		has  bool
		name string
	}{{s.Builtin, "builtin"}, {s.SetupList, "setup.lst"}, {s.NewModules, "newmodules"}, {s.BusyboxSUID, "busybox.suid"}} {
		if x.has {
			out = append(out, x.name)
		}
	}
	return strings.Join(out, " ")
}
