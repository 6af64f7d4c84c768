package mkclient

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"mkbuild/internal/mkclient/clientlog"
	"mkbuild/internal/mkclient/generations"
	"mkbuild/internal/mkclient/program"
	"mkbuild/internal/mkclient/web"
)

// Run checks in until ctx ends, and returns nil then. Nothing else ends it.
func (c *Client) Run(ctx context.Context) error {
	unlock, err := c.lock(ctx, generations.LoopLock)
	if err != nil && ctx.Err() == nil {
		c.log.Logf(clientlog.Warn, "cannot make sure that this is the only mk-client: %v", err)
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
			failures = 0 // the server is well, even if its action failed
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

// remindAfter is how many bad cycles go by before one that says nothing new is logged again.
const remindAfter = 20

// complain logs the outcome of a cycle, the bad one of a row. One that repeats itself is logged
// once and then as a reminder, so that it does not bury what else the console says.
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

// wait is the pause after a cycle: the interval, or after failures a growing one with jitter,
// so that a server that comes back does not meet all machines at once. A server's Retry-After
// is heeded.
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

// Backoff is the pause after a number of failed check-ins in a row: it doubles up to eight
// intervals, and random in [0,1) takes it to between half and one and a half of that.
func Backoff(interval time.Duration, failures int, random float64) time.Duration {
	d := time.Duration(1<<min(max(failures-1, 0), 3)) * interval
	return d/2 + time.Duration(random*float64(d))
}

// pause sleeps until d is over or ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// ErrAction is returned for the name of an action that the client does not run.
var ErrAction = errors.New("refused action")

var actionName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Execute carries out an action of the server: "none", "reboot", or the name of an executable directly
// inside the commands directory. A path is refused: it would let the server run any program of the image.
// The process gets the fixed base environment, and never the extension's paths.
func (c *Client) Execute(ctx context.Context, action string) error {
	if action == "none" {
		return nil
	}
	if !actionName.MatchString(action) {
		return fmt.Errorf("%w %q: not a plain name", ErrAction, action)
	}
	p := filepath.Join(c.set.Commands, action)
	if _, err := os.Stat(p); errors.Is(err, os.ErrNotExist) && action == "reboot" {
		p, _ = program.Find("reboot", c.opt.Facts.Path) // an image without one of its own gets the system's
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
