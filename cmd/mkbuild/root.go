package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mkbuild/internal/fail"
	"mkbuild/internal/ui"
)

func rootCommand(w *world) *cobra.Command {
	root := &cobra.Command{
		Use:   "mkbuild",
		Short: "Turn a stock Tiny Core Linux ISO into a Razor microkernel ISO",
		Long: `mkbuild turns a stock Tiny Core Linux ISO into a Razor microkernel ISO: it fetches the ISO and
its extensions, stages Ruby, Facter, MCollective and its own client, and repacks initrd and ISO.
It needs no root, no mount and no other program, and gives the same bytes for the same inputs.

  mkbuild iso --release 4.5.2                 a production image: no way in
  mkbuild iso --release 4.5.2 --with-openssh  a development image: ssh with your own key
` + exitHelp(exitStatuses()),
		Version:       versionText(),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetOut(w.stdout)
	root.SetErr(w.stderr)
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", ".FlagUsagesWrapped 110")) // columns
	root.SetVersionTemplate("mkbuild {{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	addCommands(root, w)
	addHelpers(root)
	addLogFormat(root, w)
	root.Args = noCommand
	addCompletions(root)
	return root
}

// addCommands puts every command under its title of the help text.
func addCommands(root *cobra.Command, w *world) {
	addGroup(root, "image", "Images:",
		isoCommand(w),
		overlayCommand(w),
		planCommand(w),
		customizeCommand(w),
		pruneCommand(w),
		initCommand(w),
		releasesCommand(w),
		bootCommand(w),
		testCommand(w),
	)
	addGroup(root, "look", "What is in an image:",
		inspectCommand(w),
		diffCommand(w),
		verifyCommand(w),
		explainCommand(w),
	)
	addGroup(root, "inputs", "Inputs:",
		lockCommand(w),
		fetchCommand(w),
		mirrorCommand(w),
	)
	addGroup(root, "registry", "Registries:",
		pushCommand(w),
		pullCommand(w),
	)
	addGroup(root, "runtime", "Run time:",
		extensionCommand(w),
		serveCommand(w),
		keyCommand(w),
	)
	addGroup(root, "self", "About mkbuild itself:",
		cacheCommand(w),
		versionCommand(w),
		manCommand(w),
		schemaCommand(w),
	)
}

// addGroup puts commands under a title of the help text.
func addGroup(root *cobra.Command, id, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: id, Title: title})
	for _, c := range commands {
		finish(c)
		c.GroupID = id
		root.AddCommand(c)
	}
}

// addHelpers adds cobra's own commands to the group "About mkbuild itself".
func addHelpers(root *cobra.Command) {
	root.SetHelpCommandGroupID("self")
	root.InitDefaultHelpCmd()
	root.SetCompletionCommandGroupID("self")
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "completion":
			c.Short = "Print a script that completes commands and flags in your shell"
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
			finish(c)
		case "help":
			c.Run, c.RunE = nil, helpOn
			finish(c)
		}
	}
}

// helpOn is cobra's own help, but fails for an unknown topic.
func helpOn(cmd *cobra.Command, args []string) error {
	c, rest, err := cmd.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return noCommand(c, args[len(args)-max(len(rest), 1):])
	}
	c.InitDefaultHelpFlag()
	return c.Help()
}

// finish adds the common parts to a command and its subcommands.
func finish(c *cobra.Command) {
	c.Long = strings.TrimRight(c.Long, "\n") + "\n" + exitHelp(statusesOf(c))
	c.Args = strictArgs(c.Args)
	for _, sub := range c.Commands() {
		finish(sub)
	}
}

// flagError explains a mistake in the flags, and suggests a name for an unknown one.
func flagError(cmd *cobra.Command, err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if letter := unknown.GetSpecifiedShortnames(); letter != "" {
			return usage("unknown flag: -"+unknown.GetSpecifiedName(), seeHelp(cmd))
		}
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := fail.Nearest(unknown.GetSpecifiedName(), names); near != "" {
			return usage(err.Error(), "did you mean --"+near+"?")
		}
	}
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok && bad.GetFlag().Value.Type() != "string" {
		what, example := takes(bad.GetFlag())
		return usage(fmt.Sprintf("--%s: %q is not %s", bad.GetFlag().Name, bad.GetValue(), what), fmt.Sprintf("for example: --%s=%s", bad.GetFlag().Name, example))
	}
	return usage(err.Error(), seeHelp(cmd))
}

// takes names a flag's values, with an example.
func takes(f *pflag.Flag) (what, example string) {
	switch f.Value.Type() {
	case "bool":
		return "true or false", "true"
	case "duration":
		return "a duration", "5m"
	}
	if unit, _ := pflag.UnquoteUsage(f); unit != "int" {
		return "a whole number of " + unit, f.DefValue
	}
	return "a whole number", f.DefValue
}

func seeHelp(cmd *cobra.Command) string { return "see `" + cmd.CommandPath() + " --help`" }

// noCommand refuses arguments of a command that only groups subcommands.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	near, next := fail.Nearest(args[0], names), seeHelp(cmd)
	if i := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, args[0]) }); near == "" && i >= 0 {
		near = names[i]
	}
	if near != "" {
		next = "did you mean `" + cmd.CommandPath() + " " + near + "`?"
	}
	return usage(fmt.Sprintf("unknown command %q", args[0]), next)
}

// strictArgs turns a wrong number of arguments into a usage error that names the missing or extra one. More
// specific errors of check stay as they are.
func strictArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	if check == nil {
		return nil
	}
	return func(cmd *cobra.Command, args []string) error {
		need, can := argNames(cmd.Use)
		if len(args) < len(need) {
			return usage(fmt.Sprintf("%s: %s is missing", strings.TrimPrefix(cmd.CommandPath(), "mkbuild "), strings.TrimSuffix(need[len(args)], "...")),
				fmt.Sprintf("type `%s %s`; %s", cmd.Root().Name(), strings.TrimPrefix(cmd.UseLine(), "mkbuild "), seeHelp(cmd)))
		}
		switch err := check(cmd, args); {
		case err == nil || fail.ClassOf(err) == fail.Usage:
			return err
		case cmd.HasAvailableSubCommands():
			return noCommand(cmd, args)
		default:
			extra, next := args[len(need)+can], seeHelp(cmd)
			if cmd.Flags().Lookup("output") != nil {
				next = "to name the output: -o " + extra + "; " + next
			}
			return usage(fmt.Sprintf("%s: unexpected argument %q", strings.TrimPrefix(cmd.CommandPath(), "mkbuild "), extra), next)
		}
	}
}

// argNames lists the required arguments of a usage line, and counts the allowed ones.
func argNames(use string) (need []string, can int) {
	for _, word := range strings.Fields(use)[1:] {
		switch {
		case strings.HasPrefix(word, "-"):
			return need, can
		case strings.HasPrefix(word, "["):
			can++
		default:
			need = append(need, word)
		}
	}
	return need, can
}

// addLogFormat adds the flag --log-format to root.
func addLogFormat(root *cobra.Command, w *world) {
	format := ""
	root.PersistentFlags().StringVar(&format, "log-format", "text", "`format` of stderr: text, or json for one object per line")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		switch format {
		case "text":
			return nil
		case "json":
			return w.useJSON(cmd)
		}
		return usage(fmt.Sprintf("--log-format: unknown format %q", format), "choose one of text, json")
	}
}

// useJSON turns everything that cmd writes to stderr into JSON lines. Progress becomes events; with another
// --progress, each of its lines becomes an event.
func (w *world) useJSON(cmd *cobra.Command) error {
	w.lines = ui.NewLines(w.stderr)
	w.stderr, w.terminal = w.lines, false
	cmd.Root().SetErr(w.stderr)
	if f := cmd.Flags().Lookup("progress"); f != nil && !f.Changed {
		return f.Value.Set("json")
	}
	return nil
}
