package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/lock"
	"mkbuild/internal/registry"
	"mkbuild/internal/store"
	"mkbuild/internal/ui"
)

func cacheCommand(w *world) *cobra.Command {
	c := &cobra.Command{
		Use:   "cache",
		Short: "List, check and prune the cache of downloads",
		Long: `Downloads, and what was made of them (compressed segments of an initrd), are kept by their SHA-256 in
one folder that builds share: --cache-dir, else $MKBUILD_CACHE_DIR, else
mkbuild in your user cache folder. A build hashes each file again before it uses it: damage does not
get into an image. A build with a lock does not trust the cache: the lock pins downloads, and a segment
without a seal under your own key ($MKBUILD_CACHE_KEY, else mkbuild/cache.key in your user configuration
folder) is made again. Without a lock, anyone who can write to the cache can plant files in your
images: mkbuild warns of a cache that others can write to.`,
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

// store opens the cache that the flags name.
func (o *cacheOptions) store(w *world) (*store.Store, error) {
	dir, err := cacheDir(w, o.dir)
	return &store.Store{Dir: dir, Waiting: func() {
		fmt.Fprintln(w.stderr, "mkbuild: waiting for the builds that use the cache")
	}}, err
}

// cacheKeyEnv names the file of the user's key. The default is cache.key in mkbuild's configuration folder.
const cacheKeyEnv = "MKBUILD_CACHE_KEY"

// cacheKeyFile is the path of the user's key; "" if the user has no folder for it.
func cacheKeyFile(w *world) string {
	if name := w.getenv(cacheKeyEnv); name != "" {
		return name
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "mkbuild", "cache.key")
}

// cacheKey returns the key that seals this user's segments in a cache. The first use makes it. If that fails,
// err says why, and the key lasts for this run only.
func cacheKey(w *world, cache string) (key []byte, err error) {
	const size = 32
	name := cacheKeyFile(w)
	if rel, rerr := filepath.Rel(cache, name); name != "" && rerr == nil && filepath.IsLocal(rel) {
		name, err = "", fmt.Errorf("%s lies in the cache itself", name)
	}
	if name != "" {
		if _, serr := os.Lstat(name); errors.Is(serr, fs.ErrNotExist) {
			err = makeKey(name, size)
		}
		if err == nil {
			key, err = hostfile.ReadPrivate(name, size)
		}
		if err == nil && len(key) != size {
			err = fmt.Errorf("%s does not have %d bytes", name, size)
		}
	}
	if err != nil || name == "" {
		key = make([]byte, size)
		rand.Read(key) //nolint:gosec // never fails
	}
	return key, err
}

// makeKey writes a file of random bytes that only the user can read. Of two processes the last one wins.
func makeKey(name string, size int) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".cache.key-*") // mode 0600
	if err != nil {
		return err
	}
	key := make([]byte, size)
	rand.Read(key) //nolint:gosec // never fails
	_, err = f.Write(key)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// foreignCache names the first of the cache's folders that somebody else can change, and who.
func foreignCache(dir string) string {
	for _, name := range []string{dir, filepath.Join(dir, "sha256"), filepath.Join(dir, "index")} {
		if who := hostfile.Foreign(name); who != "" {
			return name + ": " + who
		}
	}
	return ""
}

func cacheListCommand(w *world) *cobra.Command {
	o := &cacheOptions{}
	c := &cobra.Command{
		Use:   "ls",
		Short: "List what is in the cache",
		Long: `List the files in the cache: what they are (download, segment of an initrd, or orphan, a file that no
address leads to), their size, when a build last used them (to the hour, UTC), their SHA-256, and
their address.`,
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

// itemsJSON is a list of cached files as JSON.
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

// pruneAge is how long a file may lie unused by default.
const pruneAge = 30 * 24 * time.Hour

// pruneOptions are the flags of cache prune.
type pruneOptions struct {
	cacheOptions
	olderThan string
	segments  bool
	locks     []string
	dryRun    bool
	remote    string
	network   buildOptions // client of a registry
}

func cachePruneCommand(w *world) *cobra.Command {
	o := &pruneOptions{}
	c := &cobra.Command{
		Use:   "prune",
		Short: "Remove unused files from the cache",
		Long: `Remove files that no build has used for 30 days, or for --older-than: 12h, 90d; 0 removes everything.

--segments removes only segments, of any age. A build makes them again when it needs them.
--keep-lock removes all downloads that the lock does not name, of any age, and segments after
30 days. --older-than limits both to older files.

--remote prunes a shared cache in a registry instead: the tags of --cache-to, by their age. The
registry's own garbage collection frees the space.

The command waits until no build uses the cache. stdout lists what was removed.`,
		Example: `  mkbuild cache prune --dry-run
  mkbuild cache prune --older-than 90d
  mkbuild cache prune --keep-lock mkbuild.lock
  mkbuild cache prune --segments
  mkbuild cache prune --remote oci://registry.example:5000/razor/cache --older-than 90d`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPrune(cmd, w, o) },
	}
	o.addFlags(c)
	f := c.Flags()
	f.StringVar(&o.olderThan, "older-than", "", "remove only files unused for this `time`, such as 36h or 90d (default 30d)")
	f.BoolVar(&o.segments, "segments", false, "remove only segments")
	f.StringArrayVar(&o.locks, "keep-lock", nil, "keep the downloads that this lock `file` names; may be repeated")
	f.BoolVar(&o.dryRun, "dry-run", false, "only list what would be removed")
	f.StringVar(&o.remote, "remote", "", "prune a shared cache in a registry: `oci://HOST/REPOSITORY`")
	f.BoolVar(&o.network.plainHTTP, "plain-http", false, "ask registries without TLS")
	return c
}

func runPrune(cmd *cobra.Command, w *world, o *pruneOptions) error {
	s, err := o.store(w)
	if err != nil {
		return err
	}
	what, err := o.selection()
	if err != nil {
		return err
	}
	prune, place := s.Prune, s.Dir
	if o.remote != "" {
		if o.segments || len(o.locks) > 0 {
			return usage("--remote cannot be combined with --segments and --keep-lock", "a registry is pruned by age: --older-than 90d")
		}
		shared, err := registry.NewPlace(config.CachePlace{URL: o.remote})
		if err != nil {
			return err
		}
		client := o.network.registry(w)
		place = shared.Name()
		prune = func(ctx context.Context, what store.PruneOptions) ([]store.Item, error) {
			return shared.Prune(ctx, client, what.Derived, what.DryRun)
		}
	}
	gone, err := prune(cmd.Context(), what)
	if err != nil {
		return err
	}
	return o.printItems(w, place, "mkbuild.cache-prune/v1", removed(o.dryRun), gone)
}

func removed(dry bool) string {
	if dry {
		return "would be removed"
	}
	return "removed"
}

// selection turns the flags into a selection of files to remove.
func (o *pruneOptions) selection() (store.PruneOptions, error) {
	what := store.PruneOptions{Downloads: pruneAge, Derived: pruneAge, KeepDownloads: o.segments, DryRun: o.dryRun, Keep: map[string]bool{}}
	if o.segments {
		what.Derived = 0
	}
	for _, name := range o.locks {
		l, err := lock.Load(name, "")
		if err != nil {
			return what, err
		}
		for _, in := range l.Inputs {
			what.Keep[in.SHA256] = true
		}
		what.Downloads = 0
	}
	if o.olderThan != "" {
		age, err := parseAge(o.olderThan)
		if err != nil {
			return what, err
		}
		what.Downloads, what.Derived = age, age
	}
	return what, nil
}

// parseAge reads a Go duration, or a number of days: 90d.
func parseAge(text string) (time.Duration, error) {
	age, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		age = time.Duration(n) * 24 * time.Hour //nolint:gosec // 16 bits
	}
	if err != nil || age < 0 {
		return 0, usage(fmt.Sprintf("--older-than: %q is not a duration", text), "for example: --older-than 36h, or --older-than 90d")
	}
	return age, nil
}

func cacheVerifyCommand(w *world) *cobra.Command {
	o := &cacheOptions{}
	c := &cobra.Command{
		Use:   "verify",
		Short: "Hash every file in the cache again, and remove damaged ones",
		Long: `Hash every file in the cache again, follow every entry, and look for files of killed processes.
Files that are damaged or left behind, and entries that lead nowhere, are removed; the next build fetches
them again. Other programs' files are named and left alone. Builds may go on meanwhile: the
command waits for them only before it removes something.

Exit status 5 means that content was damaged: a disk or a person has changed it.`,
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
				"the next build, or mkbuild fetch, fetches them again; if it happens again, check the disk")
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
		fmt.Fprintf(w.stdout, "dead entry, removed: %s: %s\n", ui.Clean(f.Path), ui.Clean(f.What))
	}
	for _, f := range h.Stray {
		fmt.Fprintf(w.stdout, "left by a killed process, removed: %s\n", ui.Clean(f))
	}
	for _, f := range h.Foreign {
		fmt.Fprintf(w.stdout, "not mkbuild's, left alone: %s\n", ui.Clean(f))
	}
	verdict := "clean"
	if !h.Clean() {
		verdict = fmt.Sprintf("%d damaged, %d dead, %d left behind, %d foreign", len(h.Damaged), len(h.Dangling), len(h.Stray), len(h.Foreign))
	}
	_, err := fmt.Fprintf(w.stdout, "%s, %s, in %s: %s\n", ui.Plural(h.Blobs, "file"), ui.Bytes(h.Size), ui.Clean(dir), verdict)
	return err
}
