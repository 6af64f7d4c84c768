package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"mkbuild/internal/fetch"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/inputs"
	"mkbuild/internal/lock"
	"mkbuild/internal/store"
	"mkbuild/internal/ui"
)

// withInputs runs do with the options of a gathering.
func (o *buildOptions) withInputs(w *world, do func(inputs.Options) error) error {
	return o.withSink(w, func(sink ui.Sink, _ func()) error {
		in, err := o.inputOptions(w, sink)
		if err != nil {
			return err
		}
		return do(in)
	})
}

// inputOptions are the options of a gathering, without a lock.
func (o *buildOptions) inputOptions(w *world, sink ui.Sink) (inputs.Options, error) {
	cache, err := cacheDir(w, o.cacheDir)
	if err != nil {
		return inputs.Options{}, err
	}
	epoch, err := o.sourceDate(w)
	if err != nil {
		return inputs.Options{}, err
	}
	client := o.registry(w)
	kept := &store.Store{Dir: cache, Warn: func(kind, text string) {
		sink.Event(ui.Event{Level: ui.Warning, Step: "fetch", Item: kind, Text: text})
	}}
	if o.shared, err = o.sharedCache(client, sink); o.shared != nil {
		kept.Shared = o.shared
	}
	return inputs.Options{
		Fetch: &fetch.Client{
			OCI:   client,
			Store: kept, Offline: o.offline, RequireHTTPS: o.requireHTTPS, Sink: sink,
			UserAgent: "mkbuild/" + versionText(), HTTP: w.transfers,
		},
		Sink: sink, Epoch: epoch,
	}, err
}

// seal makes the cache untrusted storage for builds with a lock, and for a lock that is written. Otherwise it
// warns of a cache that others can change.
func (o *buildOptions) seal(w *world, in inputs.Options, untrusted bool) {
	kept := in.Fetch.Store
	kept.Sealed = untrusted
	key, err := cacheKey(w, kept.Dir)
	kept.Key = key
	o.reads.Add("the key of the cache", cacheKeyFile(w))
	text := ""
	switch who := foreignCache(kept.Dir); {
	case untrusted && err != nil:
		text = fmt.Sprintf("segments are made again, since you have no key: %v", err)
	case !untrusted && who != "":
		text = who + ", and could put other files into your images; pin the inputs with `mkbuild lock`, or use a cache of your own: --cache-dir DIR"
	}
	if text != "" {
		in.Sink.Event(ui.Event{Level: ui.Warning, Step: "fetch", Item: "cache", Text: text})
	}
}

// cacheDirEnv names the cache if --cache-dir does not.
const cacheDirEnv = "MKBUILD_CACHE_DIR"

// cacheDir is the cache's folder: from the flag, else the environment, else the system's default.
func cacheDir(w *world, flag string) (string, error) {
	if dir := cmp.Or(flag, w.getenv(cacheDirEnv)); dir != "" {
		if info, err := os.Stat(dir); err == nil && !info.IsDir() {
			return "", usage("use cache "+dir+": it is not a folder", "name a folder with --cache-dir DIR or "+cacheDirEnv)
		}
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", usage("find the cache folder: "+err.Error(), "name one with --cache-dir DIR or "+cacheDirEnv)
	}
	return filepath.Join(dir, "mkbuild"), nil
}

// resolve fetches the files of the lock, or without one those that the configuration selects. The command will
// write to places.
func (o *buildOptions) resolve(ctx context.Context, w *world, in inputs.Options, plan *inputs.Plan, places ...hostfile.Place) (*inputs.Resolved, error) {
	l, err := o.loadLock()
	if err == nil {
		err = o.allow(ctx, w, plan, l, places)
	}
	if err != nil {
		return nil, err
	}
	in.Lock, in.Strict = l, o.locked
	o.seal(w, in, l != nil)
	r, err := inputs.Lock(ctx, plan, in)
	if err == nil && l != nil && l.Config != r.Lock.Config {
		in.Sink.Event(ui.Event{Level: ui.Warning, Step: "lock", Item: l.File, Text: fmt.Sprintf(
			"it was made for another configuration: new inputs were fetched in their current version; `%s` updates the lock", l.Command)})
	}
	return r, err
}

// lockFlags name a command's lock, and say how strictly it applies.
type lockFlags struct {
	lockfile string
	locked   bool
}

func (o *buildOptions) addLockfileFlag(c *cobra.Command) {
	c.Flags().StringVar(&o.lockfile, "lockfile", "", "lock `file` (default mkbuild.lock next to the configuration)")
}

func (o *buildOptions) addLockFlags(c *cobra.Command) {
	o.addLockfileFlag(c)
	c.Flags().BoolVar(&o.locked, "locked", false, "fail if there is no lock, if it is of another configuration, or if an input differs from it")
}

// lockName is the path of the lock: from the flag, else next to the configuration.
func (o *buildOptions) lockName() string {
	if o.lockfile != "" {
		return o.lockfile
	}
	return filepath.Join(filepath.Dir(o.config), lock.FileName)
}

// loadLock reads the lock to build from. A missing lock is an error only with --locked.
func (o *buildOptions) loadLock() (*lock.Lock, error) {
	o.reads.Add("the lock", o.lockName())
	l, err := lock.Load(o.lockName(), o.lockCommand())
	if errors.Is(err, lock.ErrMissing) && !o.locked && o.lockfile == "" {
		return nil, nil //nolint:nilnil // no lock is a normal answer
	}
	return l, err
}

// lockCommand is the command that writes the lock for the same flags. Mirrors with a password are left out: the
// command is shown.
func (o *buildOptions) lockCommand() string {
	command := "mkbuild lock"
	add := func(flag, value string) {
		if strings.ContainsAny(value, " \t'\"$`\\") {
			value = strconv.Quote(value)
		}
		if value != "" {
			command += " " + flag + " " + value
		}
	}
	add("--config", o.config)
	add("--lockfile", o.lockfile)
	add("--release", o.release)
	add("--arch", o.arch)
	add("--edition", o.edition)
	add("--iso", o.iso)
	for _, m := range o.mirrors {
		if fetch.Shown(m) == m {
			add("--mirror", m)
		}
	}
	return command
}

// warnFirstUse names the files that are trusted on first use: from plain http, and not pinned by a lock.
func warnFirstUse(sink ui.Sink, names []string) {
	warnInsecure(sink, names, "trusted on first use: fetched over plain http, checked at most against the mirror's own md5: %s; `mkbuild lock` pins them by sha256")
}

// warnFirstLock names the files that a lock pins on first use.
func warnFirstLock(sink ui.Sink, names []string) {
	warnInsecure(sink, names, "locked on first use: fetched over plain http, checked at most against the mirror's own md5: %s; from now on their sha256 decides")
}

func warnInsecure(sink ui.Sink, names []string, text string) {
	if len(names) == 0 {
		return
	}
	const shown = 3
	list := strings.Join(names[:min(len(names), shown)], ", ")
	if more := len(names) - shown; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	sink.Event(ui.Event{Level: ui.Warning, Step: "fetch", Text: fmt.Sprintf(text, list)})
}
