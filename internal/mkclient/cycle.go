package mkclient

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"time"

	"mkbuild/internal/mkclient/clientlog"
	"mkbuild/internal/mkclient/facts"
	"mkbuild/internal/mkclient/generations"
	"mkbuild/internal/mkclient/program"
	"mkbuild/internal/mkclient/web"
)

// Run checks in until ctx ends, and then returns nil.
func (c *Client) Run(ctx context.Context) error {
	unlock, err := c.lock(ctx, generations.LoopLock)
	if err != nil && ctx.Err() == nil {
		c.log.Logf(clientlog.Warn, "cannot check for another running mk-client: %v", err)
	}
	defer unlock()
	c.log.Logf(clientlog.Info, "mk-client %s starts, interval %s", c.opt.Version, c.set.Interval)
	pause(ctx, time.Duration(c.opt.Random()*float64(c.set.Skew)))
	for bad, failures := 0, 0; ctx.Err() == nil; {
		checkedIn, err := c.cycle(ctx)
		if ctx.Err() != nil {
			break
		}
		if failures++; checkedIn {
			failures = 0 // the server works, even if its action failed
		}
		if bad++; err == nil {
			bad = 0
		}
		c.complain(bad, err)
		pause(ctx, c.wait(failures, err))
	}
	c.log.Logf(clientlog.Info, "mk-client stops")
	return nil
}

// remindAfter is the number of failed cycles after which a repeated failure is logged again.
const remindAfter = 20

// complain logs the outcome of a cycle, the bad one of a row. It logs a repeated failure once and then as a
// reminder, so that the console stays readable.
func (c *Client) complain(bad int, err error) {
	switch {
	case err == nil:
		c.log.Changed("cycle", clientlog.Info, "")
	case bad%remindAfter == 0:
		c.log.Logf(clientlog.Error, "%v (%d cycles in a row have failed)", err, bad)
	default:
		c.log.Changed("cycle", clientlog.Error, "%v", err)
	}
}

// wait is the pause after a cycle: the interval, or after failures a growing pause with jitter, so that not all
// machines return at once. It follows a server's Retry-After.
func (c *Client) wait(failures int, err error) time.Duration {
	if failures == 0 {
		return c.set.Interval
	}
	d := Backoff(c.set.Interval, failures, c.opt.Random())
	if status, ok := errors.AsType[*web.StatusError](err); ok && status.After > d {
		d = status.After + time.Duration(c.opt.Random()*float64(c.set.Interval))
	}
	return d
}

// Backoff is the pause after a number of failed check-ins in a row: it doubles up to eight intervals, and random
// in [0,1) scales it by 0.5 to 1.5.
func Backoff(interval time.Duration, failures int, random float64) time.Duration {
	d := time.Duration(1<<min(max(failures-1, 0), 3)) * interval
	return d/2 + time.Duration(random*float64(d))
}

// Update refreshes the extension only.
func (c *Client) Update(ctx context.Context) error {
	unlock, err := c.lock(ctx, generations.CycleLock)
	if err != nil {
		return err
	}
	defer unlock()
	return c.store.Refresh(ctx)
}

// Collect collects the facts with the active generation, without the network. A user who cannot read the
// extension gets the facts without it, and a warning in the log.
func (c *Client) Collect(ctx context.Context) (facts.Collection, error) {
	unlock, err := c.lock(ctx, generations.CycleLock)
	if err != nil {
		c.log.Logf(clientlog.Warn, "cannot use the extension: %v", err)
	}
	defer unlock()
	c.store.Load()
	col, _ := c.collect(ctx)
	return col, ctx.Err()
}

// lock keeps a manual `register` apart from the loop's cycle, and a loop apart from an earlier one that is
// ending. It waits while another process has the lock. unlock is never nil.
func (c *Client) lock(ctx context.Context, name string) (unlock func(), err error) {
	for {
		unlock, err := c.store.Lock(name)
		if !errors.Is(err, generations.ErrBusy) || ctx.Err() != nil {
			return unlock, err
		}
		if name == generations.LoopLock {
			c.log.Changed("instance", clientlog.Warn, "another mk-client is running: waiting for it to end")
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// Cycle does one cycle: refresh, collect, write MCollective's facts, check in, report, act. Only the check-in and
// the action can fail it.
func (c *Client) Cycle(ctx context.Context) error {
	_, err := c.cycle(ctx)
	return err
}

// cycle also reports whether the check-in succeeded.
func (c *Client) cycle(ctx context.Context) (checkedIn bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("bug in mk-client: %v\n%s", p, debug.Stack())
		}
	}()
	action, err := c.register(ctx)
	if err != nil {
		return false, err
	}
	return true, c.Execute(ctx, action)
}

// register does all but the action, under the cycle's lock.
func (c *Client) register(ctx context.Context) (action string, err error) {
	unlock, err := c.lock(ctx, generations.CycleLock)
	if err != nil {
		c.log.Changed("lock", clientlog.Warn, "cannot use the extension: %v", err)
	}
	defer unlock()
	if err := c.store.Refresh(ctx); err != nil {
		c.log.Changed("refresh", clientlog.Warn, "refresh the extension: %v", generations.StableError(err))
		c.log.Logf(clientlog.Debug, "refresh the extension: %v", err)
	} else {
		c.log.Changed("refresh", clientlog.Info, "")
	}
	col, status := c.collect(ctx)
	if err := ctx.Err(); err != nil {
		return "", err
	}
	c.mco.update(ctx, col.Facts, c.set.AllowSampleSecrets)
	col.Add("mk-client", facts.Facts{"mk_mcollective_error": c.mco.trouble})
	if action, err = c.checkin(ctx, &col); err != nil {
		return "", err
	}
	c.log.Logf(clientlog.Debug, "checked in with %d facts: %s", len(col.Facts), action)
	c.report(ctx, status)
	return action, nil
}

// collect adds the operator's facts and the client's status to the collected facts.
func (c *Client) collect(ctx context.Context) (facts.Collection, generations.Status) {
	col := c.collector.Collect(ctx, c.store.Usable())
	c.store.Learn(&col)
	status := c.store.Status(col.Used)
	for name, v := range c.set.Facts {
		col.Add("razor.fact."+name, facts.Facts{name: v})
	}
	col.Add("mk-client", status.Facts(c.opt.Version))
	c.reportOpen(&col)
	return col, status
}

// report writes changes of the extension's state to the node's log on the server.
func (c *Client) report(ctx context.Context, status generations.Status) {
	level, msg, changed := c.store.Unreported(status)
	if !changed {
		return
	}
	if err := c.tell(ctx, level, msg); err != nil {
		c.log.Logf(clientlog.Debug, "write to the node's log: %v", err)
		return // try again after the next check-in
	}
	c.store.Reported(status)
}

// ErrAction is returned for an action that the client refuses.
var ErrAction = errors.New("refused action")

var actionName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Execute runs an action of the server: "none", "reboot", or the name of an executable directly inside the
// commands directory. It refuses a path, which would let the server run any program of the image. The process
// gets the fixed base environment, without the extension's paths.
func (c *Client) Execute(ctx context.Context, action string) error {
	if action == "none" {
		return nil
	}
	if !actionName.MatchString(action) {
		return fmt.Errorf("%w %q: not a plain name", ErrAction, action)
	}
	p := filepath.Join(c.set.Commands, action)
	if _, err := os.Stat(p); errors.Is(err, os.ErrNotExist) && action == "reboot" {
		p, _ = program.Find("reboot", c.opt.Facts.Path) // an image without its own reboot uses the system's
	}
	if !program.IsExecutable(p) {
		return fmt.Errorf("%w %q: no such executable in %s", ErrAction, action, c.set.Commands)
	}
	c.log.Logf(clientlog.Info, "run action %s (%s)", action, p)
	ctx, cancel := context.WithTimeout(ctx, c.opt.ActionTimeout)
	defer cancel()
	res, err := program.Run(ctx, program.Command{Path: p, Env: program.BaseEnv(c.opt.Facts.Path), Dir: "/tmp"})
	if err != nil {
		return fmt.Errorf("run action %s: %w", action, err)
	}
	if res.Code != 0 {
		return fmt.Errorf("run action %s: exit status %d%s", action, res.Code, res.Hint())
	}
	return nil
}
