// Package mkclient is the client inside a booted microkernel. In every cycle it refreshes the extension, collects
// facts, writes MCollective's facts file, reports to the Razor server and acts on the answer. If the extension,
// Facter or a hardware tool fails, it still checks in with the remaining facts. Only its context ends the loop.
//
// It runs as root on kernels from 3.0 on, so it uses only system calls of that time. It treats everything from
// the network as hostile. Start reading at [Client.Cycle]; the packages below are its parts.
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

// Options are the options of a client. [DefaultOptions] fits a booted microkernel.
type Options struct {
	Version       string
	Facts         facts.Options // also has the root, the path of programs and the client's environment
	ExtensionDir  string
	Limits        extension.Limits
	Timeouts      web.Timeouts
	ActionTimeout time.Duration
	Log           *clientlog.Logger
	Now           func() time.Time // only for certificates
	Random        func() float64   // [0,1), for skew and back-off
}

// DefaultOptions are the options of cmd/mk-client.
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

// New builds a client. It reports an unreadable CA file, and then trusts no certificate; the client continues,
// since it may use http.
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
