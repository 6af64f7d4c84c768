package inputs

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"mkbuild/internal/config"
	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
	"mkbuild/internal/medium"
	"mkbuild/internal/tcz"
	"mkbuild/internal/ui"
)

// purpose is what inputs are gathered for.
type purpose int

const (
	forImage purpose = iota // what one image needs
	forLock                 // what images of every profile need
	forCheck                // the same, and it is no error if no mirror has something
)

// Gathering is inputs on their way: the source image is there, [Gathering.Finish] gets the rest.
type Gathering struct {
	// Medium is the source image, SHA256 its digest, and Kernel the release of its kernel.
	Medium *medium.Medium
	SHA256 string
	Kernel string

	options Options
	purpose purpose
	plan    *Plan    // what is gathered
	own     *Plan    // what the user asked for: one profile
	mirrors []Mirror // the plan's; the one that gave the ISO comes first
	pins    pins
	out     *Resolved
}

func newGathering(p *Plan, o Options, why purpose) (*Gathering, error) {
	g := &Gathering{options: o, purpose: why, plan: p, own: p, mirrors: p.Mirrors}
	if why != forImage {
		g.plan = p.forEveryProfile()
	}
	digest := lock.Digest(&p.Config)
	if why != forCheck {
		if err := g.pin(digest); err != nil {
			return nil, err
		}
	}
	g.out = &Resolved{
		Lock: &lock.Lock{Schema: lock.Schema, Config: digest, Release: p.Config.Release, Arch: p.Config.Arch},
		plan: g.plan, own: p, blobs: map[inputName]*fetch.Blob{}, contents: map[inputName]*content{}, gone: map[string]bool{},
	}
	if o.Lock != nil {
		g.out.Lock.Command = o.Lock.Command
	}
	return g, nil
}

// iso fetches the source image and reads what it boots.
func (g *Gathering) iso(ctx context.Context) error {
	blob, err := g.fetchISO(ctx)
	if g.missing(err, g.plan.ISO) {
		g.setKernel(g.options.Lock.Kernel)
		return nil
	}
	if err != nil {
		return err
	}
	m, err := medium.ReadISO(blob.Reader(), blob.Size, g.plan.ISO)
	if err == nil {
		err = m.Bootable()
	}
	if err != nil {
		return err
	}
	kernel, err := m.KernelRelease()
	if err != nil {
		return err
	}
	g.Medium, g.SHA256 = m, blob.SHA256
	g.setKernel(kernel)
	g.out.contents[inputName{lock.ISO, g.plan.ISO}] = &content{time: max(dated(m.ISO.Created), dated(m.ISO.Modified))}
	return nil
}

func (g *Gathering) setKernel(release string) { g.Kernel, g.out.Lock.Kernel = release, release }

// Finish gets everything but the source image. Archives and gems come from other servers than
// extensions, at the same time.
func (g *Gathering) Finish(ctx context.Context) (*Resolved, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	archives := make(chan error, 1)
	go func() { archives <- g.archives(ctx) }()
	err := g.extensions(ctx)
	defer g.options.step("fetch")()
	if err == nil {
		err = g.picks(ctx)
	}
	if err != nil {
		cancel()
	}
	if other := <-archives; err == nil {
		err = other
	}
	if err == nil {
		err = g.setSourceDate(ctx)
	}
	return g.out, err
}

// extensions gets those of the plan. A mirror without an ssh server is no reason not to lock a
// configuration that needs none.
func (g *Gathering) extensions(ctx context.Context) error {
	err := g.install(ctx, g.plan.Extensions)
	if !errors.Is(err, fetch.ErrNotFound) || len(g.own.Extensions) == len(g.plan.Extensions) {
		return err
	}
	if g.install(ctx, g.own.Extensions) != nil {
		return err
	}
	g.options.say(ui.Warning, "lock", "", err.Error()+": the lock is made without what the profiles dev and debug need")
	return nil
}

// install gets extensions and everything that they depend on.
func (g *Gathering) install(ctx context.Context, names []string) error {
	done := g.options.step("resolve")
	es, err := g.closure(ctx, names)
	done()
	if err != nil {
		return err
	}
	done = g.options.step("fetch")
	err = g.download(ctx, es)
	done()
	if err != nil {
		return err
	}
	for _, e := range es {
		g.out.Extensions = append(g.out.Extensions, e.File)
	}
	return nil
}

// picks gets the extensions that only single files are taken from.
func (g *Gathering) picks(ctx context.Context) error {
	for _, p := range g.plan.Config.Picks {
		file, err := g.fileName(p.Extension)
		if err != nil {
			return err
		}
		x, err := g.digest(ctx, file)
		if g.missing(err, file) {
			continue
		}
		if err != nil {
			return err
		}
		x.Item, x.why = tcz.Item{File: file}, []string{lock.WhyPick}
		if err := g.download(ctx, []*extension{x}); err != nil {
			return err
		}
	}
	return nil
}

// parallelDownloads is what public mirrors tolerate from one address.
const parallelDownloads = 4

// download gets the files of extensions.
func (g *Gathering) download(ctx context.Context, es []*extension) error {
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelDownloads)
	for _, e := range es {
		group.Go(func() error { return g.fetchTCZ(gctx, e) })
	}
	return group.Wait()
}

// archives gets RubyGems, MCollective and the gems.
func (g *Gathering) archives(ctx context.Context) error {
	c := &g.plan.Config
	if m := c.RubyGems; m != nil {
		if err := g.archive(ctx, lock.RubyGems, "rubygems-"+m.Version+".tgz", m.Sources(), m.SHA256); err != nil {
			return err
		}
	}
	if m := c.MCollective; m != nil {
		if err := g.archive(ctx, lock.MCollective, "mcollective-"+m.Version+".tgz", m.Sources(), m.SHA256); err != nil {
			return err
		}
	}
	for _, want := range c.Gems.Install {
		if err := g.gem(ctx, want); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gathering) gem(ctx context.Context, want config.Gem) error {
	name := gemFile(want)
	urls := []string(want.URL)
	if len(urls) == 0 {
		var err error
		if urls, err = inDirs(g.plan.Config.Gems.Source, name); err != nil {
			return err
		}
	}
	return g.archive(ctx, lock.Gem, name, urls, want.SHA256)
}

// archive gets a source archive or a gem. Upstream publishes no digest of these: sha256 is the user's
// own, if there is one. So the content is read before it may stay in the cache, unless a lock vouches
// for it.
func (g *Gathering) archive(ctx context.Context, kind, name string, urls []string, sha256 string) error {
	pinned, err := g.pinOf(kind, name)
	if err != nil {
		return err
	}
	if pinned != nil && sha256 != "" && !strings.EqualFold(sha256, pinned.SHA256) {
		pinned = nil // the user's own digest is younger than the lock
	}
	if urls, err = g.archiveURLs(name, urls, pinned != nil); err != nil {
		return err
	}
	b, err := g.get(ctx, pinned, fetch.Request{Name: name, URLs: urls, SHA256: sha256, Fresh: g.purpose != forImage, MaxSize: maxArchive, Check: fetch.RefuseHTML})
	if g.missing(err, name) {
		return nil
	}
	if err != nil {
		return err
	}
	in := lock.Input{Kind: kind, Name: name, Why: []string{lock.WhyConfig}}
	if pinned == nil || kind == lock.Gem && g.purpose == forImage { // gems are read while extensions come
		c, err := g.out.read(kind, name, b)
		if err != nil {
			b.Discard()
			return err
		}
		in.Licence = c.licence()
	} else {
		in.Licence = pinned.Licence
	}
	g.note(in, b, urls)
	return nil
}

// note adds a fetched file to the lock. A blob found by hash is recorded with the first URL that was
// asked for. A lock that is written anew keeps the URL of what was locked: the place of this time may
// be known to this machine alone.
func (g *Gathering) note(in lock.Input, b *fetch.Blob, urls []string) {
	in.URL, in.Size, in.SHA256 = cmp.Or(b.URL, fetch.Shown(urls[0])), b.Size, b.SHA256
	if path, ok := fetch.LocalPath(in.URL); ok {
		in.URL = path
	}
	if old := g.pins.lock.Find(in.Kind, in.Name); g.purpose == forLock && !g.pins.foreign && old != nil && old.SHA256 == b.SHA256 {
		in.URL = cmp.Or(old.URL, in.URL)
	}
	g.out.add(in, b)
}

// setSourceDate decides on the time of what is made of the inputs.
func (g *Gathering) setSourceDate(ctx context.Context) (err error) {
	l, old := g.out.Lock, g.pins.lock
	switch {
	case g.options.Epoch != nil:
		l.SourceDate = *g.options.Epoch
	case g.purpose == forCheck:
	case old != nil && !g.pins.foreign && (g.purpose == forImage || len(l.Compare(old)) == 0):
		l.SourceDate = old.SourceDate
	default:
		roots := slices.Clone(g.own.Extensions)
		for _, p := range g.own.Config.Picks {
			roots = append(roots, p.Extension)
		}
		l.SourceDate, err = g.out.newest(ctx, fileNames(roots, g.Kernel))
	}
	return err
}
