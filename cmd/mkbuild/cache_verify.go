package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"mkbuild/internal/fail"
	"mkbuild/internal/store"
	"mkbuild/internal/ui"
)

func cacheVerifyCommand(w *world) *cobra.Command {
	o := &cacheOptions{}
	c := &cobra.Command{
		Use:   "verify",
		Short: "Read the whole cache and hold it against its hashes",
		Long: `Hash every file in the cache again, follow every entry, and look for what killed processes have left.
What is damaged, leads nowhere or was left behind is removed, and the next build fetches it again; files
that are not mkbuild's own are named and left alone. Builds may go on meanwhile; only to remove
something the command waits for them to end.

The exit status is 5 if content was damaged: a disk or a person has changed it.`,
		Example: `  mkbuild cache verify
  mkbuild cache verify --json | jq '.damaged | length'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := o.store(w)
			if err != nil {
				return err
			}
			h, err := s.Verify(cmd.Context())
			if err != nil {
				return err
			}
			if err := o.printHealth(w, s.Dir, h); err != nil {
				return err
			}
			if len(h.Damaged) == 0 {
				return nil
			}
			return fail.New(fail.Verification, fmt.Sprintf("verify cache %s: %d of %d files were damaged and have been removed", s.Dir, len(h.Damaged), h.Blobs),
				"the next build, or mkbuild fetch, gets them again; if it happens again, look at that disk")
		},
	}
	o.addFlags(c)
	return c
}

func (o *cacheOptions) printHealth(w *world, dir string, h *store.Health) error {
	if o.json {
		return printJSON(w.stdout, struct {
			Schema string `json:"schema"`
			Dir    string `json:"dir"`
			Clean  bool   `json:"clean"`
			*store.Health
		}{"mkbuild.cache-verify/v1", dir, h.Clean(), h})
	}
	for _, i := range h.Damaged {
		fmt.Fprintf(w.stdout, "damaged, removed: %s (%s)\n", i.SHA256, itemName(i))
	}
	for _, f := range h.Dangling {
		fmt.Fprintf(w.stdout, "leads nowhere, removed: %s: %s\n", ui.Clean(f.Path), ui.Clean(f.What))
	}
	for _, f := range h.Stray {
		fmt.Fprintf(w.stdout, "left by a killed process, removed: %s\n", ui.Clean(f))
	}
	for _, f := range h.Foreign {
		fmt.Fprintf(w.stdout, "not mkbuild's, left alone: %s\n", ui.Clean(f))
	}
	verdict := "clean"
	if !h.Clean() {
		verdict = fmt.Sprintf("%d damaged, %d leading nowhere, %d left behind, %d foreign", len(h.Damaged), len(h.Dangling), len(h.Stray), len(h.Foreign))
	}
	_, err := fmt.Fprintf(w.stdout, "%s, %s, in %s: %s\n", ui.Plural(h.Blobs, "file"), ui.Bytes(h.Size), ui.Clean(dir), verdict)
	return err
}
