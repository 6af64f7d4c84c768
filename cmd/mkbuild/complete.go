package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mkbuild/internal/config"
	"mkbuild/internal/remaster"
	"mkbuild/internal/ui"
)

// addCompletions registers completions of flags and arguments for c and all commands below it. Flags of one name
// complete alike in every command.
func addCompletions(c *cobra.Command) {
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if complete := flagValues(f.Name); complete != nil {
			// The only error is a second registration: the command knows better than this table.
			_ = c.RegisterFlagCompletionFunc(f.Name, complete)
		}
	})
	if c.ValidArgsFunction == nil && len(c.ValidArgs) == 0 {
		c.ValidArgsFunction = argValues(c.Use)
	}
	for _, sub := range c.Commands() {
		addCompletions(sub)
	}
}

// flagValues returns the completion of the flag --name, or nil for files or free text.
func flagValues(name string) cobra.CompletionFunc {
	switch name {
	case "arch", "profile", "edition":
		return fixed(slices.DeleteFunc(config.Choices(name), func(v string) bool { return v == "" })...)
	case "progress":
		return fixed(strings.Split(ui.Modes, ", ")...)
	case "format":
		return formats
	case "layout":
		return fixed(config.Choices("pxe.layout")...)
	case "sbom":
		return fixed("spdx")
	case "oci-form":
		return fixed("artifact", "container")
	case "log-format":
		return fixed("text", "json")
	case "config", "razor-config", "rules":
		return fileType("yaml", "yml")
	case "image", "iso":
		return fileType("iso")
	case "lockfile", "keep-lock":
		return fileType("lock")
	case "mirror", "cache-dir", "data":
		return directories
	case "release", "append", "image-version", "source-date-epoch", "older-than", "timeout", "memory", "expect", "listen", "environment", "host", "fault":
		return cobra.NoFileCompletions
	}
	return nil
}

// argValues returns the completion of the arguments in a usage line: nothing for no arguments, files for unknown
// ones.
func argValues(use string) cobra.CompletionFunc {
	_, args, _ := strings.Cut(use, " ")
	switch args {
	case "":
		return cobra.NoFileCompletions
	case "DIR":
		return directories
	case "IMAGE.iso", "IMAGE":
		return fileType("iso")
	}
	return nil
}

// formats completes --format. If the command writes several forms, it offers each once, after commas.
func formats(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if _, several := cmd.Flags().Lookup("format").Value.(pflag.SliceValue); !several {
		return fixed("iso", "pxe")(cmd, args, typed)
	}
	before := typed[:strings.LastIndexByte(typed, ',')+1]
	var out []cobra.Completion
	for _, f := range remaster.Forms() {
		if !slices.Contains(strings.Split(before, ","), string(f)) {
			out = append(out, before+string(f))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

func fixed(values ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
}

func fileType(extensions ...string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return slices.Clone(extensions), cobra.ShellCompDirectiveFilterFileExt
	}
}

func directories(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}
