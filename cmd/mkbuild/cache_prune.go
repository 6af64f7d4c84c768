package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mkbuild/internal/lock"
	"mkbuild/internal/store"
)

// pruneAge is how long a file may lie unused where nothing else is said.
const pruneAge = 30 * 24 * time.Hour

// pruneOptions are the flags of cache prune.
type pruneOptions struct {
	cacheOptions
	olderThan string
	segments  bool
	locks     []string
	dryRun    bool
}

func cachePruneCommand(w *world) *cobra.Command {
	o := &pruneOptions{}
	c := &cobra.Command{
		Use:   "prune",
		Short: "Remove from the cache what is not used any more",
		Long: `Remove what no build has used for 30 days, or for as long as --older-than says: 12h, 90d; 0 is everything.

With --segments only what was made of downloads goes, of any age: it is made again when it is needed.
With --keep-lock all downloads go that the lock does not name, of any age, and what was made of
downloads after 30 days. --older-than limits both to what is older.

It waits until no build uses the cache. stdout lists what was removed.`,
		Example: `  mkbuild cache prune --dry-run
  mkbuild cache prune --older-than 90d
  mkbuild cache prune --keep-lock mkbuild.lock
  mkbuild cache prune --segments`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPrune(cmd, w, o) },
	}
	o.addFlags(c)
	f := c.Flags()
	f.StringVar(&o.olderThan, "older-than", "", "remove only what was not used for this `time`, such as 36h or 90d (default 30d)")
	f.BoolVar(&o.segments, "segments", false, "remove only what was made of downloads")
	f.StringArrayVar(&o.locks, "keep-lock", nil, "keep what this lock `file` names; may be repeated")
	f.BoolVar(&o.dryRun, "dry-run", false, "only list what would be removed")
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
	gone, err := s.Prune(cmd.Context(), what)
	if err != nil {
		return err
	}
	sum := "removed"
	if o.dryRun {
		sum = "would be removed"
	}
	return o.printItems(w, s.Dir, "mkbuild.cache-prune/v1", sum, gone)
}

// selection turns the flags into what goes.
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

// parseAge reads a duration of Go, or a number of days: 90d.
func parseAge(text string) (time.Duration, error) {
	age, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		age = time.Duration(n) * 24 * time.Hour //nolint:gosec // 16 bits
	}
	if err != nil || age < 0 {
		return 0, usage(fmt.Sprintf("--older-than: %q is not a time", text), "for example: --older-than 36h, or --older-than 90d")
	}
	return age, nil
}
