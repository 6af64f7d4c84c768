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
	"math/rand/v2"
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

// pause sleeps until d is over or ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
