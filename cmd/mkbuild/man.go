package main

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mkbuild/internal/hostfile"
	"mkbuild/internal/manpage"
	"mkbuild/internal/wholefile"
)

func manCommand(w *world) *cobra.Command {
	o := &buildOptions{}
	c := &cobra.Command{
		Use:   "man DIR",
		Short: "Write a manual page for every command",
		Long: `Write the manual pages of all commands to DIR, which is made if missing: mkbuild.1,
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
	date, err := manDate(w, o)
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
	pages := manpage.Commands(root)
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

func manDate(w *world, o *buildOptions) (time.Time, error) {
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

func manPath(dir string, c *cobra.Command) string { return filepath.Join(dir, manpage.Name(c)+".1") }

// writeMan writes the page of a command.
func writeMan(w *world, c *cobra.Command, date time.Time, name string) error {
	err := wholefile.Write(name, func(f io.Writer) error {
		_, err := io.WriteString(f, manpage.Render(c, manpage.Page{
			Version: versionText(), Date: date, Statuses: statusesOf(c), Long: strings.TrimSuffix(c.Long, exitHelp(statusesOf(c))),
		}))
		return err
	})
	if err != nil {
		return err
	}
	return printPath(w, name)
}
