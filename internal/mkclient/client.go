package mkclient

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"mkbuild/internal/extension"
)

// BasePath is where the client looks for the programs that it runs itself. It is fixed, so
// that no extension can put another facter, lshw or reboot in its way.
const BasePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// DefaultExtensionRoot is where generations of the extension live: a microkernel's / is RAM.
const DefaultExtensionRoot = "/tmp/mk-extension"

// Options is what a client is built from. [DefaultOptions] fits a booted microkernel.
type Options struct {
	Version       string
	Environ       []string // the client's own environment
	Path          string   // base path for programs
	Root          string   // "/" or, in tests, where /proc, /sys, /etc and /usr/local are
	ExtensionRoot string
	ExternalDirs  []string // the image's own directories of external facts
	Limits        extension.Limits
	Timeouts      Timeouts
	Log           *Logger
	Now           func() time.Time // for certificates only; nothing else asks for the time
	Random        func() float64   // [0,1), for skew and back-off
}

// DefaultOptions is what cmd/mk-client runs with.
func DefaultOptions(version string, environ []string) Options {
	return Options{
		Version: version, Environ: environ, Path: BasePath, Root: "/", ExtensionRoot: DefaultExtensionRoot,
		ExternalDirs: []string{"/etc/puppetlabs/facter/facts.d", "/etc/facter/facts.d", "/opt/puppetlabs/facter/facts.d"},
		Limits:       extension.DefaultLimits(), Timeouts: DefaultTimeouts(),
		Now: time.Now, Random: randomFloat,
	}
}

// Client is one client. It is used from one goroutine.
type Client struct {
	opt    Options
	set    Settings
	web    *web
	ref    *refresher
	facter facterProgram
	hw     hardwareCache
	mco    mcoDaemon
	node   string // id from /svc/nodeid
	posted string // URL of the last check-in that went through
}

// New builds a client. A CA file that cannot be read is reported and trusts nobody; the client
// works on, since it may be http that is used.
func New(opt Options, set Settings) *Client {
	w, err := newWeb(set.CA, opt.Timeouts, "mk-client/"+opt.Version, opt.Now)
	if err != nil {
		opt.Log.Logf(Error, "%v", err)
	}
	c := &Client{opt: opt, set: set, web: w}
	c.ref = &refresher{
		root: opt.ExtensionRoot, set: &c.set, web: w, log: opt.Log, lim: opt.Limits,
		to: opt.Timeouts, proc: c.path("proc"), baked: c.path(BakedExtension),
	}
	return c
}

func (c *Client) log() *Logger { return c.opt.Log }

// path places a path of the system below Options.Root.
func (c *Client) path(name string) string { return filepath.Join(c.opt.Root, name) }

// Update refreshes the extension only.
func (c *Client) Update(ctx context.Context) error {
	unlock, err := c.lockCycle(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return c.ref.Refresh(ctx)
}

// lockCycle keeps a `register` by hand out of the way of the loop's own cycle.
func (c *Client) lockCycle(ctx context.Context) (func(), error) {
	for {
		if err := ensureRoot(c.opt.ExtensionRoot); err != nil {
			return nil, err
		}
		unlock, err := lock(c.opt.ExtensionRoot, lockFile)
		if !errors.Is(err, errBusy) || ctx.Err() != nil {
			return unlock, err
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// Cycle does everything once: refresh, collect, write MCollective's facts, check in, report,
// act. Only the check-in and the action can make it fail.
func (c *Client) Cycle(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("bug in mk-client: %v\n%s", p, debug.Stack())
		}
	}()
	action, err := c.cycle(ctx)
	if err != nil {
		return err
	}
	if err := c.Execute(ctx, action); err != nil {
		return &actionError{err}
	}
	return nil
}

// actionError is a failure after a check-in that went through.
type actionError struct{ error }

// Unwrap gives the cause.
func (e *actionError) Unwrap() error { return e.error }

func (c *Client) cycle(ctx context.Context) (string, error) {
	unlock, err := c.lockCycle(ctx)
	if err != nil {
		c.log().Changed("lock", Warn, "no extension can be used: %v", err)
		unlock = func() {}
	}
	defer unlock()
	if err := c.ref.Refresh(ctx); err != nil {
		c.log().Changed("refresh", Warn, "refresh the extension: %v", stableError(err))
		c.log().Logf(Debug, "refresh the extension: %v", err)
	} else {
		c.log().Changed("refresh", Info, "")
	}
	col := c.collect(ctx)
	if err := ctx.Err(); err != nil {
		return "", err
	}
	c.mcollective(ctx, col.Facts)
	action, err := c.checkin(ctx, &col)
	if err != nil {
		return "", err
	}
	c.log().Logf(Debug, "checked in with %d facts: %s", len(col.Facts), action)
	c.report(ctx, col.ext)
	return action, nil
}

// report tells the server's log once what became of the extension, when that changes.
func (c *Client) report(ctx context.Context, s status) {
	key := s.Status + " " + s.SHA256 + " " + s.Error
	if key == c.ref.state.Reported {
		return
	}
	quiet := s.Status == "none" || s.Status == "off"
	if !quiet || c.ref.state.Reported != "" {
		level, msg := Info, "mk-client: extension "+s.Status
		if s.SHA256 != "" {
			msg += ", sha256 " + s.SHA256
		}
		if s.Error != "" {
			level, msg = Warn, msg+": "+s.Error
		}
		if s.Note != "" {
			level, msg = Warn, msg+"; "+s.Note
		}
		if err := c.tell(ctx, level, msg); err != nil {
			c.log().Logf(Debug, "write to the node's log: %v", err)
			return // try again after the next check-in
		}
	}
	c.ref.state.Reported = key
	c.ref.saveQuietly()
}

// baseEnv is the environment of programs that the client runs for itself.
func (c *Client) baseEnv() []string {
	return []string{"PATH=" + c.opt.Path, "HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh", "TERM=linux", "LANG=C", "LC_ALL=C"}
}

// Run checks in until ctx ends, and returns nil then. Nothing else ends it.
func (c *Client) Run(ctx context.Context) error {
	unlock := c.onlyInstance(ctx)
	defer unlock()
	c.log().Logf(Info, "mk-client %s starts, interval %s", c.opt.Version, c.set.Interval)
	pause(ctx, time.Duration(c.opt.Random()*float64(c.set.Skew)))
	for bad, failures := 0, 0; ctx.Err() == nil; {
		err := c.Cycle(ctx)
		if ctx.Err() != nil {
			break
		}
		var action *actionError
		if failures++; err == nil || errors.As(err, &action) {
			failures = 0 // the server is well
		}
		if bad++; err == nil {
			bad = 0
		}
		c.complain(bad, err)
		pause(ctx, c.wait(failures, err))
	}
	c.log().Logf(Info, "mk-client stops")
	return nil
}

// remindAfter is how many bad cycles go by before one that says nothing new is logged again.
const remindAfter = 20

// complain logs the outcome of a cycle, the bad one of a row. One that repeats itself is logged
// once and then as a reminder, so that it does not bury what else the console says.
func (c *Client) complain(bad int, err error) {
	switch {
	case err == nil:
		c.log().Changed("cycle", Info, "")
	case bad%remindAfter == 0:
		c.log().Logf(Error, "%v (%d cycles in a row have failed)", err, bad)
	default:
		c.log().Changed("cycle", Error, "%v", err)
	}
}

// Backoff is the pause after a number of failed check-ins in a row: it doubles up to eight
// intervals, and random in [0,1) takes it to between half and one and a half of that.
func Backoff(interval time.Duration, failures int, random float64) time.Duration {
	d := time.Duration(1<<min(max(failures-1, 0), 3)) * interval
	return d/2 + time.Duration(random*float64(d))
}

// wait is the pause after a cycle: the interval, or after failures a growing one with jitter,
// so that a server that comes back does not meet all machines at once. A server's Retry-After
// is heeded.
func (c *Client) wait(failures int, err error) time.Duration {
	if failures == 0 {
		return c.set.Interval
	}
	d := Backoff(c.set.Interval, failures, c.opt.Random())
	var status *StatusError
	if errors.As(err, &status) && status.After > d {
		d = status.After + time.Duration(c.opt.Random()*float64(c.set.Interval))
	}
	return d
}

// onlyInstance waits until no other loop runs: init may start one while the last still ends.
func (c *Client) onlyInstance(ctx context.Context) func() {
	for ctx.Err() == nil {
		err := ensureRoot(c.opt.ExtensionRoot)
		if err == nil {
			var unlock func()
			if unlock, err = lock(c.opt.ExtensionRoot, runFile); err == nil {
				return unlock
			}
		}
		if !errors.Is(err, errBusy) {
			c.log().Logf(Warn, "cannot make sure that this is the only mk-client: %v", err)
			return func() {}
		}
		c.log().Changed("instance", Warn, "another mk-client runs: waiting for it to end")
		pause(ctx, time.Second)
	}
	return func() {}
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

// ReadInputs gathers the settings' sources from the running system below root.
func ReadInputs(root string, environ []string) Inputs {
	line, _ := os.ReadFile(filepath.Join(root, "proc/cmdline"))
	file, _ := os.ReadFile(filepath.Join(root, ConfigFile))
	return Inputs{Environ: environ, CommandLine: strings.TrimSpace(string(line)), File: file}
}
