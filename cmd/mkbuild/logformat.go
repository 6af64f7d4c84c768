package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"mkbuild/internal/ui"
)

// addLogFormat gives root the flag that decides in which form all commands talk to people.
func addLogFormat(root *cobra.Command, w *world) {
	format := ""
	root.PersistentFlags().StringVar(&format, "log-format", "text", "`format` of what goes to stderr: text, or json for one object per line")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		switch format {
		case "text":
			return nil
		case "json":
			return w.useJSON(cmd)
		}
		return usage(fmt.Sprintf("log format %q is not known", format), "use --log-format text or json")
	}
}

// useJSON makes JSON lines of all that cmd writes to stderr. Progress becomes events, unless the
// user has chosen another form of it, whose lines then become events.
func (w *world) useJSON(cmd *cobra.Command) error {
	w.lines = ui.NewLines(w.stderr)
	w.stderr, w.terminal = w.lines, false
	cmd.Root().SetErr(w.stderr)
	if f := cmd.Flags().Lookup("progress"); f != nil && !f.Changed {
		return f.Value.Set("json")
	}
	return nil
}
