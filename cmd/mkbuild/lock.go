package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mkbuild/internal/hostfile"
	"mkbuild/internal/inputs"
	"mkbuild/internal/lock"
	"mkbuild/internal/ui"
)

// everything is the value of --update without a name.
const everything = "*"

type lockOptions struct {
	buildOptions
	update []string
	check  bool
}

func lockCommand(w *world) *cobra.Command {
	o := &lockOptions{}
	c := &cobra.Command{
		Use:   "lock",
		Short: "Pin every input of an image by its sha256",
		Long: `Write mkbuild.lock: every input of the configuration's images, for all profiles, with its
size, digests, origin, licence, reason and dependencies; a digest of the settings that
select these inputs; and the time stamp of generated files. Keep it in version control next to
mkbuild.yaml. mkbuild iso follows it: the hashes decide, and no mirror is asked for its current versions.

Locked files stay as they are. Without --update, mkbuild lock only adds files that the configuration
selects now, and drops files that it no longer selects. Content fetched over plain http is trusted on
first use; after that the lock decides.

--check changes nothing. It lists what differs from the lock, upstream or in the configuration, and exits
with status 3 if something does.

stdout is the path of the lock.`,
		Example: `  mkbuild lock
  mkbuild lock --check
  mkbuild lock --update=ruby
  mkbuild lock --update`,
		Args: o.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runLock(cmd.Context(), w, o, cmd) },
	}
	o.addInputFlags(c)
	o.addLockfileFlag(c)
	f := c.Flags()
	f.StringArrayVar(&o.update, "update", nil, "look locked inputs up again: all, or only `NAME` and its dependencies; may be repeated")
	f.Lookup("update").NoOptDefVal = everything
	f.BoolVar(&o.check, "check", false, "change nothing: list what differs from the lock")
	return c
}

// noArgs explains the argument that people try.
func (o *lockOptions) noArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case slices.Contains(o.update, everything):
		return usage("lock: --update needs an equals sign before the name", "type `mkbuild lock --update="+args[0]+"`")
	}
	return cobra.NoArgs(cmd, args)
}

func runLock(ctx context.Context, w *world, o *lockOptions, cmd *cobra.Command) error {
	if o.check && len(o.update) > 0 {
		return usage("--check and --update cannot be combined", "look first with --check, then accept with --update=NAME")
	}
	plan, err := o.plan(cmd)
	if err != nil {
		return err
	}
	if !o.check {
		if err := o.allow(ctx, w, plan, nil, []hostfile.Place{hostfile.File(o.lockName(), "--lockfile FILE")}); err != nil {
			return err
		}
	}
	old, err := o.oldLock()
	if err != nil {
		return err
	}
	return o.withInputs(w, func(in inputs.Options) error {
		o.seal(w, in, !o.check) // a check only lists changes
		if o.check {
			in.Lock = old
			return checkLock(ctx, w, in, plan, o.lockName())
		}
		return o.write(ctx, w, in, plan, old)
	})
}

// oldLock reads the existing lock, unless this is a check.
func (o *lockOptions) oldLock() (*lock.Lock, error) {
	old, err := lock.Load(o.lockName(), o.lockCommand())
	if errors.Is(err, lock.ErrMissing) && !o.check {
		return nil, nil //nolint:nilnil // the first lock
	}
	return old, err
}

// write resolves the inputs that are not pinned, and prints the changes.
func (o *lockOptions) write(ctx context.Context, w *world, in inputs.Options, plan *inputs.Plan, old *lock.Lock) error {
	if old != nil && !slices.Contains(o.update, everything) {
		rest, unknown := old.Without(o.update...)
		if len(unknown) > 0 {
			return usage(fmt.Sprintf("update %s: the lock has no such input", strings.Join(unknown, ", ")), "its inputs are the `name` lines of "+o.lockName())
		}
		in.Lock = rest
	}
	r, err := inputs.Lock(ctx, plan, in)
	if err != nil {
		return err
	}
	if err := o.pinDerived(ctx, w, in, plan, r.Lock, old); err != nil {
		return err
	}
	changed, err := r.Lock.Save(o.lockName())
	if err != nil {
		return err
	}
	sayChanges(in.Sink, r.Lock, old, o.lockName(), changed)
	warnFirstLock(in.Sink, in.Fetch.FirstUse())
	return printPath(w, o.lockName())
}

// sayChanges prints the changes from one lock to the next.
func sayChanges(sink ui.Sink, now, old *lock.Lock, name string, changed bool) {
	say := func(item, text string) {
		sink.Event(ui.Event{Level: ui.Info, Step: "lock", Item: item, Text: text})
	}
	switch {
	case old == nil:
		say(name, fmt.Sprintf("%d inputs", len(now.Inputs)))
		return
	case !changed:
		say(name, "nothing has changed")
		return
	}
	if !slices.Equal(now.Derived, old.Derived) {
		say(name, fmt.Sprintf("%d digests of segments pinned", len(now.Derived)))
	}
	for _, d := range now.DriftFrom(old) {
		say(d.Input, d.Change())
	}
}

// checkLock reports every difference from the lock: each as a warning, all together as the error.
func checkLock(ctx context.Context, w *world, in inputs.Options, plan *inputs.Plan, name string) error {
	drifts, err := inputs.Check(ctx, plan, in)
	switch {
	case err != nil:
		return err
	case len(drifts) == 0:
		in.Sink.Event(ui.Event{Level: ui.Info, Step: "lock", Item: name, Text: ui.Plural(len(in.Lock.Inputs), "input") + " and the configuration match the lock"})
		return printPath(w, name)
	case len(drifts) == 1:
		return drifts[0]
	}
	for _, d := range drifts {
		in.Sink.Event(ui.Event{Level: ui.Warning, Step: "lock", Item: d.Input, Text: d.Change()})
	}
	return lock.Drifts(drifts, in.Lock.Command)
}
