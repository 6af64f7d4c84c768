package remaster

import (
	"context"
	"errors"
	"io"
	"slices"

	"mkbuild/internal/config"
	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
	"mkbuild/internal/medium"
	"mkbuild/internal/tcz"
)

// Resolved is everything that images of one configuration are made of, for every profile, with the
// files at hand.
type Resolved struct {
	Lock  *lock.Lock
	blobs map[[2]string]*fetch.Blob
}

// Blob returns the content of one of the lock's inputs.
func (r *Resolved) Blob(in lock.Input) *fetch.Blob { return r.blobs[[2]string{in.Kind, in.Name}] }

// resolver is a resolution under way.
type resolver struct {
	*Builder
	src *sources
	// own is the user's plan, all the one that has what every profile needs.
	own, all *Plan
	kernel   string
}

// Resolve fetches everything that images of the plan's configuration are made of, whatever the
// profile. What the builder's lock has stays as it is locked; what it has not is looked up upstream,
// and what it has too much is dropped. Other bytes than the locked ones are a [*lock.DriftError].
func (b *Builder) Resolve(ctx context.Context, p *Plan) (*Resolved, error) {
	ps, err := newPins(b.Lock, b.Strict, p)
	if err != nil {
		return nil, err
	}
	r, err := b.resolver(p, ps)
	if err != nil {
		return nil, err
	}
	return r.resolve(ctx)
}

// Check resolves the plan without the builder's lock and returns what is not as the lock says:
// upstream, or in the configuration. It is an error if that cannot be found out.
func (b *Builder) Check(ctx context.Context, p *Plan) ([]*lock.DriftError, error) {
	r, err := b.resolver(p, pins{})
	if err != nil {
		return nil, err
	}
	r.src.gone = map[string]bool{}
	r.kernel = b.Lock.Kernel
	now, err := r.resolve(ctx)
	if err != nil {
		return nil, err
	}
	drifts := now.Lock.Compare(b.Lock)
	for _, d := range drifts {
		d.Command = b.Lock.Command
		if r.src.gone[d.Input] {
			d.Got = "on no mirror"
		}
	}
	return drifts, nil
}

func (b *Builder) resolver(p *Plan, ps pins) (*resolver, error) {
	c := p.Config
	c.Profile = "dev" // debug needs no more
	all, err := New(c)
	if err != nil {
		return nil, err
	}
	src := &sources{client: b.Fetch, plan: all, pins: ps, blobs: map[[2]string]*fetch.Blob{}, resolving: true}
	return &resolver{Builder: b, src: src, own: p, all: all}, nil
}

func (r *resolver) resolve(ctx context.Context) (*Resolved, error) {
	for _, do := range []func(context.Context) error{r.iso, r.extensions, r.picks, r.archives, r.gems} {
		if err := do(ctx); err != nil {
			return nil, err
		}
	}
	c := &r.own.Config
	l := &lock.Lock{Schema: lock.Schema, Config: lock.Digest(c), Release: c.Release, Arch: c.Arch, Kernel: r.src.kernel, Inputs: r.src.inputs.Inputs}
	if r.Lock != nil {
		l.Command = r.Lock.Command
	}
	out := &Resolved{l, r.src.blobs}
	var err error
	l.SourceDate, err = r.date(ctx, out)
	return out, err
}

// iso fetches the source image and learns its kernel's release.
func (r *resolver) iso(ctx context.Context) error {
	blob, err := r.src.iso(ctx)
	if errors.Is(err, fetch.ErrNotFound) && r.src.gone != nil {
		r.src.gone[r.all.ISO] = true
		r.src.kernel, r.src.dirs = r.kernel, unique(r.all.TCZDirs)
		return nil
	}
	if err != nil {
		return err
	}
	if l := r.src.pins.lock; !r.src.pins.foreign && l.Find(lock.ISO, r.all.ISO) != nil {
		r.src.kernel = l.Kernel
		return nil
	}
	_, r.src.kernel, err = openSource(blob.Reader(), blob.Size, r.all.ISO)
	return err
}

// openSource reads an ISO that has to boot a kernel with an initrd, and its kernel's release.
func openSource(r io.ReaderAt, size int64, name string) (*medium.Medium, string, error) {
	m, err := medium.ReadISO(r, size, name)
	if err == nil {
		err = m.Bootable()
	}
	if err != nil {
		return nil, "", err
	}
	kernel, err := m.KernelRelease()
	return m, kernel, err
}

// extensions fetches the closure of every profile. A mirror that has no ssh server is no reason
// not to lock a configuration that needs none.
func (r *resolver) extensions(ctx context.Context) error {
	err := r.closure(ctx, r.all.Extensions)
	d, missing := errors.AsType[*DependencyError](err)
	if !missing || r.own.Config.HasSSH() || len(r.own.Extensions) == len(r.all.Extensions) || !r.forDev(d) {
		return err
	}
	r.src.warn(d.File, "no mirror has it"+d.asked()+": the lock is made without what the profiles dev and debug need")
	return r.closure(ctx, r.own.Extensions)
}

// forDev reports whether an extension was asked for by the profile alone.
func (r *resolver) forDev(d *DependencyError) bool {
	root := slices.Concat(d.Chain, []string{d.File})[0]
	for _, e := range r.own.Extensions {
		if file, err := tcz.FileName(e, r.src.kernel); err == nil && file == root {
			return false
		}
	}
	return true
}

func (r *resolver) closure(ctx context.Context, roots []string) error {
	es, err := r.src.closure(ctx, roots, r.src.kernel)
	if err != nil {
		return err
	}
	return r.src.download(ctx, es)
}

func (r *resolver) picks(ctx context.Context) error {
	for _, p := range r.all.Config.Picks {
		if _, err := r.src.picked(ctx, p.Extension); r.serious(err, p.Extension+tcz.Suffix) != nil {
			return err
		}
	}
	return nil
}

// serious drops the error of a file that exists no more, where only that is to be found out.
func (r *resolver) serious(err error, name string) error {
	if errors.Is(err, fetch.ErrNotFound) && r.src.gone != nil {
		r.src.gone[name] = true
		return nil
	}
	return err
}

func (r *resolver) archives(ctx context.Context) error {
	c := &r.all.Config
	if m := c.RubyGems; m != nil {
		if err := r.archive(ctx, lock.RubyGems, "rubygems-"+m.Version+".tgz", m.Sources(), m.SHA256); err != nil {
			return err
		}
	}
	if m := c.MCollective; m != nil {
		return r.archive(ctx, lock.MCollective, "mcollective-"+m.Version+".tgz", m.Sources(), m.SHA256)
	}
	return nil
}

// archive fetches a source archive and looks whether it is one: no digest of upstream's says so.
func (r *resolver) archive(ctx context.Context, kind, name string, urls []string, sha256 string) error {
	blob, err := r.src.archive(ctx, kind, name, urls, sha256)
	if err != nil {
		return r.serious(err, name)
	}
	if r.src.pins.lock.Find(kind, name) != nil {
		return nil
	}
	if _, err := readArchive(blob, name); err != nil {
		blob.Discard()
		return err
	}
	return nil
}

func (r *resolver) gems(ctx context.Context) error {
	for _, want := range r.all.Config.Gems.Install {
		if err := r.gem(ctx, want); err != nil {
			return err
		}
	}
	return nil
}

func (r *resolver) gem(ctx context.Context, want config.Gem) error {
	name := gemFile(want)
	blob, err := r.src.gem(ctx, want)
	if err != nil {
		return r.serious(err, name)
	}
	if in := r.src.pins.lock.Find(lock.Gem, name); in != nil {
		r.src.inputs.Add(lock.Input{Kind: lock.Gem, Name: name, Licence: in.Licence})
		return nil
	}
	g, err := readGem(blob, want)
	if err != nil {
		blob.Discard()
		return err
	}
	r.src.inputs.Add(lock.Input{Kind: lock.Gem, Name: name, Licence: licence(g)})
	return nil
}
