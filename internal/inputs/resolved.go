package inputs

import (
	"context"
	"strings"
	"sync"

	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
	"mkbuild/internal/overlay"
	"mkbuild/internal/rubygems"
	"mkbuild/internal/tcz"
)

// Resolved holds the inputs of images.
type Resolved struct {
	// Lock lists the inputs, with the kernel's release and the source date.
	Lock *lock.Lock
	// Extensions are the file names of the extensions installed whole, in load order.
	Extensions []string
	// LeftOut are the configured entries without an alternative on any mirror.
	LeftOut []string

	plan     *Plan
	adding   sync.Mutex // inputs come side by side
	blobs    map[inputName]*fetch.Blob
	contents map[inputName]*content
	gone     map[string]bool // inputs that no mirror has, see [Check]
}

func newResolved(p *Plan) *Resolved {
	c := &p.Config
	return &Resolved{
		Lock: &lock.Lock{Schema: lock.Schema, Config: lock.Digest(c), Release: c.Release, Arch: c.Arch},
		plan: p, blobs: map[inputName]*fetch.Blob{}, contents: map[inputName]*content{}, gone: map[string]bool{},
	}
}

// inputName identifies an input of a lock.
type inputName struct{ kind, name string }

// content is an input that was read: a tree or a gem, and its own time.
type content struct {
	tree *overlay.Tree
	gem  *rubygems.Gem
	time int64
}

// add adds an input.
func (r *Resolved) add(in lock.Input, b *fetch.Blob) {
	r.adding.Lock()
	defer r.adding.Unlock()
	r.Lock.Add(in)
	r.blobs[inputName{in.Kind, in.Name}] = b
}

// lacks records that no mirror has an input.
func (r *Resolved) lacks(name string) {
	r.adding.Lock()
	defer r.adding.Unlock()
	r.gone[name] = true
}

// Plan returns the plan after the Ruby's decisions on RubyGems, gems and MCollective.
func (r *Resolved) Plan() *Plan { return r.plan }

// Blob returns the file of an input, or nil.
func (r *Resolved) Blob(kind, name string) *fetch.Blob { return r.blobs[inputName{kind, name}] }

// Archive returns the input of a kind that has at most one: RubyGems, MCollective.
func (r *Resolved) Archive(kind string) *lock.Input {
	for i := range r.Lock.Inputs {
		if r.Lock.Inputs[i].Kind == kind {
			return &r.Lock.Inputs[i]
		}
	}
	return nil
}

// Tree returns the files in an extension, or in a source archive without its top folder. Callers share the
// result.
func (r *Resolved) Tree(kind, name string) (*overlay.Tree, error) {
	c, err := r.read(kind, name, r.Blob(kind, name))
	if err != nil {
		return nil, err
	}
	return c.tree, nil
}

// Gems returns the gems in the order of the configuration.
func (r *Resolved) Gems() ([]*rubygems.Gem, error) {
	var out []*rubygems.Gem
	for _, want := range r.plan.Config.Gems.Install {
		name := gemFile(want)
		c, err := r.read(lock.Gem, name, r.Blob(lock.Gem, name))
		if err != nil {
			return nil, err
		}
		out = append(out, c.gem)
	}
	return out, nil
}

// read reads an input once. It turns a parser's panic into an error of the file.
func (r *Resolved) read(kind, name string, blob *fetch.Blob) (c *content, err error) {
	defer fail.Recover(name, &err)
	key := inputName{kind, name}
	r.adding.Lock()
	c = r.contents[key]
	r.adding.Unlock()
	if c != nil {
		return c, nil
	}
	switch kind {
	case lock.TCZ:
		c, err = readTCZ(blob, name)
	case lock.Gem:
		c, err = r.readGem(blob, name)
	default:
		c, err = readArchive(blob, name)
	}
	if err == nil {
		r.adding.Lock()
		r.contents[key] = c
		r.adding.Unlock()
	}
	return c, err
}

func readTCZ(blob *fetch.Blob, name string) (*content, error) {
	t, packed, err := tcz.ReadTree(blob.Reader(), blob.Size, name)
	if err != nil {
		return nil, err
	}
	for _, e := range t.Entries() {
		if e.IsRegular() {
			e.ID = blob.SHA256 + "/" + e.Path
		}
	}
	return &content{tree: t, time: packed}, nil
}

func (r *Resolved) readGem(blob *fetch.Blob, name string) (*content, error) {
	g, err := rubygems.ReadGem(blob.Reader(), name)
	if err != nil {
		return nil, err
	}
	for _, want := range r.plan.Config.Gems.Install {
		if gemFile(want) == name {
			err = g.Match(want.Name, want.Version)
		}
	}
	return &content{gem: g, time: g.MTime}, err
}

func readArchive(blob *fetch.Blob, name string) (*content, error) {
	t, err := overlay.ReadTar(blob.Reader(), name, overlay.Limits{})
	if err != nil {
		return nil, err
	}
	if t, err = t.StripTop(); err != nil {
		return nil, err
	}
	c := &content{tree: t}
	for _, e := range t.Entries() {
		c.time = max(c.time, possible(e.MTime))
	}
	return c, nil
}

// possible returns a time, or 0 if cpio and ISO 9660 cannot hold it: some clock was wrong.
func possible(t int64) int64 {
	const last = 1<<32 - 1
	if t > last {
		return 0
	}
	return t
}

// licence returns a gem's licence.
func (c *content) licence() string {
	if c.gem == nil {
		return ""
	}
	return tcz.OneLine(strings.Join(c.gem.Metadata.Licenses, ", "))
}

// newest returns the time of the newest input in the user's plan, given the extensions that it begins with.
func (r *Resolved) newest(ctx context.Context, roots []string) (int64, error) {
	var newest int64
	own := r.Lock.Closure(roots)
	for i := range r.Lock.Inputs {
		in := &r.Lock.Inputs[i]
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if in.Kind == lock.TCZ && !own[in] {
			continue
		}
		c, err := r.read(in.Kind, in.Name, r.Blob(in.Kind, in.Name))
		if err != nil {
			return 0, err
		}
		newest = max(newest, possible(c.time))
	}
	return newest, nil
}
