package inputs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
	"mkbuild/internal/tcz"
	"mkbuild/internal/ui"
)

// extension is one TCZ on its way into an image.
type extension struct {
	tcz.Item
	pinned *lock.Input // as the lock has it, if it does
	md5    string
	dir    string   // the folder that has the digest
	needs  []string // names in its .dep, unchanged
	why    []string // as in [lock.Input]
	// firstOf are the entries whose first alternative it is, as in [lock.Input].
	firstOf []string
}

// extensions gets the extensions of the plan. If mirrors lack the ssh server, a configuration without one is
// still locked.
func (g *Gathering) extensions(ctx context.Context) error {
	err := g.install(ctx, g.plan.Extensions)
	if errors.Is(err, fetch.ErrNotFound) && len(g.own.Extensions) < len(g.plan.Extensions) && g.install(ctx, g.own.Extensions) == nil {
		g.src.say(ui.Warning, "lock", "", err.Error()+": the lock lacks inputs of the profiles dev and debug")
		return nil
	}
	return err
}

// install gets extensions with their dependencies, and those that files are picked from.
func (g *Gathering) install(ctx context.Context, names []string) error {
	done := g.src.step("resolve")
	whole, err := g.closure(ctx, names)
	if err != nil {
		return err
	}
	picked, err := g.picks(ctx)
	done()
	if err != nil {
		return err
	}
	defer g.src.step("fetch")()
	if err := g.download(ctx, slices.Concat(whole, picked)); err != nil {
		return err
	}
	for _, e := range whole {
		g.out.Extensions = append(g.out.Extensions, e.File)
	}
	return nil
}

// picks looks up the extensions that only give single files.
func (g *Gathering) picks(ctx context.Context) (out []*extension, err error) {
	for _, p := range g.plan.Config.Picks {
		file, err := tcz.FileName(p.Extension, g.Kernel)
		if err != nil {
			return nil, err
		}
		x, err := g.digest(ctx, file)
		if g.missing(err, file) {
			continue
		}
		if err != nil {
			return nil, err
		}
		x.Item, x.why = tcz.Item{File: file}, []string{lock.WhyPick}
		out = append(out, x)
	}
	return out, nil
}

// closure resolves wanted extensions and their dependencies, in load order. An extension that no mirror has is an
// error, unless the configuration lists it as missing.
func (g *Gathering) closure(ctx context.Context, wanted []string) ([]*extension, error) {
	var roots []string
	for _, entry := range wanted {
		file, err := g.choose(ctx, entry)
		if err != nil {
			return nil, err
		}
		if file != "" {
			roots = append(roots, file)
		}
	}
	found, nowhere := map[string]*extension{}, map[string]error{}
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
	g.setReasons(found, wanted)
	out := make([]*extension, 0, len(items))
	for _, it := range items {
		if e := found[it.File]; e != nil {
			e.Item = it
			out = append(out, e)
		} else if err := g.without(ctx, it, nowhere[it.File]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// find looks an extension up: in the lock, else on the mirrors.
func (g *Gathering) find(ctx context.Context, file string) (*extension, error) {
	if g.src.lockedWithout(file) && g.mayMiss(file) {
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

// digest finds the digest of an extension, and its folder.
func (g *Gathering) digest(ctx context.Context, file string) (*extension, error) {
	dirs := g.src.tczDirs()
	pinned, err := g.src.pinOf(lock.TCZ, file)
	if err != nil {
		return nil, err
	}
	if pinned != nil {
		return &extension{pinned: pinned, md5: pinned.MD5, dir: dirs[0]}, nil
	}
	if sum, ok := g.asked[file]; ok {
		return &extension{md5: sum[0], dir: sum[1]}, nil
	}
	md5, dir, err := g.src.sum(ctx, dirs, file)
	return &extension{md5: md5, dir: dir}, err
}

// needs reads the .dep of an extension. An extension without dependencies has no .dep.
func (g *Gathering) needs(ctx context.Context, e *extension, file string) ([]string, error) {
	text, err := g.src.sidecar(ctx, e.dir, e.md5, file, ".dep")
	switch {
	case errors.Is(err, fetch.ErrNotFound):
		return nil, nil
	case errors.Is(err, fetch.ErrForbidden):
		return nil, forbidden(err, file+".dep")
	}
	return tcz.ParseDep(text), err
}

// licence reads the licence in the .info of an extension. The licence is part of an image's manifest, so it must
// not depend on whether a mirror answers: no answer is an error, a missing file is not.
func (g *Gathering) licence(ctx context.Context, e *extension) (string, error) {
	text, err := g.src.sidecar(ctx, e.dir, e.md5, e.File, ".info")
	if errors.Is(err, fetch.ErrContent) || errors.Is(err, fetch.ErrNotFound) || errors.Is(err, fetch.ErrForbidden) || errors.Is(err, fetch.ErrTooLarge) {
		return "", nil
	}
	return tcz.CopyingPolicy(text), err
}

// setReasons records why each extension of a closure is needed.
func (g *Gathering) setReasons(found map[string]*extension, wanted []string) {
	because := func(file, why string) *extension {
		x := found[file]
		if x != nil {
			x.why = append(x.why, why)
		}
		return x
	}
	for _, entry := range wanted {
		why := lock.WhyDev
		if slices.Contains(g.plan.Config.Extensions, entry) {
			why = lock.WhyConfig
		}
		names, _ := config.Alternatives(entry)
		if x := because(g.chosen[entry], why); x != nil && len(names) > 1 {
			x.firstOf = append(x.firstOf, entry)
		}
	}
	for file, x := range found {
		for _, needed := range fileNames(x.needs, g.Kernel) {
			because(needed, file)
		}
	}
}

// without handles an extension that no mirror has.
func (g *Gathering) without(ctx context.Context, it tcz.Item, cause error) error {
	if g.mayMiss(it.File) {
		g.src.say(ui.Warning, "resolve", it.File, "no mirror has it"+askedFor(it)+": left out, as `missing` in mkbuild.yaml allows")
		return nil
	}
	if g.missing(cause, it.File) {
		return nil
	}
	var there []string
	for _, dir := range g.src.tczDirs() {
		names := g.src.list(ctx, dir)
		there = append(there, slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !strings.HasSuffix(name, tcz.Suffix) })...)
		if slices.Contains(names, it.File) {
			return fail.New(fail.Network, fmt.Sprintf("resolve %s%s: %s has no %s.md5.txt", it.File, askedFor(it), fetch.Shown(dir), it.File),
				"add a mirror that has it with --mirror URL, or, on a mirror of your own, make it: md5sum "+it.File+" >"+it.File+".md5.txt")
		}
	}
	hint := ""
	if near := fail.Nearest(it.File, there); near != "" && len(it.Chain) == 0 {
		return &fail.Error{Class: fail.Network, What: "resolve " + it.File, Err: cause, Hint: "did you mean " + tcz.Base(near) + "? Otherwise take " + tcz.Base(it.File) + " out of `extensions`"}
	}
	if len(it.Chain) > 0 {
		hint = "; or, if no mirror has it, list " + tcz.Base(it.File) + " under `missing`"
	}
	return notFound(it, cause, hint)
}

// mayMiss reports whether the configuration lists an extension under `missing`.
func (g *Gathering) mayMiss(file string) bool {
	return slices.Contains(fileNames(g.plan.Config.Missing, g.Kernel), file)
}

// parallelDownloads is the number of connections that public mirrors tolerate from one address.
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

// fetchTCZ fetches an extension and its licence.
func (g *Gathering) fetchTCZ(ctx context.Context, e *extension) error {
	r := fetch.Request{Name: e.File, MD5: e.md5, MaxSize: maxTCZ, Check: fetch.RefuseHTML}
	b, dir, err := g.src.file(ctx, e.pinned, e.dir, g.src.tczDirs(), &r)
	switch {
	case g.missing(err, e.File):
		return nil
	case errors.Is(err, fetch.ErrNotFound):
		return notFound(e.Item, err, "")
	case err != nil:
		return err
	}
	e.md5, e.dir = r.MD5, dir
	in := lock.Input{Kind: lock.TCZ, Name: e.File, MD5: e.md5, Why: e.why, FirstOf: e.firstOf, Needs: fileNames(e.needs, g.Kernel)}
	if e.pinned != nil {
		in.Licence = e.pinned.Licence
	} else if in.Licence, err = g.licence(ctx, e); err != nil {
		return err
	}
	g.note(in, b, r.URLs)
	return nil
}

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

// checkModules refuses extensions whose modules are all for other kernels: they would never load, and nothing
// would say so.
func (g *Gathering) checkModules(ctx context.Context) error {
	for _, file := range g.out.Extensions {
		if g.out.Blob(lock.TCZ, file) == nil {
			continue // a check found it gone
		}
		t, err := g.out.Tree(lock.TCZ, file)
		if err != nil {
			return err
		}
		kernels := tcz.ModuleKernels(t)
		if len(kernels) == 0 || slices.Contains(kernels, g.Kernel) {
			continue
		}
		hint := "take " + tcz.Base(file) + " out of `extensions` in mkbuild.yaml, or build from the ISO of that kernel"
		if fits := g.forKernel(ctx, file, kernels); fits != "" {
			hint = fits + " is for this kernel; a name that ends in -KERNEL in `extensions` of mkbuild.yaml always fits"
		}
		asked := strings.Join(slices.DeleteFunc(slices.Clone(g.out.Lock.Find(lock.TCZ, file).Why), func(w string) bool { return w == lock.WhyConfig }), ", ")
		if asked != "" {
			asked = " (asked for by " + asked + ")"
		}
		return fail.New(fail.Usage, fmt.Sprintf("install %s%s: its modules are for the kernel %s, and %s boots %s", file, asked, strings.Join(kernels, ", "), g.plan.ISO, g.Kernel), hint)
	}
	return nil
}

// forKernel returns the name of the same extension for the image's kernel, "" if no mirror has it.
func (g *Gathering) forKernel(ctx context.Context, file string, kernels []string) string {
	for _, k := range kernels {
		base, ok := strings.CutSuffix(tcz.Base(file), "-"+k)
		if !ok {
			continue
		}
		fits := base + "-" + g.Kernel + tcz.Suffix
		if _, _, _, err := g.src.first(ctx, []string{fits}); err == nil {
			return fits
		}
	}
	return ""
}
