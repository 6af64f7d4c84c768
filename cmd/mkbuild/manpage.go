package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manPage renders the help of c in the man(7) macros. cobra's own generator goes through
// Markdown, and loses what that takes for markup: <version>, underscores.
func manPage(c *cobra.Command, date time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %q 1 %q %q %q\n", strings.ToUpper(manName(c)), date.Format(time.DateOnly), "mkbuild "+versionText(), "mkbuild manual")
	b.WriteString(".nh\n.ad l\n") // neither hyphens nor stretched blanks in what may be typed
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(manName(c)), roff(c.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(c.UseLine()))
	b.WriteString(".SH DESCRIPTION\n")
	manText(&b, strings.TrimSuffix(c.Long, exitHelp(statusesOf(c))))
	manOptions(&b, c)
	if c.Example != "" {
		b.WriteString(".SH EXAMPLES\n.EX\n")
		for _, l := range strings.Split(c.Example, "\n") {
			b.WriteString(roff(l) + "\n")
		}
		b.WriteString(".EE\n")
	}
	b.WriteString(".SH EXIT STATUS\n")
	for _, s := range statusesOf(c) {
		fmt.Fprintf(&b, ".TP\n.B %d\n%s\n", s.code, roff(s.means))
	}
	manSeeAlso(&b, c)
	return b.String()
}

// manText writes paragraphs; lines that are indented in the help stay as they are.
func manText(b *strings.Builder, long string) {
	const none, filled, literal = 0, 1, 2
	run, first := none, true
	for _, l := range append(strings.Split(strings.TrimSpace(long), "\n"), "") {
		kind := filled
		switch {
		case strings.TrimSpace(l) == "":
			kind = none
		case strings.HasPrefix(l, "  "), strings.HasPrefix(l, "\t"):
			kind = literal
		}
		if kind != run && run == literal {
			b.WriteString(".EE\n")
		}
		if kind != run && kind != none && !first {
			b.WriteString(".PP\n")
		}
		if kind != run && kind == literal {
			b.WriteString(".EX\n")
		}
		if kind != none {
			b.WriteString(roff(strings.ReplaceAll(l, "\t", "    ")) + "\n")
			first = false
		}
		run = kind
	}
}

func manOptions(b *strings.Builder, c *cobra.Command) {
	b.WriteString(".SH OPTIONS\n")
	c.InitDefaultHelpFlag()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.AddFlagSet(c.LocalFlags())
	flags.AddFlagSet(c.InheritedFlags())
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Deprecated != "" {
			return
		}
		b.WriteString(".TP\n")
		if f.Shorthand != "" {
			b.WriteString(`\fB\-` + f.Shorthand + `\fR, `)
		}
		value, usage := pflag.UnquoteUsage(f)
		b.WriteString(`\fB\-\-` + roff(f.Name) + `\fR`)
		if value != "" {
			b.WriteString(` \fI` + roff(value) + `\fR`)
		}
		b.WriteString("\n" + roff(usage) + "\n")
	})
}

func manSeeAlso(b *strings.Builder, c *cobra.Command) {
	var names []string
	if c.HasParent() {
		names = append(names, manName(c.Parent()))
	}
	for _, sub := range c.Commands() {
		if hasPage(sub) {
			names = append(names, manName(sub))
		}
	}
	b.WriteString(".SH SEE ALSO\n")
	for i, n := range names {
		comma := ","
		if i == len(names)-1 {
			comma = ""
		}
		fmt.Fprintf(b, ".BR %s (1)%s\n", roff(n), comma)
	}
}

// roff escapes what troff takes for a request, an escape or a hyphen.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`, "`", `\(ga`, `~`, `\(ti`, `^`, `\(ha`).Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}
