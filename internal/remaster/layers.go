package remaster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"mkbuild/internal/inputs"
	"mkbuild/internal/lock"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/signing"
	"mkbuild/internal/tcz"
	"mkbuild/internal/ui"
)

// Staged is an image as values: every input is fetched, checked and placed, nothing is written yet.
type Staged struct {
	Plan     *inputs.Plan
	Kernel   string         // release of the kernel: "3.0.21-tinycore"
	Epoch    int64          // seconds since 1970-01-01 UTC
	base     *medium.Medium // the source ISO
	baseSum  string         // its SHA-256
	baseTree *overlay.Tree  // the files of its initrds
	layers   *overlay.Layers
	segments segments
	inputs   *inputs.Resolved

	conflicts []overlay.Conflict // of extensions
}

// Added returns the files that the image adds to its base, with the base's directories above them.
func (s *Staged) Added() *overlay.Tree { return s.layers.Added() }

// Inputs returns the image's inputs, sorted by kind and name.
func (s *Staged) Inputs() []lock.Input { return slices.Clone(s.inputs.Lock.Inputs) }

// layering is a [Staged] image in the making.
type layering struct {
	b        *Builder
	out      *Staged
	trees    []*overlay.Tree // of the extensions, in their order
	bootGems string          // shell text that installs gems while booting
	client   *overlay.Tree   // mk-client and its configuration; nil for an image without
	keys     signing.Keys    // of runtime extensions
	// unpackedBase waits for the base's files, which are unpacked during the downloads.
	unpackedBase func() (*overlay.Tree, error)
}

// layBase starts the layers with the base's files.
func (l *layering) layBase(context.Context) (err error) {
	if l.out.baseTree, err = l.unpackedBase(); err != nil {
		return err
	}
	l.checkModules(l.out.base.Arguments + " " + l.out.Plan.Config.Boot.Append)
	l.out.layers = overlay.NewLayers(l.out.baseTree)
	return nil
}

// unpackBase returns the files of the base's initrd. The cache keeps them unpacked, for each source image. If the
// layout keeps the initrd's bytes, the kernel must be able to unpack them, too.
func (l *layering) unpackBase(ctx context.Context) (*overlay.Tree, error) {
	layout := l.out.Plan.Config.Initrd.Layout
	key := fmt.Sprintf("mkbuild.base/v3 iso %s initrd %q layout %s", l.out.baseSum, l.out.base.Initrds, layout)
	return unpackedTree(ctx, l.b.store(), key, l.out.base.Name, func() (*overlay.Tree, error) {
		t, members, err := l.out.base.Unpack()
		for _, m := range members {
			if err == nil && layout == "append" {
				err = l.checkPacking(m.Packing)
			}
		}
		return t, err
	})
}

// place adds an input's files, which win over all earlier ones.
func (l *layering) place(input string, keep bool, t *overlay.Tree) error {
	if err := l.out.layers.AddLastWins(t); err != nil {
		return err
	}
	l.out.segments.claim(l.out.layers.Layer(), input, keep)
	return nil
}

// extensions places the fetched extensions in load order, the base and the earlier ones winning.
func (l *layering) extensions(context.Context) error {
	for _, file := range l.out.inputs.Extensions {
		t, err := l.out.inputs.Tree(lock.TCZ, file)
		if err != nil {
			return err
		}
		l.trees = append(l.trees, t)
		conflicts, err := l.out.layers.AddFirstWins(t)
		if err != nil {
			return fmt.Errorf("place %s: %w", file, err)
		}
		l.out.segments.claim(l.out.layers.Layer(), file, true)
		l.out.conflicts = append(l.out.conflicts, conflicts...)
		for _, c := range conflicts {
			l.b.say(ui.Info, "extensions", file, fmt.Sprintf(
				"conflict: /%s of %s stays; the one of %s is left out", c.Path, c.Kept, c.Skipped))
		}
	}
	return l.out.layers.AddLastWins(l.loadState())
}

// loadState is the state that tce-load leaves after loading the extensions: a marker for each, the list of
// startup scripts, and the flag that makes tce-setup run depmod.
func (l *layering) loadState() *overlay.Tree {
	out := &overlay.Tree{}
	all := l.out.layers.Merged()
	var scripts []string
	for i, file := range l.out.inputs.Extensions {
		name := tcz.Base(file)
		marker := tcz.Marker(name)
		switch {
		case tcz.StartupScript(l.trees[i], name):
			scripts = append(scripts, "/"+marker)
		case all.Get(marker) == nil:
			e := overlay.File(marker, 0o644, nil)
			e.UID, e.GID = tcUser, staff
			_ = out.Put(e) // a clean path and a file: cannot fail
		}
		if tcz.HasModules(l.trees[i], l.out.Kernel) {
			_ = out.Put(overlay.File("etc/sysconfig/newmodules", 0o644, nil))
		}
	}
	if len(scripts) > 0 {
		list := overlay.File("tmp/setup.lst", 0o664, []byte(strings.Join(scripts, "\n")+"\n"))
		list.UID, list.GID = tcUser, staff // tce-load appends to it as tc
		_ = out.Put(list)
	}
	return out
}

// picks takes single files out of extensions that are not installed.
func (l *layering) picks(context.Context) error {
	for _, p := range l.out.Plan.Config.Picks {
		file, err := tcz.FileName(p.Extension, l.out.Kernel)
		if err != nil {
			return err
		}
		t, err := l.out.inputs.Tree(lock.TCZ, file)
		if err != nil {
			return err
		}
		picked, err := pick(t, file, p.Files)
		if err != nil {
			return err
		}
		if err := l.place(file, true, picked); err != nil {
			return fmt.Errorf("place files of %s: %w", file, err)
		}
	}
	return nil
}

// userOverlay places the user's own files, which win over everything.
func (l *layering) userOverlay(context.Context) error {
	for _, o := range l.out.Plan.Config.Overlay {
		uid, gid, err := o.OwnerIDs()
		if err != nil {
			return err
		}
		t, err := overlay.FromHost(o.Source, o.Target, uid, gid)
		if err != nil {
			return err
		}
		if err := l.place("overlay "+o.Target, !private(t), t); err != nil {
			return fmt.Errorf("place overlay %s: %w", o.Source, err)
		}
	}
	return nil
}

// private reports whether a tree has a file or directory that not everybody may read: others who can read the
// cache must not find it there.
func private(t *overlay.Tree) bool {
	return slices.ContainsFunc(t.Entries(), func(e *overlay.Entry) bool {
		return e.IsRegular() && e.Perm()&0o004 == 0 || e.IsDir() && e.Perm()&0o001 == 0
	})
}
