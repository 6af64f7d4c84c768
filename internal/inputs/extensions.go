package inputs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
	"mkbuild/internal/tcz"
	"mkbuild/internal/ui"
)

// extension is one TCZ on its way into an image.
type extension struct {
	tcz.Item
	pinned  *lock.Input // as the lock has it, if it does
	md5     string
	dir     string   // the folder that gave the digest
	needs   []string // names in its .dep, as they stand there
	why     []string // as in [lock.Input]
	licence string   // what its .info says
}

// fileName turns a wanted name into the name that mirrors have. It is the place to choose among
// alternatives, once there are any.
func (g *Gathering) fileName(wanted string) (string, error) { return tcz.FileName(wanted, g.Kernel) }

// fileNames turns names into file names, each once and where it stands last: of the names in a .dep
// the last is loaded first. It drops what cannot be a name.
func fileNames(names []string, kernel string) []string {
	var out []string
	for _, n := range names {
		if file, err := tcz.FileName(n, kernel); err == nil {
			out = append(slices.DeleteFunc(out, func(f string) bool { return f == file }), file)
		}
	}
	return out
}

// closure resolves wanted extensions and everything that they depend on, in load order. It is an error
// if no mirror has one of them, unless the configuration lists it as missing.
func (g *Gathering) closure(ctx context.Context, wanted []string) ([]*extension, error) {
	roots := make([]string, len(wanted))
	for i, name := range wanted {
		var err error
		if roots[i], err = g.fileName(name); err != nil {
			return nil, err
		}
	}
	found := map[string]*extension{}
	nowhere := map[string]error{}
	items, err := tcz.Closure(ctx, roots, g.Kernel, func(ctx context.Context, file string) ([]string, error) {
		x, err := g.find(ctx, file)
		if errors.Is(err, fetch.ErrNotFound) {
			nowhere[file] = err
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
	g.setReasons(found, roots)
	out := make([]*extension, 0, len(items))
	for _, it := range items {
		if e := found[it.File]; e != nil {
			e.Item = it
			out = append(out, e)
		} else if err := g.without(it, nowhere[it.File]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// setReasons notes who asked for each extension of a closure.
func (g *Gathering) setReasons(found map[string]*extension, roots []string) {
	because := func(file, why string) {
		if x := found[file]; x != nil {
			x.why = append(x.why, why)
		}
	}
	configured := fileNames(g.plan.Config.Extensions, g.Kernel)
	for _, root := range roots {
		if slices.Contains(configured, root) {
			because(root, lock.WhyConfig)
		} else {
			because(root, lock.WhyDev)
		}
	}
	for file, x := range found {
		for _, needed := range fileNames(x.needs, g.Kernel) {
			because(needed, file)
		}
	}
}

// find looks an extension up: in the lock, else on the mirrors.
func (g *Gathering) find(ctx context.Context, file string) (*extension, error) {
	if g.pins.lacks(file) && g.mayMiss(file) {
		return nil, fmt.Errorf("%w: the lock was made without it", fetch.ErrNotFound)
	}
	x, err := g.digest(ctx, file)
	if err != nil {
		return nil, err
	}
	if x.pinned != nil && !x.pinned.OnlyPicked() {
		x.needs = x.pinned.Needs
		return x, nil
	}
	x.needs, err = g.needs(ctx, x, file)
	return x, err
}

// digest finds out which bytes an extension has, and in which folder.
func (g *Gathering) digest(ctx context.Context, file string) (*extension, error) {
	pinned, err := g.pinOf(lock.TCZ, file)
	if err != nil {
		return nil, err
	}
	dirs := g.tczDirs()
	if pinned != nil {
		return &extension{pinned: pinned, md5: pinned.MD5, dir: dirs[0], licence: pinned.Licence}, nil
	}
	md5, dir, err := g.sum(ctx, dirs, file)
	return &extension{md5: md5, dir: dir}, err
}

func (g *Gathering) tczDirs() []string {
	var out []string
	for _, m := range g.mirrors {
		out = append(out, m.TCZ)
	}
	return out
}

// needs reads the .dep next to an extension; there is none if it depends on nothing.
func (g *Gathering) needs(ctx context.Context, e *extension, file string) ([]string, error) {
	text, err := g.sidecar(ctx, e, file, ".dep")
	switch {
	case errors.Is(err, fetch.ErrNotFound):
		return nil, nil
	case errors.Is(err, fetch.ErrForbidden):
		return nil, fail.Wrap(fail.Network, err, "some servers forbid what does not exist, so it cannot be told whether "+file+
			" depends on others: name another mirror with --mirror URL, or, on a mirror of your own, put an empty "+file+".dep beside it")
	}
	return tcz.ParseDep(text), err
}

// licence reads the licence in the .info next to an extension. It is part of an image's manifest, so it
// must not depend on whether a mirror answers: no answer is an error, but no such file is not.
func (g *Gathering) licence(ctx context.Context, e *extension) (string, error) {
	text, err := g.sidecar(ctx, e, e.File, ".info")
	if errors.Is(err, fetch.ErrContent) || errors.Is(err, fetch.ErrNotFound) || errors.Is(err, fetch.ErrForbidden) || errors.Is(err, fetch.ErrTooLarge) {
		return "", nil
	}
	return tcz.CopyingPolicy(text), err
}

// sidecar reads a small file next to an extension, on the mirror that gave the digest. If that one does
// not answer properly, another mirror counts that has the same extension.
func (g *Gathering) sidecar(ctx context.Context, e *extension, file, suffix string) ([]byte, error) {
	text, err := g.optional(ctx, e.dir, file+suffix)
	if answered(err) || ctx.Err() != nil {
		return text, err
	}
	for _, dir := range g.tczDirs() {
		if dir == e.dir {
			continue
		}
		if md5, _, other := g.sum(ctx, []string{dir}, file); other != nil || md5 != e.md5 {
			continue
		}
		if text, other := g.optional(ctx, dir, file+suffix); answered(other) {
			return text, other
		}
	}
	return nil, err
}

// answered reports whether a mirror gave a file, or said that there is none.
func answered(err error) bool { return err == nil || errors.Is(err, fetch.ErrNotFound) }

// optional reads a small file of a folder that need not be there.
func (g *Gathering) optional(ctx context.Context, dir, name string) ([]byte, error) {
	u, err := fetch.Join(dir, name)
	if err != nil {
		return nil, err
	}
	_, text, err := g.index(ctx, fetch.Request{Name: name, URLs: []string{u}, Optional: true, Check: fetch.RefuseHTML})
	return text, err
}

// fetchTCZ fetches an extension and its licence.
func (g *Gathering) fetchTCZ(ctx context.Context, e *extension) error {
	r := fetch.Request{Name: e.File, MD5: e.md5, MaxSize: maxTCZ, Check: fetch.RefuseHTML}
	b, dir, err := g.fetchFrom(ctx, e.pinned, e.dir, g.tczDirs(), &r)
	switch {
	case g.missing(err, e.File):
		return nil
	case errors.Is(err, fetch.ErrNotFound):
		return notFound(e.Item, err, "")
	case err != nil:
		return err
	}
	e.md5, e.dir = r.MD5, dir
	if e.pinned == nil {
		if e.licence, err = g.licence(ctx, e); err != nil {
			return err
		}
	}
	g.note(lock.Input{Kind: lock.TCZ, Name: e.File, MD5: e.md5, Why: e.why, Needs: fileNames(e.needs, g.Kernel), Licence: e.licence}, b, r.URLs)
	return nil
}

// without decides on an extension that no mirror has.
func (g *Gathering) without(it tcz.Item, cause error) error {
	if g.mayMiss(it.File) {
		g.options.say(ui.Warning, "resolve", it.File, "no mirror has it"+askedFor(it)+": left out, as `missing` in mkbuild.yaml allows")
		return nil
	}
	if g.missing(cause, it.File) {
		return nil
	}
	hint := ""
	if len(it.Chain) > 0 {
		hint = "; or, if it is known to exist nowhere, list " + tcz.Base(it.File) + " under `missing`"
	}
	return notFound(it, cause, hint)
}

// mayMiss reports whether the configuration lists an extension as known to exist nowhere.
func (g *Gathering) mayMiss(file string) bool {
	return slices.Contains(fileNames(g.plan.Config.Missing, g.Kernel), file)
}

// notFound is the error of an extension that no mirror has.
func notFound(it tcz.Item, cause error, hint string) error {
	listed := slices.Concat(it.Chain, []string{it.File})[0]
	return &fail.Error{Class: fail.Network, What: "resolve " + it.File + askedFor(it), Err: cause,
		Hint: "take " + tcz.Base(listed) + " out of `extensions` in mkbuild.yaml, or add a mirror that has " + it.File + hint}
}

// askedFor renders the chain of an item as a remark.
func askedFor(it tcz.Item) string {
	if len(it.Chain) == 0 {
		return ""
	}
	return " (asked for by " + strings.Join(it.Chain, " → ") + ")"
}
