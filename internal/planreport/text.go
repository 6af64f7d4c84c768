package planreport

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"mkbuild/internal/ui"
)

// maxListed is how many paths of one origin people want to see; JSON has all.
const maxListed = 40

// Print writes the report for people.
func (r *Report) Print(w io.Writer) error {
	t := &text{}
	t.line("%s image %s of Tiny Core Linux %s for %s, kernel %s", r.Profile, r.Version, r.Release, r.Arch, r.Kernel)
	t.line("kernel arguments: %s", r.Arguments)
	r.printInputs(t)
	t.title("Extensions and what they need")
	for _, n := range r.Closure {
		n.print(t, 1)
	}
	r.printSizes(t)
	r.printActions(t)
	r.printConflicts(t)
	t.title("Warnings: %d", len(r.Warnings))
	for _, x := range r.Warnings {
		t.line("  %s: %s", x.Rule, x.Text)
	}
	for _, n := range r.Notes {
		t.title("Note: %s", n)
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

// text collects lines. What came from mirrors goes through [ui.Clean].
type text struct{ b strings.Builder }

func (t *text) line(format string, args ...any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = ui.Clean(s)
		}
	}
	fmt.Fprintf(&t.b, format+"\n", args...)
}

func (t *text) title(format string, args ...any) {
	t.b.WriteString("\n")
	t.line(format, args...)
}

// table writes rows of cells in columns.
func (t *text) table(rows [][]string) {
	w := tabwriter.NewWriter(&t.b, 0, 0, 2, ' ', 0)
	for _, cells := range rows {
		for i := range cells {
			cells[i] = ui.Clean(cells[i])
		}
		fmt.Fprintf(w, "  %s\n", strings.Join(cells, "\t"))
	}
	w.Flush() //nolint:errcheck,gosec // a strings.Builder takes everything
}

func (r *Report) printInputs(t *text) {
	t.title("Inputs")
	rows := [][]string{}
	for _, in := range r.Inputs {
		rows = append(rows, []string{in.Kind, in.Name, fmt.Sprint(in.Size), in.URL})
	}
	t.table(rows)
}

// print writes a node and, indented, what it needs.
func (n *Node) print(t *text, depth int) {
	note := ""
	switch {
	case len(n.Why) > 0:
		note = "  (" + strings.Join(n.Why, ", ") + ")"
	case n.Above:
		note = "  (needs what is shown above)"
	}
	t.line("%s%s%s", strings.Repeat("  ", depth), n.Name, note)
	for _, c := range n.Needs {
		c.print(t, depth+1)
	}
}

func (r *Report) printSizes(t *text) {
	t.title("Sizes in bytes")
	rows := [][]string{{"", "in the initrd", "files", "unpacked", "RAM"}}
	for _, p := range r.Parts {
		share := fmt.Sprint(p.Initrd)
		if p.Initrd == 0 {
			share = "-"
		}
		rows = append(rows, []string{p.Name, share, fmt.Sprint(p.Files), fmt.Sprint(p.Unpacked), fmt.Sprint(p.RAM)})
	}
	s := r.Sizes
	rows = append(rows, []string{"initrd", fmt.Sprint(s.Initrd), "", fmt.Sprint(s.Unpacked), fmt.Sprint(s.RAM)}, []string{"ISO", fmt.Sprint(s.ISO), "", "", ""})
	t.table(rows)
	t.line("  while the kernel unpacks it: %d bytes of RAM", s.BootRAM)
}

// printActions sums up what each origin adds, and names what it replaces.
func (r *Report) printActions(t *text) {
	t.title("Changes of the source image's files")
	var origins []string
	by := map[string][]Action{}
	for _, a := range r.Actions {
		if strings.HasPrefix(a.Mode, "04") { // directories come with their files
			continue
		}
		if by[a.Origin] == nil {
			origins = append(origins, a.Origin)
		}
		by[a.Origin] = append(by[a.Origin], a)
	}
	slices.Sort(origins)
	for _, o := range origins {
		printOrigin(t, o, by[o])
	}
}

func printOrigin(t *text, origin string, list []Action) {
	replaced := 0
	for _, a := range list {
		if a.Do == Replace {
			replaced++
		}
	}
	t.line("  %s: adds %d, replaces %d", origin, len(list)-replaced, replaced)
	listed := 0
	for _, a := range list {
		if a.Do == Replace || len(list)-replaced <= maxListed {
			if listed++; listed > 2*maxListed {
				t.line("    … (--json lists all)")
				return
			}
			t.line("    %s /%s", a.Do, a.Path)
		}
	}
}

func (r *Report) printConflicts(t *text) {
	t.title("Conflicts: %d", len(r.Conflicts))
	for _, c := range r.Conflicts {
		t.line("  /%s: %s wins, that of %s is left out (%s)", c.Path, c.Kept, c.Skipped, c.Reason)
	}
}
