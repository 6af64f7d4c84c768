package main

import (
	"github.com/spf13/cobra"

	"mkbuild/internal/config"
)

func schemaCommand(w *world) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of mkbuild.yaml, for editors",
		Long: `Print the JSON Schema of mkbuild.yaml: editors complete its keys with it, show their explanations,
and mark what is wrong while you type. With the YAML language server (VS Code, Neovim, Helix and
others), put it next to the file and name it in the first line:

  # yaml-language-server: $schema=mkbuild.schema.json

stdout is the schema.`,
		Example: `  mkbuild schema >mkbuild.schema.json`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b, err := config.Schema()
			if err != nil {
				return err
			}
			_, err = w.stdout.Write(b)
			return err
		},
	}
}
