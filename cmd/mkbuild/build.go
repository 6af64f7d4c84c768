package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/inputs"
	"mkbuild/internal/inspect"
	"mkbuild/internal/lock"
	"mkbuild/internal/registry"
	"mkbuild/internal/remaster"
	"mkbuild/internal/ui"
)

// defaultConfig is read if it exists and --config is not given.
const defaultConfig = "mkbuild.yaml"

// buildOptions are the flags of the commands that build.
type buildOptions struct {
	release, arch, profile string
	edition, iso           string
	withSSH                bool
	config                 string
	mirrors                []string
	cacheDir               string
	cacheFrom, cacheTo     []string
	cache                  config.Cache    // the settings of flags and configuration
	shared                 *registry.Cache // made of it, nil for none
	offline, requireHTTPS  bool
	plainHTTP              bool // of registries
	imageVersion, append   string
	layout                 string // of a PXE folder
	output, progress       string
	timings                bool
	epoch                  string
	lockFlags
	reads hostfile.Reads // the command's inputs
	using []ui.Event     // the configuration in use, and its sources
	// wrap, if set, receives the build's reports.
	wrap func(ui.Sink) ui.Sink
}

// addFlags adds the flags of every command that makes an image.
func (o *buildOptions) addFlags(c *cobra.Command) {
	o.addInputFlags(c)
	o.addLockFlags(c)
	f := c.Flags()
	f.StringVar(&o.profile, "profile", "", "prod, dev or debug (default prod)")
	f.BoolVar(&o.withSSH, "with-openssh", false, "the same as --profile dev")
	f.StringVar(&o.imageVersion, "image-version", "", "version of the image (default 0.1.0)")
	f.BoolVar(&o.timings, "timings", false, "print how long each step took to stderr")
}

// addInputFlags adds the flags that select inputs and say how to fetch them.
func (o *buildOptions) addInputFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.release, "release", "", "Tiny Core Linux release (default 4.5.2)")
	f.StringVar(&o.arch, "arch", "", "architecture: x86 or x86_64 (default x86)")
	f.StringVar(&o.edition, "edition", "", "ISO of the release: Core, TinyCore, CorePlus, CorePure64 or TinyCorePure64 (default Core or CorePure64)")
	f.StringVar(&o.iso, "iso", "", "your own ISO `file` to build from, instead of a mirror's")
	f.StringVar(&o.epoch, "source-date-epoch", "", "time stamp of generated files, in `seconds` since 1970 (default $SOURCE_DATE_EPOCH, else the lock's, else the newest input's)")
	f.StringArrayVar(&o.cacheFrom, "cache-from", nil, "registry to take compressed segments from, `oci://HOST/REPOSITORY`; may be repeated")
	f.StringArrayVar(&o.cacheTo, "cache-to", nil, "registry to send compressed segments to, `oci://HOST/REPOSITORY`; may be repeated")
	o.addFetchFlags(c)
}

// addFetchFlags adds the flags that say where inputs come from.
func (o *buildOptions) addFetchFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.config, "config", "", "configuration `file` (default ./mkbuild.yaml if it exists)")
	f.StringArrayVar(&o.mirrors, "mirror", nil, "mirror to use instead of the configured ones: `URL|DIR`; may be repeated, tried in order")
	f.StringVar(&o.cacheDir, "cache-dir", "", "where downloads are kept (default $MKBUILD_CACHE_DIR, else your user cache folder)")
	f.BoolVar(&o.offline, "offline", false, "use only the cache and local mirrors")
	f.BoolVar(&o.requireHTTPS, "require-https", false, "refuse files from plain http, unless a lock pins them and the cache has them")
	f.BoolVar(&o.plainHTTP, "plain-http", false, "ask registries without TLS")
	f.StringVar(&o.progress, "progress", "auto", "progress on stderr: auto, plain, json or quiet")
}

// plan reads the configuration and puts the flags over it.
func (o *buildOptions) plan(cmd *cobra.Command) (*inputs.Plan, error) {
	flags := cmd.Flags()
	c, err := o.load(cmd.Context())
	if err != nil {
		return nil, err
	}
	if o.withSSH && flags.Changed("profile") && o.profile == "prod" {
		return nil, usage("--with-openssh and --profile prod cannot be combined", "a prod image has no way in: leave one of the two out")
	}
	if o.withSSH && !flags.Changed("profile") {
		o.profile = "dev"
	}
	for _, s := range []struct {
		flag string
		to   *string
		from string
	}{
		{"release", &c.Release, o.release}, {"arch", &c.Arch, o.arch}, {"image-version", &c.Image.Version, o.imageVersion},
		{"append", &c.Boot.Append, o.append}, {"layout", &c.PXE.Layout, o.layout},
	} {
		if flags.Changed(s.flag) {
			*s.to = s.from
		}
	}
	if o.profile != "" {
		c.Profile = o.profile
	}
	switch { // each replaces the other in the file
	case flags.Changed("edition"):
		c.Edition, c.ISO = o.edition, nil
	case flags.Changed("iso"):
		c.Edition, c.ISO = "", &config.ISO{URL: o.iso}
	}
	if len(o.mirrors) > 0 {
		c.Mirrors = o.mirrors
		o.using = append(o.using, notOfMirrors(&c)...)
	}
	o.cache = cacheOf(c.Cache, o.cacheFrom, o.cacheTo)
	p, err := inputs.NewPlan(c)
	if err == nil {
		err = inputs.CheckHost(&p.Config)
	}
	return p, ofFlag(err, flags)
}

// ofFlag names the flag in a mistake that its value has put into the configuration.
func ofFlag(err error, flags *pflag.FlagSet) error {
	for flag, key := range map[string]string{
		"release": "release", "arch": "arch", "edition": "edition", "profile": "profile", "image-version": "image.version",
		"iso": "iso", "append": "boot.append", "layout": "pxe.layout",
	} {
		what, found := strings.CutPrefix(fmt.Sprint(err), "config "+key+": ")
		if found && flags.Changed(flag) && fail.ClassOf(err) == fail.Usage {
			return usage("--"+flag+": "+what, fail.HintOf(err))
		}
	}
	return err
}

// load reads the configuration, which may be a pipe.
func (o *buildOptions) load(ctx context.Context) (config.Config, error) {
	name := o.config
	if name == "" {
		name = defaultConfig
	}
	o.reads.Add("the configuration", name)
	text, err := hostfile.ReadPiped(ctx, name, hostfile.MaxText)
	switch {
	case err == nil:
		o.using = []ui.Event{{Level: ui.Info, Step: "config", Text: name}}
		c, err := config.Parse(name, text)
		if home, herr := os.UserHomeDir(); err == nil && herr == nil {
			c.ExpandHome(home)
		}
		return c, err
	case o.config == "" && errors.Is(err, fs.ErrNotExist):
		o.using = []ui.Event{builtIn()}
		return config.Default(), nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return config.Config{}, fmt.Errorf("config: %w", err)
	}
	hint := cmp.Or(fail.HintOf(err), "check the name; `mkbuild init` writes a mkbuild.yaml")
	if info, serr := os.Stat(name); serr == nil && info.IsDir() {
		hint = "name the file in it: --config " + filepath.Join(name, defaultConfig)
	}
	return config.Config{}, &fail.Error{Class: fail.Usage, What: "config", Hint: hint, Err: err}
}

// builtIn says that the built-in configuration is in use, and warns of a file that was probably meant
// instead.
func builtIn() ui.Event {
	for _, near := range []string{"mkbuild.yml", "mkbuild.yaml.txt", "Mkbuild.yaml", "MKBUILD.YAML", ".mkbuild.yaml", "mkbuild.json", filepath.Join("..", defaultConfig)} {
		if info, err := os.Stat(near); err == nil && info.Mode().IsRegular() {
			return ui.Event{Level: ui.Warning, Step: "config", Text: "using the built-in defaults, not " + near + ": to use it, --config " + near}
		}
	}
	return ui.Event{Level: ui.Info, Step: "config", Text: "using the built-in defaults: no " + defaultConfig + " here"}
}

// notOfMirrors says what still comes over the network if all mirrors are folders: a mirror has only Tiny
// Core's files, and the configuration says where the others are.
func notOfMirrors(c *config.Config) []ui.Event {
	remote := func(u string) bool { return strings.Contains(u, "://") && !strings.HasPrefix(u, "file:") }
	var from []string
	c.EachFile(func(key, u string, isURL bool) {
		needed := key != "gems.source" || len(c.Gems.Install) > 0
		if isURL && needed && remote(u) && !slices.Contains(from, key) {
			from = append(from, key)
		}
	})
	if len(from) == 0 || slices.Contains(from, "mirrors") {
		return nil
	}
	next := "the mirror may have it in its folder archives"
	for _, m := range c.Mirrors {
		own := filepath.Join(strings.TrimPrefix(m, "file://"), defaultConfig)
		if _, err := os.Stat(own); err == nil {
			next = "this mirror has a configuration that names its own folders: --config " + own
		}
	}
	return []ui.Event{{Level: ui.Info, Step: "config", Text: "--mirror has only Tiny Core's files; the rest comes from the network, as the configuration says under " + strings.Join(from, ", ") + ": " + next}}
}

// withSink runs do with a progress display. The display ends before the command's own output.
func (o *buildOptions) withSink(w *world, do func(sink ui.Sink, stop func()) error) error {
	sink, stop, err := ui.New(o.progress, w.stderr, w.terminal)
	if err != nil {
		return err
	}
	defer stop()
	for _, e := range o.using {
		sink.Event(e)
	}
	if o.wrap != nil {
		sink = o.wrap(sink)
	}
	return do(sink, stop)
}

// collectLess delays garbage collection: a build in which nothing changed ends below the limit. The limit is
// soft: a build may use more. GOGC and GOMEMLIMIT, when set, are respected.
func collectLess(getenv func(string) string) {
	if getenv("GOGC") == "" && getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(400)
		debug.SetMemoryLimit(80 << 20)
	}
}

// build stages the plan and hands the result to write. The command writes to places.
func (o *buildOptions) build(ctx context.Context, w *world, plan *inputs.Plan, places []hostfile.Place, write func(*remaster.Builder, *remaster.Staged) error) error {
	collectLess(w.getenv)
	return o.withSink(w, func(sink ui.Sink, stop func()) error {
		b, err := o.builder(w, plan, sink)
		if err != nil {
			return err
		}
		if err := o.allow(ctx, w, plan, b.Inputs.Lock, places); err != nil {
			return err
		}
		timings := ui.NewTimings()
		b.Inputs.Step = timings.Start
		s, err := b.Stage(ctx, plan)
		if err != nil {
			return err
		}
		warnFirstUse(sink, b.Inputs.Fetch.FirstUse())
		if err := write(b, s); err != nil {
			return err
		}
		if err := o.offerInputs(ctx, b.Inputs.Fetch.Store, s); err != nil {
			return err
		}
		o.shared.End(ctx, 0)
		stop()
		switch {
		case o.timings && o.progress == "json":
			return timings.PrintJSON(w.stderr)
		case o.timings:
			return timings.Print(w.stderr)
		}
		return nil
	})
}

// allow refuses places that cannot be written, or that the command reads.
func (o *buildOptions) allow(ctx context.Context, w *world, plan *inputs.Plan, l *lock.Lock, places []hostfile.Place) error {
	plan.Reads(&o.reads, l)
	return o.allowPlaces(ctx, w, places)
}

// allowPlaces is allow for a command that reads no configuration.
func (o *buildOptions) allowPlaces(ctx context.Context, w *world, places []hostfile.Place) error {
	cache, err := cacheDir(w, o.cacheDir)
	if err != nil {
		return err
	}
	o.reads.AddStore("the cache", cache)
	for _, name := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR"} {
		o.reads.Add("what "+name+" names", w.getenv(name))
	}
	return o.reads.Allow(ctx, places...)
}

// builder returns the Builder of images.
func (o *buildOptions) builder(w *world, plan *inputs.Plan, sink ui.Sink) (*remaster.Builder, error) {
	b, err := o.unlocked(w, plan, sink)
	if err != nil {
		return nil, err
	}
	b.Inputs.Lock, err = o.loadLock()
	b.Inputs.Strict = o.locked
	b.Inputs.Fetch.Store.Pinned = b.Inputs.Lock.Pin
	b.Inputs.Fetch.TrustIndex = b.Inputs.Lock == nil
	o.seal(w, b.Inputs, b.Inputs.Lock != nil)
	return b, err
}

// unlocked returns the Builder without the lock's part.
func (o *buildOptions) unlocked(w *world, plan *inputs.Plan, sink ui.Sink) (*remaster.Builder, error) {
	in, err := o.inputOptions(w, sink)
	if err != nil {
		return nil, err
	}
	b := &remaster.Builder{
		Inputs: in, Secrets: config.Sources{ReadFile: readSecret, Getenv: w.getenv}, Client: w.client, Version: versionText(), Judge: inspect.Judge,
	}
	home, _ := os.UserHomeDir() // without it there are no keys
	if plan.Config.HasSSH() && home != "" {
		o.reads.Add("the folder of your keys", filepath.Join(home, ".ssh"))
	}
	b.Keys, err = inputs.AuthorizedKeys(&plan.Config, home, sink)
	return b, err
}

// maxSecret bounds a file that {file: …} names in the configuration, in bytes.
const maxSecret = 64 << 10

func readSecret(name string) ([]byte, error) { return hostfile.Read(name, maxSecret) }

// sourceDate returns the time that the user gave, if any
// (https://reproducible-builds.org/specs/source-date-epoch/).
func (o *buildOptions) sourceDate(w *world) (*int64, error) {
	text, from := o.epoch, "--source-date-epoch"
	if text == "" {
		text, from = w.getenv("SOURCE_DATE_EPOCH"), "SOURCE_DATE_EPOCH"
	}
	if text == "" {
		return nil, nil //nolint:nilnil // no time given is a normal answer
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return nil, usage(fmt.Sprintf("%s: %q is not a number of seconds up to 4294967295", from, text), "for example: --source-date-epoch 1700000000")
	}
	v := int64(n)
	return &v, nil
}
