package main

import "github.com/spf13/cobra"

func overlayCommand(w *world) *cobra.Command {
	o := &isoOptions{forms: []string{"tar"}}
	c := &cobra.Command{
		Use:   "overlay",
		Short: "Write everything that an image adds to Tiny Core as a tar.gz",
		Long: `Write what ` + "`mkbuild iso`" + ` would add to Tiny Core's own files, as one gzip'd tar archive with owners,
modes and devices: the snapshot of the manual procedure, without the virtual machine.`,
		Example: `  mkbuild overlay -o overlay.tar.gz`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runISO(cmd.Context(), w, o, cmd) },
	}
	o.addFlags(c)
	c.Flags().StringVarP(&o.output, "output", "o", "overlay.tar.gz", "output `file`, - for stdout")
	return c
}
