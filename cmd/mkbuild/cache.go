package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mkbuild/internal/store"
	"mkbuild/internal/ui"
)

func cacheCommand(w *world) *cobra.Command {
	c := &cobra.Command{
		Use:   "cache",
		Short: "Look into the cache of downloads, check it, and make room",
		Long: `Downloads, and what was made of them (compressed segments of an initrd), are kept by their SHA-256 in
one folder that any number of builds may share: --cache-dir, else $MKBUILD_CACHE_DIR, else
mkbuild in your user cache folder. Builds hash it again before they use it, so that damage does not
get into an image. Whoever may write there can plant whole files, though, where no lock pins them:
share a cache only among those who may decide what is in your images.`,
		Example: `  mkbuild cache ls
  mkbuild cache verify
  mkbuild cache prune --older-than 90d
  mkbuild cache prune --keep-lock mkbuild.lock`,
		Args: noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(cacheListCommand(w), cacheVerifyCommand(w), cachePruneCommand(w))
	return c
}

// cacheOptions are the flags of all commands about the cache.
type cacheOptions struct {
	dir  string
	json bool
}

func (o *cacheOptions) addFlags(c *cobra.Command) {
	c.Flags().StringVar(&o.dir, "cache-dir", "", "the cache (default $MKBUILD_CACHE_DIR, else your user cache folder)")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
}

// store is the cache that the flags name.
func (o *cacheOptions) store(w *world) (*store.Store, error) {
	dir, err := cacheDir(w, o.dir)
	return &store.Store{Dir: dir, Waiting: func() {
		fmt.Fprintln(w.stderr, "mkbuild: waiting for the builds that use the cache")
	}}, err
}

func cacheListCommand(w *world) *cobra.Command {
	o := &cacheOptions{}
	c := &cobra.Command{
		Use:   "ls",
		Short: "List what is in the cache",
		Long: `List the files in the cache: what they are (download, segment of an initrd, orphan: no address leads
there any more), their size, when a build last used them (to the hour, UTC), their SHA-256, and
the address that they came from.`,
		Example: `  mkbuild cache ls
  mkbuild cache ls --json | jq -r '.items[] | select(.kind == "download") | .names[]'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := o.store(w)
			if err != nil {
				return err
			}
			items, err := s.Items(cmd.Context())
			if err != nil {
				return err
			}
			return o.printItems(w, s.Dir, "mkbuild.cache-ls/v1", "total", items)
		},
	}
	o.addFlags(c)
	return c
}

// itemsJSON is the form for machines of a list of cached files.
type itemsJSON struct {
	Schema string       `json:"schema"`
	Dir    string       `json:"dir"`
	Size   int64        `json:"size"` // of all items
	Items  []store.Item `json:"items"`
}

// printItems prints a list and its sum.
func (o *cacheOptions) printItems(w *world, dir, schema, sum string, items []store.Item) error {
	size := int64(0)
	for _, i := range items {
		size += i.Size
	}
	if o.json {
		return printJSON(w.stdout, itemsJSON{schema, dir, size, append([]store.Item{}, items...)})
	}
	t := tabwriter.NewWriter(w.stdout, 0, 0, 2, ' ', 0)
	if len(items) > 0 {
		fmt.Fprintln(t, "KIND\tSIZE\tLAST USE\tSHA256\tNAME")
	}
	for _, i := range items {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", ui.Clean(i.Kind), ui.Bytes(i.Size), i.Used.Format("2006-01-02 15:04"), i.SHA256, itemName(i))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w.stdout, "%s: %s, %s, in %s\n", sum, ui.Plural(len(items), "file"), ui.Bytes(size), ui.Clean(dir))
	return err
}

// itemName is the first name of an item, made safe to print.
func itemName(i store.Item) string {
	switch len(i.Names) {
	case 0:
		return "-"
	case 1:
		return ui.Clean(i.Names[0])
	}
	return fmt.Sprintf("%s (and %d more)", ui.Clean(i.Names[0]), len(i.Names)-1)
}
