package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mkbuild/internal/ui"
)

// reporter prints how a command failed.
type reporter struct {
	// builds says that the command has the flags of a build.
	builds bool
	// json is true if stderr accepts only JSON lines.
	json bool
	// command is the command in words: "iso", "extension lint"; empty for mkbuild itself.
	command string
}

// reporterOf looks at the flags of the command that ran.
func reporterOf(cmd *cobra.Command, args []string) reporter {
	progress := cmd.Flags().Lookup("progress")
	return reporter{
		builds:  progress != nil && cmd.Flags().Lookup("mirror") != nil,
		json:    asksJSON(progress, args) || asksJSON(cmd.Flags().Lookup("log-format"), args),
		command: strings.TrimPrefix(strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()), " "),
	}
}

// asksJSON reports whether a flag has the value json, even if a mistake before it ended the parsing.
func asksJSON(f *pflag.Flag, args []string) bool {
	switch {
	case f == nil:
		return false
	case f.Changed:
		return f.Value.String() == "json"
	}
	name := "--" + f.Name
	for i, a := range args {
		switch {
		case a == "--":
			return false
		case a == name+"=json", a == name && i+1 < len(args) && args[i+1] == "json":
			return true
		}
	}
	return f.Value.String() == "json"
}

// report prints one error line and one hint line, or one line of JSON.
func (r reporter) report(w io.Writer, err error) {
	if r.json {
		//nolint:errcheck // an error of stderr has nowhere to go
		ui.Failure{Error: err.Error(), Hint: r.hint(err), Code: exitCode(err)}.PrintJSON(w)
		return
	}
	fmt.Fprintf(w, "mkbuild: error: %s\n", oneLine(err.Error()))
	fmt.Fprintf(w, "mkbuild: hint: %s\n", oneLine(r.hint(err)))
}
