// Package remaster turns the inputs of a Tiny Core image into a microkernel image: [Builder.Stage] places
// them as layers of trees, and the result is written as an ISO, for a network boot, or as the
// overlay archive alone.
package remaster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"mkbuild/internal/config"
	"mkbuild/internal/inputs"
	"mkbuild/internal/lock"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/profile"
	"mkbuild/internal/tcz"
	"mkbuild/internal/ui"
)

// Builder does what an [inputs.Plan] says. Its fields are everything that comes from outside.
type Builder struct {
	// Inputs are what inputs are gathered with; warnings and timings go where they send theirs.
	Inputs inputs.Options
	// Keys are the checked authorized_keys lines for dev and debug.
	Keys []string
	// Secrets reads values that mkbuild.yaml takes from files and the environment.
	Secrets config.Sources
	// Client returns the mk-client program for an architecture, gzip'd or as it is.
	Client func(arch string) ([]byte, error)
	// Version is mkbuild's own, for the manifest.
	Version string
}

// Staged is an image as values: every input fetched, checked and placed, nothing written yet.
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

// Added returns what the image has beyond its base, directories of the base repeated as they are.
func (s *Staged) Added() *overlay.Tree { return s.layers.Added() }

// Inputs returns the files that went into the image, sorted by kind and name.
func (s *Staged) Inputs() []lock.Input { return slices.Clone(s.inputs.Lock.Inputs) }

func (b *Builder) step(name string) func() {
	if b.Inputs.Step == nil {
		return func() {}
	}
	return b.Inputs.Step(name)
}

// stage is a build under way.
type stage struct {
	*Staged
	b        *Builder
	trees    []*overlay.Tree // of the extensions, in their order
	bootGems string          // shell text that installs gems while booting
	mkClient *overlay.Tree   // mk-client and its configuration; nil for an image without
	// unpackedBase waits for the files of the base, which are unpacked during the downloads.
	unpackedBase func() (*overlay.Tree, error)
}

// Stage fetches the plan's inputs and places them. Their contents stay in the store.
func (b *Builder) Stage(ctx context.Context, p *inputs.Plan) (*Staged, error) {
	s := &stage{b: b, Staged: &Staged{Plan: p}}
	var err error
	if s.mkClient, err = s.client(); err != nil {
		return nil, err // before the first request
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := b.step("base")
	g, err := inputs.Begin(ctx, p, b.Inputs)
	done()
	if err != nil {
		return nil, err
	}
	s.Kernel, s.base, s.baseSum = g.Kernel, g.Medium, g.SHA256
	if err := s.checkBoot(); err != nil {
		return nil, err
	}
	s.unpackedBase = sync.OnceValues(func() (*overlay.Tree, error) { return s.keptBase(ctx) })
	go s.unpackedBase()    //nolint:errcheck // asked where it is needed
	defer s.unpackedBase() //nolint:errcheck // it must have ended
	defer cancel()
	if s.inputs, err = g.Finish(ctx); err != nil {
		return nil, err
	}
	s.Epoch = s.inputs.Lock.SourceDate
	return s.Staged, s.placeAll(ctx)
}

// placeAll places the inputs in layers.
func (s *stage) placeAll(ctx context.Context) error {
	for _, part := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"unpack", s.layBase},
		{"extensions", s.extensions},
		{"pick", s.picks},
		{"ruby", s.ruby},
		{"mcollective", s.mcollective},
		{"profile", s.profile},
		{"overlay", s.userOverlay},
		{"check", s.check},
	} {
		done := s.b.step(part.name)
		err := part.do(ctx)
		done()
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// layBase makes the base's files what everything else is placed on.
func (s *stage) layBase(context.Context) (err error) {
	if s.baseTree, err = s.unpackedBase(); err != nil {
		return err
	}
	s.checkModules(s.base.Arguments + " " + s.Plan.Config.Boot.Append)
	s.layers = overlay.NewLayers(s.baseTree)
	return nil
}

// keptBase returns the files of the base's initrd. They are unpacked once for each source image, into
// the cache, and read from there.
func (s *stage) keptBase(ctx context.Context) (*overlay.Tree, error) {
	key := fmt.Sprintf("mkbuild.base/v2 iso %s initrd %q", s.baseSum, s.base.Initrds)
	return s.keptTree(ctx, key, s.base.Name, s.base.Tree)
}

// place adds what an input brings; it wins over everything so far.
func (s *stage) place(input string, keep bool, t *overlay.Tree) error {
	if err := s.layers.AddLastWins(t); err != nil {
		return err
	}
	s.segments.claim(s.layers.Layer(), input, keep)
	return nil
}

// checkBoot holds what the source boots against what is asked for.
func (s *stage) checkBoot() error {
	c := s.Plan.Config
	if err := s.checkCompressor(); err != nil {
		return err
	}
	s.checkFirmware()
	if len(s.base.Initrds) > 1 && c.Initrd.Layout == "merged" {
		return config.Mistake("initrd.layout", fmt.Sprintf("%s boots several initrds (%s), which cannot be merged into one", s.Plan.ISO, strings.Join(s.base.Initrds, ", ")), "use the layout append")
	}
	if err := s.checkLabels(); err != nil {
		return err
	}
	for _, note := range s.base.ISO.Notes {
		s.sayOfBase(ui.Warning, note)
	}
	return nil
}

// extensions places the fetched extensions in load order, the base and the earlier ones winning.
func (s *stage) extensions(context.Context) error {
	for _, file := range s.inputs.Extensions {
		t, err := s.inputs.Tree(lock.TCZ, file)
		if err != nil {
			return err
		}
		s.trees = append(s.trees, t)
		conflicts, err := s.layers.AddFirstWins(t)
		if err != nil {
			return fmt.Errorf("place %s: %w", file, err)
		}
		s.segments.claim(s.layers.Layer(), file, true)
		s.conflicts = append(s.conflicts, conflicts...)
		for _, c := range conflicts {
			s.b.Inputs.Sink.Event(ui.Event{Level: ui.Info, Step: "extensions", Item: file, Text: fmt.Sprintf(
				"conflict: /%s of %s stays, that of %s is left out", c.Path, c.Kept, c.Skipped)})
		}
	}
	return s.layers.AddLastWins(s.loadState())
}

// loadState is what tce-load leaves when it has loaded the extensions: a marker for each, the
// list of startup scripts, and the flag that makes tce-setup run depmod.
func (s *stage) loadState() *overlay.Tree {
	out := &overlay.Tree{}
	all := s.layers.Merged()
	var scripts []string
	for i, file := range s.inputs.Extensions {
		name := tcz.Base(file)
		marker := tcz.Marker(name)
		switch {
		case tcz.StartupScript(s.trees[i], name):
			scripts = append(scripts, "/"+marker)
		case all.Get(marker) == nil:
			e := overlay.File(marker, 0o644, nil)
			e.UID, e.GID = tcUser, staff
			_ = out.Put(e) // a clean path and a file: cannot fail
		}
		if tcz.HasModules(s.trees[i], s.Kernel) {
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

// picks takes single files out of extensions that stay out.
func (s *stage) picks(context.Context) error {
	for _, p := range s.Plan.Config.Picks {
		file, err := tcz.FileName(p.Extension, s.Kernel)
		if err != nil {
			return err
		}
		t, err := s.inputs.Tree(lock.TCZ, file)
		if err != nil {
			return err
		}
		picked, err := pick(t, file, p.Files)
		if err != nil {
			return err
		}
		if err := s.place(file, true, picked); err != nil {
			return fmt.Errorf("place files of %s: %w", file, err)
		}
	}
	return nil
}

// userOverlay places the user's own files, which win over everything.
func (s *stage) userOverlay(context.Context) error {
	for _, o := range s.Plan.Config.Overlay {
		uid, gid, err := o.OwnerIDs()
		if err != nil {
			return err
		}
		t, err := overlay.FromHost(o.Source, o.Target, uid, gid)
		if err != nil {
			return err
		}
		if err := s.place("overlay "+o.Target, !private(t), t); err != nil {
			return fmt.Errorf("place overlay %s: %w", o.Source, err)
		}
	}
	return nil
}

// private reports whether a tree has a file that not everybody may read, or a directory that not
// everybody may enter: others who can read the cache must not find it there.
func private(t *overlay.Tree) bool {
	return slices.ContainsFunc(t.Entries(), func(e *overlay.Entry) bool {
		return e.IsRegular() && e.Perm()&0o004 == 0 || e.IsDir() && e.Perm()&0o001 == 0
	})
}

// check holds the finished tree against what its profile promises.
func (s *stage) check(context.Context) error {
	if s.Plan.Config.Profile != "prod" {
		return nil
	}
	all := s.layers.Merged()
	if servers := profile.ServerPaths(all); len(servers) > 0 {
		return fmt.Errorf("%w: it would hold an ssh or telnet server: %s", profile.ErrOpen, strings.Join(servers, ", "))
	}
	open, err := profile.WaysIn(all)
	if err != nil {
		return err
	}
	open = append(open, profile.OpenArguments(s.Plan.Config.Boot.Append)...)
	if len(open) > 0 {
		return fmt.Errorf("%w: it would have a way in: %s", profile.ErrOpen, strings.Join(open, ", "))
	}
	return nil
}
