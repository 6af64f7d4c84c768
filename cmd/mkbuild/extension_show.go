package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"mkbuild/internal/extension"
	"mkbuild/internal/ui"
)

const showSchema = "mkbuild.extension-show/v1"

func extensionShowCommand(w *world) *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "show ZIP",
		Short: "List what is in an extension",
		Long: `List the members of an extension with the mode that they get on a microkernel, size and SHA-256, the
sum, and what is done with each top directory. Damaged and hostile archives are listed too, within
the client's own limits: what the client would refuse is marked. stdout is the list.`,
		Example: `  mkbuild extension show mk-extension.zip`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runExtensionShow(cmd.Context(), w, args[0], asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON ("+showSchema+")")
	return c
}

// shown is what `show` prints.
type shown struct {
	Schema    string          `json:"schema"`
	Extension string          `json:"extension"`
	Size      int64           `json:"size"`
	Unpacked  int64           `json:"unpacked"`
	Members   []extension.Row `json:"members"`
	Refused   []string        `json:"refused"` // why the client refuses all of it; empty if it does not
}

func runExtensionShow(ctx context.Context, w *world, name string, asJSON bool) error {
	src, release, err := openSource(name)
	if err != nil {
		return err
	}
	defer release()
	rows, err := extension.List(ctx, src)
	if err != nil {
		return err
	}
	s := shown{Schema: showSchema, Extension: name, Size: src.Size, Members: rows, Refused: []string{}}
	for _, r := range rows {
		s.Unpacked += r.Size
	}
	for _, r := range src.Refused {
		s.Refused = append(s.Refused, r.Error())
	}
	if asJSON {
		return printJSON(w.stdout, s)
	}
	return s.print(w.stdout)
}

func (s *shown) print(w io.Writer) error {
	var b strings.Builder
	for _, r := range s.Members {
		sum := r.SHA256
		if sum == "" {
			sum = "-"
		}
		fmt.Fprintf(&b, "%s %10d %-64s %s", r.Mode, r.Size, sum, ui.Clean(r.Path))
		if r.Link != "" {
			fmt.Fprintf(&b, " -> %s", ui.Clean(r.Link))
		}
		if r.Refused != "" {
			fmt.Fprintf(&b, "  [refused: %s]", ui.Clean(r.Refused))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "\n%s, %d bytes unpacked", plural(len(s.Members), "member"), s.Unpacked)
	if s.Size > 0 {
		fmt.Fprintf(&b, ", %d bytes packed", s.Size)
	}
	b.WriteByte('\n')
	for _, top := range s.tops() {
		role := extension.Role(top)
		if role == "" {
			role = "unpacked, not used by itself"
		}
		fmt.Fprintf(&b, "  %-8s  %s\n", ui.Clean(top), role)
	}
	for _, why := range s.Refused {
		fmt.Fprintf(&b, "refused by the client: %s\n", ui.Clean(why))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// tops lists the top-level names in the members' order, which is sorted.
func (s *shown) tops() []string {
	var tops []string
	seen := map[string]bool{}
	for _, r := range s.Members {
		if top, _, _ := strings.Cut(r.Path, "/"); r.Refused == "" && !seen[top] {
			seen[top] = true
			tops = append(tops, top)
		}
	}
	return tops
}
