package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

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
		RunE: func(_ *cobra.Command, args []string) error { return runMan(w, o, args[0]) },
	}
	c.Flags().StringVar(&o.epoch, "source-date-epoch", "", "date of the pages, in `seconds` since 1970 (default $SOURCE_DATE_EPOCH, else the commit's)")
	return c
}

func runMan(w *world, o *buildOptions, dir string) error {
	date, err := o.manDate(w)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // manual pages are for everybody
		return &usageError{err.Error(), "name a folder that you may write to: mkbuild man DIR"}
	}
	return writeMan(w, rootCommand(w), date, dir)
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
	return time.Time{}, &usageError{"date the manual pages: this mkbuild does not know its commit", "give a date: --source-date-epoch 1700000000"}
}

// writeMan writes the page of c and of the commands below it.
func writeMan(w *world, c *cobra.Command, date time.Time, dir string) error {
	name := filepath.Join(dir, manName(c)+".1")
	err := wholefile.Write(name, func(f io.Writer) error {
		_, err := io.WriteString(f, manPage(c, date))
		return err
	})
	if err != nil {
		return err
	}
	if err := printPath(w, name); err != nil {
		return err
	}
	for _, sub := range c.Commands() {
		if !hasPage(sub) {
			continue
		}
		if err := writeMan(w, sub, date, dir); err != nil {
			return err
		}
	}
	return nil
}

func manName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// hasPage leaves out hidden commands, and help, whose page would say nothing.
func hasPage(c *cobra.Command) bool { return c.IsAvailableCommand() && c.Name() != "help" }
