package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"mkbuild/internal/medium"
	"mkbuild/internal/ui"
)

func pruneCommand(w *world) *cobra.Command {
	age, dry := "", false
	c := &cobra.Command{
		Use:   "prune DIR",
		Short: "Remove unused segments from a PXE folder",
		Long: `Remove segments from a PXE folder that no boot file in it has named for a day, or for --older-than:
12h, 7d; 0 removes all that none names now. A node that has read the boot file of
an earlier build may still fetch its segments. A build that runs meanwhile loses nothing.

Every other file in the folder counts as a boot file, your own included.

stdout lists the SHA-256 of what was removed.`,
		Example: `  mkbuild prune /srv/boot/microkernel
  mkbuild prune /srv/boot/microkernel --older-than 7d --dry-run`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return runPruneFolder(w, args[0], age, dry) },
	}
	c.Flags().StringVar(&age, "older-than", "24h", "remove only segments that no boot file has named for this `time`, such as 36h or 90d")
	c.Flags().BoolVar(&dry, "dry-run", false, "list what would be removed, and remove nothing")
	return c
}

func runPruneFolder(w *world, dir, age string, dry bool) error {
	older, err := parseAge(age)
	if err != nil {
		return err
	}
	gone, size, err := medium.Prune(dir, time.Now().Add(-older), dry)
	if err != nil {
		return err
	}
	for _, digest := range gone {
		fmt.Fprintln(w.stdout, digest)
	}
	_, err = fmt.Fprintf(w.stderr, "mkbuild: %s: %s, %s\n", removed(dry), ui.Plural(len(gone), "file"), ui.Bytes(size))
	return err
}
