package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mkbuild/internal/hostfile"
	"mkbuild/internal/wholefile"
)

func manCommand(w *world) *cobra.Command {
	o := &buildOptions{}
	c := &cobra.Command{
		Use:   "man DIR",
		Short: "Write a manual page for every command",
		Long: `Write the manual pages of all commands to DIR, which is made if it is missing: mkbuild.1,
mkbuild-iso.1 and so on. They carry the date of --source-date-epoch, else of $SOURCE_DATE_EPOCH,
else of the commit that mkbuild was built from. stdout is the path of each page.`,
		Example: `  mkbuild man man1
  man man1/mkbuild-iso.1`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runMan(cmd.Context(), w, o, cmd.Root(), args[0]) },
	}
	c.Flags().StringVar(&o.epoch, "source-date-epoch", "", "date of the pages, in `seconds` since 1970 (default $SOURCE_DATE_EPOCH, else the commit's)")
	return c
}

func runMan(ctx context.Context, w *world, o *buildOptions, root *cobra.Command, dir string) error {
	date, err := o.manDate(w)
	if err != nil {
		return err
	}
	var reads hostfile.Reads // none
	if err := reads.Allow(ctx, hostfile.Tree(dir, "mkbuild man DIR", nil)); err != nil {
		return err
	}
	if err := hostfile.MakeTree(dir); err != nil {
		return usage(err.Error(), "name a folder that you may write to: mkbuild man DIR")
	}
	pages := withPages(root)
	var places []hostfile.Place
	for _, c := range pages {
		places = append(places, hostfile.File(manPath(dir, c), "mkbuild man DIR"))
	}
	if err := reads.Allow(ctx, places...); err != nil {
		return err
	}
	for _, c := range pages {
		if err := writeMan(w, c, date, manPath(dir, c)); err != nil {
			return err
		}
	}
	return nil
}

func (o *buildOptions) manDate(w *world) (time.Time, error) {
	epoch, err := o.sourceDate(w)
	if err != nil {
		return time.Time{}, err
	}
	if epoch != nil {
		return time.Unix(*epoch, 0).UTC(), nil
	}
	if _, when, _ := buildCommit(); when != "" {
		return time.Parse(time.RFC3339, when)
	}
	return time.Time{}, usage("date the manual pages: this mkbuild does not know its commit", "give a date: --source-date-epoch 1700000000")
}

// withPages returns c and the commands below it that have a page.
func withPages(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		if hasPage(sub) {
			all = append(all, withPages(sub)...)
		}
	}
	return all
}

func manPath(dir string, c *cobra.Command) string { return filepath.Join(dir, manName(c)+".1") }

// writeMan writes the page of a command.
func writeMan(w *world, c *cobra.Command, date time.Time, name string) error {
	err := wholefile.Write(name, func(f io.Writer) error {
		_, err := io.WriteString(f, manPage(c, date))
		return err
	})
	if err != nil {
		return err
	}
	return printPath(w, name)
}

func manName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// hasPage leaves out hidden commands, and help, whose page would say nothing.
func hasPage(c *cobra.Command) bool { return c.IsAvailableCommand() && c.Name() != "help" }

// manPage renders the help of c in the man(7) macros. cobra's own generator goes through Markdown, and
// loses the indented lists of the help texts and what Markdown takes for markup: <version>, underscores.
func manPage(c *cobra.Command, date time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %q 1 %q %q %q\n", strings.ToUpper(manName(c)), date.Format(time.DateOnly), "mkbuild "+versionText(), "mkbuild manual")
	b.WriteString(".nh\n.ad l\n") // neither hyphens nor stretched blanks in what may be typed
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(manName(c)), roff(c.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(c.UseLine()))
	b.WriteString(".SH DESCRIPTION\n" + manText(strings.TrimSuffix(c.Long, exitHelp(statusesOf(c)))))
	c.InitDefaultHelpFlag()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.AddFlagSet(c.LocalFlags())
	flags.AddFlagSet(c.InheritedFlags())
	b.WriteString(".SH OPTIONS\n" + literal(flags.FlagUsagesWrapped(72)))
	if c.Example != "" {
		b.WriteString(".SH EXAMPLES\n" + literal(c.Example))
	}
	b.WriteString(".SH EXIT STATUS\n")
	for _, s := range statusesOf(c) {
		fmt.Fprintf(&b, ".TP\n.B %d\n%s\n", s.code, roff(s.means))
	}
	b.WriteString(".SH SEE ALSO\n" + strings.Join(seeAlso(c), ",\n") + "\n")
	return b.String()
}

var emptyLines = regexp.MustCompile(`\n\s*\n`)

// manText writes paragraphs. An indented line begins a line of the page as well: troff breaks there.
func manText(long string) string {
	paragraphs := emptyLines.Split(strings.TrimSpace(long), -1)
	for i, p := range paragraphs {
		paragraphs[i] = roff(p)
	}
	return strings.Join(paragraphs, "\n.PP\n") + "\n"
}

// literal keeps lines as they are.
func literal(text string) string { return ".EX\n" + roff(strings.Trim(text, "\n")) + "\n.EE\n" }

// seeAlso names the pages of the commands above and below.
func seeAlso(c *cobra.Command) []string {
	var out []string
	if c.HasParent() {
		out = append(out, ".BR "+roff(manName(c.Parent()))+" (1)")
	}
	for _, sub := range c.Commands() {
		if hasPage(sub) {
			out = append(out, ".BR "+roff(manName(sub))+" (1)")
		}
	}
	return out
}

// roff escapes what troff takes for a request, an escape or a hyphen.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`, "`", `\(ga`, `~`, `\(ti`, `^`, `\(ha`, "\t", "    ", "\n.", "\n\\&.").Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}
