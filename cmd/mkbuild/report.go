package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mkbuild/internal/ui"
)

// reporter prints how a command failed.
type reporter struct {
	// builds says that the command has the flags of those that build.
	builds bool
	// json says that stderr takes JSON lines alone.
	json bool
}

// reporterOf looks at the flags of the command that ran.
func reporterOf(cmd *cobra.Command, args []string) reporter {
	progress := cmd.Flags().Lookup("progress")
	return reporter{
		builds: progress != nil,
		json:   asksJSON(progress, args) || asksJSON(cmd.Flags().Lookup("log-format"), args),
	}
}

// asksJSON reports whether a flag has the value json, also where the arguments were not read to
// their end because of a mistake before it.
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

// hint is the error's own, or the one of its class.
func (r reporter) hint(err error) string {
	if h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		return h.Hint()
	}
	forBuild, other := classHint(err)
	if r.builds {
		return forBuild
	}
	return other
}

// classHint returns what helps against a class of errors: to commands that build, with flags that
// only they have, and to others.
func classHint(err error) (forBuild, other string) {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return "free some space, or choose other places with -o FILE and --cache-dir DIR", "free some space"
	case errors.Is(err, fs.ErrPermission):
		return "choose a place that you may write to with -o FILE or --cache-dir DIR", "look at the permissions of the file that is named"
	}
	switch exitCode(err) {
	case exitVerify:
		return "the file is not what it should be: try another mirror with --mirror URL, or look at the file",
			"the file is not what it should be: look at it, or make it again"
	case exitNetwork:
		return "check the network, or add a mirror with --mirror URL", "check the network"
	case exitUsage:
		const help = "mkbuild help COMMAND explains the command"
		return help, help
	}
	return "run the command again with --progress plain, and report what it prints if it stays",
		"run the command again, and report what it prints if it stays"
}

// oneLine keeps hostile or long-winded messages to one printable line.
func oneLine(s string) string {
	return ui.Clean(strings.Join(strings.Fields(s), " "))
}
