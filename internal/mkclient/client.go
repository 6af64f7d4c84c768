// Package mkclient is the client inside a booted microkernel. In every cycle it refreshes the
// extension, collects facts, writes MCollective's facts file, reports to the Razor server and acts on
// the answer. Whatever happens to the extension, to Facter or to a hardware tool, a check-in still goes
// out with the facts that are left, and nothing ends the loop but its context.
//
// It runs as root on kernels from 3.0 on, so it keeps to system calls of that time, and it treats
// everything that the network hands it as hostile. Start reading at [Client.Cycle]; the packages below
// are its parts.
package mkclient

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"mkbuild/internal/extension"
	"mkbuild/internal/mkclient/clientlog"
	"mkbuild/internal/mkclient/facts"
	"mkbuild/internal/mkclient/generations"
	"mkbuild/internal/mkclient/settings"
	"mkbuild/internal/mkclient/web"
)

// Options is what a client is built from. [DefaultOptions] fits a booted microkernel.
type Options struct {
	Version       string
	Facts         facts.Options // has the root, the path for programs and the client's own environment, too
	ExtensionDir  string
	Limits        extension.Limits
	Timeouts      web.Timeouts
	ActionTimeout time.Duration
	Log           *clientlog.Logger
	Now           func() time.Time // for certificates only; nothing else asks for the time
	Random        func() float64   // [0,1), for skew and back-off
}

// DefaultOptions is what cmd/mk-client runs with.
func DefaultOptions(version string, environ []string) Options {
	return Options{
		Version: version, Facts: facts.DefaultOptions(environ), ExtensionDir: generations.DefaultDir,
		Limits: extension.DefaultLimits(), Timeouts: web.DefaultTimeouts(), ActionTimeout: 2 * time.Minute,
		Now: time.Now, Random: rand.Float64,
	}
}

// Client is one client. It is used from one goroutine.
type Client struct {
	opt       Options
	set       settings.Settings
	log       *clientlog.Logger
	web       *web.Client
	store     *generations.Store
	collector *facts.Collector
	mco       mcollective
	node      string // id from /svc/nodeid
	posted    string // URL of the last check-in that went through
}

// New builds a client. A CA file that cannot be read is reported and trusts nobody; the client
// works on, since it may be http that is used.
func New(opt Options, set settings.Settings) *Client {
	w, err := web.New(set.CA, opt.Timeouts, "mk-client/"+opt.Version, opt.Now)
	if err != nil {
		opt.Log.Logf(clientlog.Error, "%v", err)
	}
	opt.Facts.Log, opt.Facts.Timeout = opt.Log, set.FactTimeout
	c := &Client{opt: opt, set: set, log: opt.Log, web: w, collector: facts.New(opt.Facts)}
	c.mco.opt = &c.opt.Facts
	c.store = &generations.Store{Dir: opt.ExtensionDir, Root: opt.Facts.Root, Limits: opt.Limits, Settings: &c.set, Web: w, Log: opt.Log}
	return c
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

// Collect gathers the facts with the generation in force, without asking the network. A user
// who may not see the extension gets the facts without it, and a warning in the log.
func (c *Client) Collect(ctx context.Context) (facts.Collection, error) {
	unlock, err := c.lock(ctx, generations.CycleLock)
	if err != nil {
		c.log.Logf(clientlog.Warn, "no extension can be used: %v", err)
	}
	defer unlock()
	c.store.Load()
	col, _ := c.collect(ctx)
	return col, ctx.Err()
}

// lock keeps a `register` by hand out of the way of the loop's own cycle, and a loop out of the way of
// another that still ends. It waits while another process has the lock. unlock is never nil.
func (c *Client) lock(ctx context.Context, name string) (unlock func(), err error) {
	for {
		unlock, err := c.store.Lock(name)
		if !errors.Is(err, generations.ErrBusy) || ctx.Err() != nil {
			return unlock, err
		}
		if name == generations.LoopLock {
			c.log.Changed("instance", clientlog.Warn, "another mk-client runs: waiting for it to end")
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// Cycle does everything once: refresh, collect, write MCollective's facts, check in, report,
// act. Only the check-in and the action can make it fail.
func (c *Client) Cycle(ctx context.Context) error {
	_, err := c.cycle(ctx)
	return err
}

// cycle reports whether the check-in went through, too.
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

// register does everything but the action, under the cycle's lock.
func (c *Client) register(ctx context.Context) (action string, err error) {
	unlock, err := c.lock(ctx, generations.CycleLock)
	if err != nil {
		c.log.Changed("lock", clientlog.Warn, "no extension can be used: %v", err)
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

// collect adds the operator's facts and the client's status to what is collected.
func (c *Client) collect(ctx context.Context) (facts.Collection, generations.Status) {
	col := c.collector.Collect(ctx, c.store.Usable())
	c.store.Learn(&col)
	status := c.store.Status(col.Used)
	for name, v := range c.set.Facts {
		col.Add("razor.fact."+name, facts.Facts{name: v})
	}
	col.Add("mk-client", status.Facts(c.opt.Version))
	return col, status
}

// report tells the server's log once what became of the extension, when that changes.
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
