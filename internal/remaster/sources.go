package remaster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
	"mkbuild/internal/tcz"
	"mkbuild/internal/ui"
)

// Sizes that no real file of the kind comes near; what is larger is refused unread.
const (
	maxISO     = 2 << 30
	maxTCZ     = 1 << 30
	maxArchive = 256 << 20
	maxIndex   = 1 << 20
)

// sources fetches a plan's inputs.
type sources struct {
	client *fetch.Client
	plan   *Plan
	// dirs are the mirrors' extension folders; the one that gave the ISO comes first.
	dirs []string
	// kernel is the release of the ISO's kernel, once that is known.
	kernel string
	// inputs are what was fetched, blobs its content by kind and name; noting guards both.
	noting sync.Mutex
	inputs lock.Lock
	blobs  map[[2]string]*fetch.Blob
	pins   pins
	// resolving says that a lock is made or checked, not an image.
	resolving bool
	// gone, where set, takes the names of what no mirror has, which then is no error.
	gone map[string]bool
}

// index fetches a small text file that may have changed since it was cached.
func (s *sources) index(ctx context.Context, r fetch.Request) (*fetch.Blob, []byte, error) {
	r.Fresh, r.MaxSize = true, maxIndex
	b, err := s.client.Get(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	text, err := b.ReadAll(maxIndex)
	return b, text, err
}

// sum fetches name.md5.txt and returns the digest in it and which of dirs it came from.
func (s *sources) sum(ctx context.Context, dirs []string, name string) (md5 string, dir int, err error) {
	urls, err := inDirs(dirs, name+".md5.txt")
	if err != nil {
		return "", 0, err
	}
	asked := unique(urls)
	b, text, err := s.index(ctx, fetch.Request{Name: name + ".md5.txt", URLs: asked, Check: checkMD5(name)})
	if err != nil {
		return "", 0, err
	}
	md5, err = tcz.ParseMD5(text, name)
	if err != nil {
		return "", 0, fmt.Errorf("read %s: %w", b.URL, err)
	}
	return md5, slices.Index(urls, asked[max(b.Source, 0)]), nil
}

// iso fetches the source image and prefers its mirror from then on.
func (s *sources) iso(ctx context.Context) (*fetch.Blob, error) {
	r := fetch.Request{Name: s.plan.ISO, MaxSize: maxISO, Check: fetch.RefuseHTML}
	in, err := s.pin(lock.ISO, s.plan.ISO)
	if err != nil {
		return nil, err
	}
	first := 0
	if in != nil {
		r.MD5 = in.MD5
	} else if r.MD5, first, err = s.sum(ctx, s.plan.ISODirs, s.plan.ISO); errors.Is(err, fetch.ErrNotFound) {
		return nil, s.noRelease(ctx, err)
	}
	if err != nil {
		return nil, err
	}
	s.dirs = preferred(s.plan.TCZDirs[first/2], s.plan.TCZDirs)
	if r.URLs, err = inDirs(preferred(s.plan.ISODirs[first], s.plan.ISODirs), s.plan.ISO); err != nil {
		return nil, err
	}
	b, err := s.get(ctx, in, r)
	if in == nil && lied(err) {
		if other, i := s.elsewhere(ctx, s.plan.ISODirs, &r); other != nil {
			b, err, s.dirs = other, nil, preferred(s.plan.TCZDirs[i/2], s.plan.TCZDirs)
		}
	}
	if err == nil {
		s.note(lock.Input{Kind: lock.ISO, Name: s.plan.ISO, MD5: r.MD5, Why: []string{lock.WhyConfig}}, b, r.URLs)
	}
	return b, err
}

// preferred puts first before the others of all.
func preferred(first string, all []string) []string {
	return unique(append([]string{first}, all...))
}

// unique drops repeats, so that no address is asked twice.
func unique(list []string) []string {
	var out []string
	for _, v := range list {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// extension is one TCZ on its way into the image.
type extension struct {
	tcz.Item
	pinned  *lock.Input // as the lock has it, if it does
	md5     string
	dir     string
	needs   []string // names in its .dep, as they stand there
	why     []string // as in [lock.Input]
	licence string   // what its .info says
	blob    *fetch.Blob
}

// closure resolves the wanted extensions and everything they depend on, in load order. What no
// mirror has is an error, unless the configuration lists it as missing.
func (s *sources) closure(ctx context.Context, roots []string, kernel string) ([]*extension, error) {
	found := map[string]*extension{}
	missing := map[string]error{}
	items, err := tcz.Closure(ctx, roots, kernel, func(ctx context.Context, file string) ([]string, error) {
		x, err := s.find(ctx, file, kernel)
		if errors.Is(err, fetch.ErrNotFound) {
			missing[file] = err
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		found[file] = x
		return x.needs, nil
	})
	if err != nil {
		return nil, err
	}
	s.reasons(found, roots, kernel)
	out := make([]*extension, 0, len(items))
	for _, it := range items {
		if e := found[it.File]; e != nil {
			e.Item = it
			out = append(out, e)
			continue
		}
		if err := s.without(it, missing[it.File], kernel); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// find looks an extension up: in the lock, else on the mirrors.
func (s *sources) find(ctx context.Context, file, kernel string) (*extension, error) {
	if s.lockedAway(file, kernel) {
		return nil, fmt.Errorf("%w: the lock was made without it", fetch.ErrNotFound)
	}
	x, err := s.digest(ctx, file)
	if err != nil {
		return nil, err
	}
	if x.pinned != nil && !x.pinned.OnlyPicked() {
		x.needs = x.pinned.Needs
		return x, nil
	}
	x.needs, err = s.deps(ctx, x, file)
	return x, err
}

// digest finds out which bytes an extension has, and on which mirror.
func (s *sources) digest(ctx context.Context, file string) (*extension, error) {
	in, err := s.pin(lock.TCZ, file)
	if err != nil {
		return nil, err
	}
	if in != nil {
		return &extension{pinned: in, md5: in.MD5, dir: s.dirs[0], licence: in.Licence}, nil
	}
	md5, dir, err := s.sum(ctx, s.dirs, file)
	if err != nil {
		return nil, err
	}
	return &extension{md5: md5, dir: s.dirs[dir]}, nil
}

// picked fetches an extension that only single files are taken of.
func (s *sources) picked(ctx context.Context, name string) (*extension, error) {
	file, err := tcz.FileName(name, s.kernel)
	if err != nil {
		return nil, err
	}
	x, err := s.digest(ctx, file)
	if err != nil {
		return nil, err
	}
	x.Item, x.why = tcz.Item{File: file}, []string{lock.WhyPick}
	return x, s.download(ctx, []*extension{x})
}

// without decides on an extension that no mirror has: it is an error, unless the configuration
// allows it or whoever asks only wants to know.
func (s *sources) without(it tcz.Item, cause error, kernel string) error {
	d := &DependencyError{File: it.File, Chain: it.Chain, Nowhere: true, Err: cause}
	switch {
	case s.mayMiss(it.File, kernel):
		s.leftOut(d)
	case s.gone != nil:
		s.gone[it.File] = true
	default:
		return d
	}
	return nil
}

// mayMiss reports whether the configuration lists an extension as known to exist nowhere.
func (s *sources) mayMiss(file, kernel string) bool {
	for _, name := range s.plan.Config.Missing {
		if known, err := tcz.FileName(name, kernel); err == nil && known == file {
			return true
		}
	}
	return false
}

// leftOut warns of an extension that the image goes without.
func (s *sources) leftOut(e *DependencyError) {
	if s.client.Sink == nil {
		return
	}
	s.client.Sink.Event(ui.Event{Level: ui.Warning, Step: "resolve", Item: e.File,
		Text: "no mirror has it" + e.asked() + ": left out, as `missing` in mkbuild.yaml allows"})
}

// deps reads the .dep beside an extension; there is none when it depends on nothing.
func (s *sources) deps(ctx context.Context, e *extension, file string) ([]string, error) {
	text, err := s.beside(ctx, e, file, ".dep")
	if errors.Is(err, fetch.ErrNotFound) {
		return nil, nil
	}
	if errors.Is(err, fetch.ErrForbidden) {
		return nil, &ForbiddenError{File: file, Err: err}
	}
	if err != nil {
		return nil, err
	}
	return tcz.ParseDep(text), nil
}

// parallelDownloads is what public mirrors tolerate from one address.
const parallelDownloads = 4

// download fetches the extensions themselves.
func (s *sources) download(ctx context.Context, es []*extension) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelDownloads)
	for _, e := range es {
		g.Go(func() error { return s.fetchTCZ(gctx, e) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return s.record(es)
}

// fetchTCZ fetches one extension and what its .info says.
func (s *sources) fetchTCZ(ctx context.Context, e *extension) error {
	urls, err := s.urls(e)
	if err != nil {
		return err
	}
	r := fetch.Request{Name: e.File, URLs: urls, MD5: e.md5, MaxSize: maxTCZ, Check: fetch.RefuseHTML}
	e.blob, err = s.get(ctx, e.pinned, r)
	if e.pinned == nil && lied(err) {
		if other, i := s.elsewhere(ctx, s.dirs, &r); other != nil {
			e.blob, err, e.md5, e.dir = other, nil, r.MD5, s.dirs[i]
		}
	}
	switch {
	case errors.Is(err, fetch.ErrNotFound) && s.gone != nil:
		return nil // record notes it
	case errors.Is(err, fetch.ErrNotFound):
		return &DependencyError{File: e.File, Chain: e.Chain, Err: err}
	case err != nil || e.pinned != nil:
		return err
	}
	e.licence, err = s.copying(ctx, e)
	return err
}

// urls are the places of an extension, the one that gave its digest first.
func (s *sources) urls(e *extension) ([]string, error) {
	return inDirs(preferred(e.dir, s.dirs), e.File)
}
