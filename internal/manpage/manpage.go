// Package manpage renders the help of a cobra command as a manual page in the man(7) macros. It writes no file.
// Start reading at Render.
//
// cobra's own generator uses Markdown. It loses the indented lists of the help texts and anything that looks like
// markup: <version>, underscores.
package manpage

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Status is an exit code and its meaning.
type Status struct {
	Code  int
	Means string
}

// Page holds the parts of a page that a command lacks.
type Page struct {
	Version  string
	Date     time.Time
	Long     string   // the description, without the exit codes
	Statuses []Status // the exit codes
}

// Commands returns c and the commands below it that have a page.
func Commands(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		if hasPage(sub) {
			all = append(all, Commands(sub)...)
		}
	}
	return all
}

// Name returns the name of a command's page: mkbuild-cache-ls.
func Name(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// hasPage excludes hidden commands, and help, whose page would be empty.
func hasPage(c *cobra.Command) bool { return c.IsAvailableCommand() && c.Name() != "help" }

// Render returns the page of c.
func Render(c *cobra.Command, p Page) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %q 1 %q %q %q\n", strings.ToUpper(Name(c)), p.Date.Format(time.DateOnly), "mkbuild "+p.Version, "mkbuild manual")
	b.WriteString(".nh\n.ad l\n") // no hyphenation and no stretched blanks in text to type
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(Name(c)), roff(c.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(c.UseLine()))
	b.WriteString(".SH DESCRIPTION\n" + paragraphs(p.Long))
	c.InitDefaultHelpFlag()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.AddFlagSet(c.LocalFlags())
	flags.AddFlagSet(c.InheritedFlags())
	b.WriteString(".SH OPTIONS\n" + literal(flags.FlagUsagesWrapped(72)))
	if c.Example != "" {
		b.WriteString(".SH EXAMPLES\n" + literal(c.Example))
	}
	b.WriteString(".SH EXIT STATUS\n")
	for _, s := range p.Statuses {
		fmt.Fprintf(&b, ".TP\n.B %d\n%s\n", s.Code, roff(s.Means))
	}
	b.WriteString(".SH SEE ALSO\n" + strings.Join(seeAlso(c), ",\n") + "\n")
	return b.String()
}

var emptyLines = regexp.MustCompile(`\n\s*\n`)

// paragraphs renders paragraphs of plain text. An indented line starts a new line in the page: troff breaks there.
func paragraphs(long string) string {
	parts := emptyLines.Split(strings.TrimSpace(long), -1)
	for i, p := range parts {
		parts[i] = roff(p)
	}
	return strings.Join(parts, "\n.PP\n") + "\n"
}

// literal keeps the line breaks.
func literal(text string) string { return ".EX\n" + roff(strings.Trim(text, "\n")) + "\n.EE\n" }

// seeAlso names the pages of the commands above and below.
func seeAlso(c *cobra.Command) []string {
	var out []string
	if c.HasParent() {
		out = append(out, ".BR "+roff(Name(c.Parent()))+" (1)")
	}
	for _, sub := range c.Commands() {
		if hasPage(sub) {
			out = append(out, ".BR "+roff(Name(sub))+" (1)")
		}
	}
	return out
}

// roff escapes text that troff would read as a request, an escape or a hyphen.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`, "`", `\(ga`, `~`, `\(ti`, `^`, `\(ha`, "\t", "    ", "\n.", "\n\\&.").Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}
