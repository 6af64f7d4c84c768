package main

import (
	"github.com/spf13/cobra"

	"mkbuild/internal/fail"
	"mkbuild/internal/inspect"
)

func explainCommand(w *world) *cobra.Command {
	return &cobra.Command{
		Use:   "explain [RULE]",
		Short: "Explain a rule of verify, or list all",
		Long: `Explain a rule of ` + "`mkbuild verify`" + `: what it checks, what a violation leads to, and what to do.
Without a name, list all rules.`,
		Example: `  mkbuild explain
  mkbuild explain host-key`,
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: inspect.RuleIDs(),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return inspect.PrintRules(w.stdout)
			}
			r, ok := inspect.FindRule(args[0])
			if !ok {
				next := "`mkbuild explain` lists all rules"
				if near := fail.Nearest(args[0], inspect.RuleIDs()); near != "" {
					next = "did you mean `mkbuild explain " + near + "`?"
				}
				return usage("explain "+args[0]+": unknown rule", next)
			}
			return r.Print(w.stdout)
		},
	}
}
