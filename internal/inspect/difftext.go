package inspect

import (
	"fmt"
	"io"
	"strings"
)

// Print writes the difference for people, as a list that a pull request's text can hold as it is.
func (d *Diff) Print(w io.Writer) error {
	p := &page{w: w}
	if d.Same {
		p.line("%s and %s hold the same.", d.A, d.B)
		return p.err
	}
	for _, c := range d.Changes {
		p.line("- %s %s `%s`%s", c.Change, c.Area, strings.ReplaceAll(c.Name, "`", "'"), detailText(c.What))
	}
	return p.err
}

func detailText(list []Detail) string {
	var parts []string
	for _, x := range list {
		switch {
		case x.From == "" && x.To == "":
			parts = append(parts, x.Property)
		default:
			parts = append(parts, fmt.Sprintf("%s %s → %s", x.Property, shown(x.From), shown(x.To)))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, "; ")
}

// shown shortens a digest, of which twelve digits are enough to see that it has changed.
func shown(s string) string {
	if len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" {
		return s[:12]
	}
	return named(s, "(none)")
}
