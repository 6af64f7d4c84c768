// Package inputs turns a configuration, and a lock if there is one, into the inputs of images. The result is one
// value, [Resolved]: a lock, and the content of each of its inputs.
//
// Only this package and lower ones know mirrors, the small files next to an extension (.dep, .md5.txt, .info) and
// the pins of a lock. It only gathers inputs; remaster makes images of them.
//
// Start reading at [Begin], which gets the inputs of one image, and [Lock], which gets those of every profile.
// extensions.go follows dependencies, source.go compares mirrors with the lock and chooses what to fetch, and
// lookup.go asks mirrors, and handles their quirks.
package inputs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/rubygems"
	"mkbuild/internal/ui"
)

// Begin fetches the source image of a plan, so that it can be checked before the other downloads.
func Begin(ctx context.Context, p *Plan, o Options) (*Gathering, error) {
	return begin(ctx, p, o, forImage)
}

// Lock fetches every input of the plan's configuration, for all profiles. Inputs in the options' lock stay as
// locked, new ones are looked up, and unused ones are dropped. An input with other bytes than the locked ones is
// a [*lock.DriftError].
func Lock(ctx context.Context, p *Plan, o Options) (*Resolved, error) {
	g, err := begin(ctx, p, o, forLock)
	if err != nil {
		return nil, err
	}
	return g.Finish(ctx)
}

// Check resolves the plan without the options' lock and returns the differences from it, upstream or in the
// configuration. It fails if the plan cannot be resolved.
func Check(ctx context.Context, p *Plan, o Options) ([]*lock.DriftError, error) {
	g, err := begin(ctx, p, o, forCheck)
	if err != nil {
		return nil, err
	}
	now, err := g.Finish(ctx)
	if err != nil {
		return nil, err
	}
	drifts := now.Lock.DriftFrom(o.Lock)
	for _, d := range drifts {
		if now.gone[d.Input] {
			d.Got = "on no mirror"
		}
	}
	return drifts, nil
}

// Gathering has the source image of a plan; [Gathering.Finish] gets the other inputs.
type Gathering struct {
	// Medium is the source image, SHA256 its digest, and Kernel the release of its kernel.
	Medium *medium.Medium
	SHA256 string
	Kernel string

	plan *Plan // the inputs so far
	own  *Plan // the user's plan: one profile
	src  *source
	out  *Resolved

	chosen map[string]string    // the file of each entry of the extensions, see choose
	asked  map[string][2]string // the md5 of chosen alternatives, and its folder
}

func begin(ctx context.Context, p *Plan, o Options, why purpose) (*Gathering, error) {
	src, err := newSource(p, o, why)
	if err != nil {
		return nil, err
	}
	own := *p // the image's Ruby changes it
	g := &Gathering{plan: &own, own: &own, src: src, out: newResolved(&own), chosen: map[string]string{}, asked: map[string][2]string{}}
	if why != forImage {
		g.plan = p.forEveryProfile()
	}
	if o.Lock != nil {
		g.out.Lock.Command = o.Lock.Command
	}
	return g, g.iso(ctx)
}

// iso fetches the source image and reads its boot entries.
func (g *Gathering) iso(ctx context.Context) error {
	blob, err := g.fetchISO(ctx)
	if g.missing(err, g.plan.ISO) {
		g.setKernel(g.src.Lock.Kernel)
		return nil
	}
	if err != nil {
		return err
	}
	m, err := g.readISO(blob)
	if err != nil {
		return err
	}
	kernel, err := m.KernelRelease()
	if err != nil {
		return err
	}
	g.Medium, g.SHA256 = m, blob.SHA256
	g.setKernel(kernel)
	g.out.contents[inputName{lock.ISO, g.plan.ISO}] = &content{time: max(possible(m.ISO.Created), possible(m.ISO.Modified))}
	return nil
}

// readISO reads what the source image boots. Errors about the user's own ISO show its place, not the name that it
// gets in locks and mirrors.
func (g *Gathering) readISO(blob *fetch.Blob) (*medium.Medium, error) {
	shown, own := g.plan.ISO, g.plan.Config.ISO
	if own != nil {
		shown = fetch.Shown(own.URL)
	}
	m, err := medium.ReadISO(blob.Reader(), blob.Size, shown)
	if err == nil {
		m.Name = g.plan.ISO
		err = m.Bootable()
	}
	if err != nil && own != nil {
		return nil, fail.Wrap(fail.ClassOf(err), err, isoHint)
	}
	return m, err
}

const isoHint = "name a Tiny Core ISO: --iso FILE, or `iso` in mkbuild.yaml"

func (g *Gathering) setKernel(release string) { g.Kernel, g.out.Lock.Kernel = release, release }

// fetchISO fetches the source image and prefers its mirror from then on: another mirror may have older or newer
// extensions.
func (g *Gathering) fetchISO(ctx context.Context) (*fetch.Blob, error) {
	name := g.plan.ISO
	if own := g.plan.Config.ISO; own != nil {
		b, _, urls, err := g.undescribed(ctx, fetch.Request{Name: name, URLs: []string{own.URL}, SHA256: own.SHA256, MaxSize: maxISO}, lock.ISO)
		switch {
		case err == nil:
			g.note(lock.Input{Kind: lock.ISO, Name: name, Why: []string{lock.WhyConfig}}, b, urls)
		case errors.Is(err, fetch.ErrNotFound) && g.src.purpose != forCheck:
			err = fail.Wrap(fail.Network, err, isoHint)
			if _, local := fetch.LocalPath(own.URL); local {
				err = fail.New(fail.Usage, "read "+fetch.Shown(own.URL)+": no such file or directory", isoHint)
			}
		}
		return b, err
	}
	pinned, err := g.src.pinOf(lock.ISO, name)
	if err != nil {
		return nil, err
	}
	dirs := g.src.isoDirs()
	dir := dirs[0]
	r := fetch.Request{Name: name, MaxSize: maxISO, Check: fetch.RefuseHTML}
	if pinned != nil {
		r.MD5 = pinned.MD5
	} else if r.MD5, dir, err = g.src.sum(ctx, dirs, name); errors.Is(err, fetch.ErrNotFound) {
		return nil, g.src.noRelease(ctx, g.plan, err)
	}
	if err != nil {
		return nil, err
	}
	b, dir, err := g.src.file(ctx, pinned, dir, dirs, &r)
	if err != nil {
		return nil, err
	}
	g.src.prefer(dir)
	g.note(lock.Input{Kind: lock.ISO, Name: name, MD5: r.MD5, Why: []string{lock.WhyConfig}}, b, r.URLs)
	return b, nil
}

// Finish gets every input but the source image. The Ruby among the extensions decides which archives and gems
// fit.
func (g *Gathering) Finish(ctx context.Context) (*Resolved, error) {
	for _, part := range []func(context.Context) error{g.extensions, g.checkModules, g.ruby, g.archives, g.setSourceDate} {
		if err := part(ctx); err != nil {
			return g.out, err
		}
	}
	return g.out, nil
}

// ruby fits the plan to the Ruby of the image.
func (g *Gathering) ruby(context.Context) error {
	release, err := g.rubyRelease()
	if err != nil {
		return err
	}
	c, own := &g.plan.Config, &g.own.Config
	if release == "" && g.src.purpose == forCheck { // for the same Ruby, without gems and archives
		c.RubyGems, c.Gems.Install, c.MCollective = nil, nil, nil
		for _, in := range g.src.Lock.Inputs {
			if in.Kind != lock.ISO && in.Kind != lock.TCZ {
				g.out.Lock.Add(in)
			}
		}
		return nil
	}
	changed, err := followRuby(c, release)
	if err != nil {
		return err
	}
	own.RubyGems, own.Gems, own.MCollective = c.RubyGems, c.Gems, c.MCollective
	switch {
	case len(changed) == 0:
	case release == "":
		g.src.say(ui.Warning, "ruby", g.plan.ISO, "the image has no Ruby: "+strings.Join(changed, ", ")+"; mk-client reports only the facts that it collects itself (for Facter's, add a Ruby to `extensions` in mkbuild.yaml)")
	default:
		g.src.say(ui.Info, "ruby", release, "defaults of this Ruby: "+strings.Join(changed, "; "))
	}
	return nil
}

// rubyRelease returns the release of the Ruby among the extensions or in the source image; "" without one.
func (g *Gathering) rubyRelease() (string, error) {
	all := overlay.NewLayers(&overlay.Tree{})
	for _, file := range g.out.Extensions {
		if g.out.Blob(lock.TCZ, file) == nil {
			continue // a check found it gone
		}
		t, err := g.out.Tree(lock.TCZ, file)
		if err == nil {
			_, err = all.AddFirstWins(t)
		}
		if err != nil {
			return "", fmt.Errorf("find ruby in %s: %w", file, err)
		}
	}
	ruby, err := rubygems.FindRuby(all.Merged())
	if errors.Is(err, rubygems.ErrNoRbconfig) && g.Medium != nil {
		base, berr := g.Medium.Tree()
		if berr != nil {
			return "", berr
		}
		ruby, err = rubygems.FindRuby(base)
	}
	switch {
	case err == nil:
	case errors.Is(err, rubygems.ErrNoRbconfig), !wantsRuby(&g.plan.Config):
		return "", nil
	default:
		return "", fail.Wrap(fail.Usage, err, rubyHint)
	}
	return ruby.Release, nil
}

// archive is a wanted source archive or gem.
type archive struct {
	kind, name string
	urls       []string
	sha256     string // the user's own, if there is one
}

// archives gets RubyGems, MCollective and the gems. Each is read while the next ones are downloaded.
func (g *Gathering) archives(ctx context.Context) error {
	defer g.src.step("fetch")()
	wanted, err := g.wantedArchives()
	if err != nil {
		return err
	}
	errs := make([]error, len(wanted))
	var readers sync.WaitGroup
	for n, a := range wanted {
		var read func() error
		if read, errs[n] = g.archive(ctx, a); errs[n] != nil {
			break
		}
		readers.Go(func() { errs[n] = read() })
	}
	readers.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (g *Gathering) wantedArchives() ([]archive, error) {
	c := &g.plan.Config
	var out []archive
	if m := c.RubyGems; m != nil {
		out = append(out, archive{lock.RubyGems, "rubygems-" + m.Version + ".tgz", m.Sources(), m.SHA256})
	}
	if m := c.MCollective; m != nil {
		out = append(out, archive{lock.MCollective, "mcollective-" + m.Version + ".tgz", m.Sources(), m.SHA256})
	}
	for _, want := range c.Gems.Install {
		urls := []string(want.URL)
		if len(urls) == 0 {
			var err error
			if urls, err = inDirs(c.Gems.Source, gemFile(want)); err != nil {
				return nil, err
			}
		}
		out = append(out, archive{lock.Gem, gemFile(want), urls, want.SHA256})
	}
	return out, nil
}

// archive gets one archive, and returns a function that reads it and adds it to the lock. The content is read
// before it may stay in the cache, unless a lock pins it.
func (g *Gathering) archive(ctx context.Context, a archive) (read func() error, err error) {
	b, pinned, urls, err := g.undescribed(ctx, fetch.Request{Name: a.name, URLs: a.urls, SHA256: a.sha256, MaxSize: maxArchive}, a.kind)
	if g.missing(err, a.name) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	in := lock.Input{Kind: a.kind, Name: a.name, Why: []string{lock.WhyConfig}}
	return func() error {
		if pinned == nil || a.kind == lock.Gem && g.src.purpose == forImage { // an image unpacks all gems
			c, err := g.out.read(a.kind, a.name, b)
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
	}, nil
}

// undescribed gets a file without a published digest. The SHA-256 of r, if any, is the user's own. It returns the
// file, its pin, and the URLs that were asked.
func (g *Gathering) undescribed(ctx context.Context, r fetch.Request, kind string) (*fetch.Blob, *lock.Input, []string, error) {
	pinned, err := g.src.pinOf(kind, r.Name)
	if err != nil {
		return nil, nil, nil, err
	}
	if pinned != nil && r.SHA256 != "" && !strings.EqualFold(r.SHA256, pinned.SHA256) {
		pinned = nil // the user's own digest is newer than the lock
	}
	if kind != lock.ISO || pinned != nil { // an ISO has one place, unless a lock pins its bytes
		if r.URLs, err = g.src.archiveURLs(r.Name, r.URLs, pinned != nil); err != nil {
			return nil, nil, nil, err
		}
	}
	r.Fresh, r.Check = g.src.purpose != forImage, fetch.RefuseHTML
	b, err := g.src.get(ctx, pinned, r)
	return b, pinned, r.URLs, err
}

// note adds a fetched file to the lock. A blob found by hash is recorded with the first URL that was asked for. A
// rewritten lock keeps the URL of a locked input: the current one may exist only on this machine.
func (g *Gathering) note(in lock.Input, b *fetch.Blob, urls []string) {
	in.URL, in.Size, in.SHA256 = cmp.Or(b.URL, fetch.Shown(urls[0])), b.Size, b.SHA256
	if path, ok := fetch.LocalPath(in.URL); ok {
		in.URL = path
	}
	if old := g.src.pins.Find(in.Kind, in.Name); g.src.purpose == forLock && !g.src.foreign && old != nil && old.SHA256 == b.SHA256 {
		in.URL = cmp.Or(old.URL, in.URL)
	}
	g.out.add(in, b)
}

// missing reports whether an error only says that no mirror has a file. For a [Check] it records that; otherwise
// it returns false.
func (g *Gathering) missing(err error, name string) bool {
	if g.src.purpose != forCheck || !errors.Is(err, fetch.ErrNotFound) {
		return false
	}
	g.out.lacks(name)
	return true
}

// setSourceDate sets the time stamp of generated files.
func (g *Gathering) setSourceDate(ctx context.Context) (err error) {
	l, old := g.out.Lock, g.src.pins
	switch {
	case g.src.Epoch != nil:
		l.SourceDate = *g.src.Epoch
	case g.src.purpose == forCheck:
	case old != nil && !g.src.foreign && (g.src.purpose == forImage || len(l.DriftFrom(old)) == 0):
		l.SourceDate = old.SourceDate
	default:
		var roots []string
		for _, p := range g.own.Config.Picks {
			roots = append(roots, p.Extension)
		}
		roots = fileNames(roots, g.Kernel)
		for _, entry := range g.own.Extensions {
			roots = append(roots, g.chosen[entry])
		}
		l.SourceDate, err = g.out.newest(ctx, roots)
	}
	return err
}
