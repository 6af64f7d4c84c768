package remaster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/profile"
	"mkbuild/internal/rubygems"
	"mkbuild/internal/tcz"
	"mkbuild/internal/ui"
)

// Builder does what a [Plan] says. Its fields are everything that comes from outside.
type Builder struct {
	Fetch *fetch.Client
	Sink  ui.Sink
	// Time, when set, is called as a step begins and returns what to call at its end.
	Time func(step string) func()
	// Keys are the checked authorized_keys lines for dev and debug.
	Keys []string
	// Secrets reads values that mkbuild.yaml takes from files and the environment.
	Secrets config.Sources
	// Client returns the mk-client program for an architecture, gzip'd or as it is.
	Client func(arch string) ([]byte, error)
	// Version is mkbuild's own, for the manifest.
	Version string
	// Epoch, when set, is the time of everything made here; else the lock's, else the newest
	// input's own.
	Epoch *int64
	// Lock, when set, pins the inputs: what it has is fetched by its SHA-256, and no mirror is asked
	// what it has now. What it has not is resolved as without a lock.
	Lock *lock.Lock
	// Strict makes it an error if there is no lock, if it is of another configuration, or if
	// anything is not as it says.
	Strict bool
}

// Staged is an image as values: every input fetched, checked and placed, nothing written yet.
type Staged struct {
	Plan     *Plan
	Kernel   string         // release of the kernel: "3.0.21-tinycore"
	Epoch    int64          // seconds since 1970-01-01 UTC
	base     *medium.Medium // the source ISO
	baseSum  string         // its SHA-256
	baseTree *overlay.Tree  // the files of its initrds
	layers   *overlay.Layers
	segments segments
	inputs   []lock.Input

	conflicts []overlay.Conflict // of extensions
}

// Added returns what the image has beyond its base, directories of the base repeated as they are.
func (s *Staged) Added() *overlay.Tree { return s.layers.Added() }

func (b *Builder) step(name string) func() {
	if b.Time == nil {
		return func() {}
	}
	return b.Time(name)
}

// stage is a build under way.
type stage struct {
	*Builder
	*Staged
	src      *sources
	exts     []*extension
	trees    []*overlay.Tree // of exts, in their order
	bootGems string          // shell text that installs gems while booting
	mkClient *overlay.Tree   // mk-client and its configuration; nil for an image without

	// What takes long and needs nothing but the source image is worked out beside the downloads.
	baseFiles *later[*overlay.Tree]
	gemFiles  *later[[]*rubygems.Gem]
}

// Stage fetches the plan's inputs and places them. Their contents stay in the store.
func (b *Builder) Stage(ctx context.Context, p *Plan) (*Staged, error) {
	src, err := b.sources(p)
	if err != nil {
		return nil, err
	}
	s := &stage{Builder: b.dated(src), Staged: &Staged{Plan: p}, src: src}
	if s.mkClient, err = s.client(); err != nil {
		return nil, err // before the first request
	}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		s.baseFiles.wait() //nolint:errcheck,gosec // asked where it is needed
		s.gemFiles.wait()  //nolint:errcheck,gosec // as above
	}()
	for _, part := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"base", s.fetchBase},
		{"resolve", s.resolve},
		{"fetch", func(ctx context.Context) error { return s.src.download(ctx, s.exts) }},
		{"unpack", s.layBase},
		{"extensions", s.extensions},
		{"pick", s.picks},
		{"ruby", s.ruby},
		{"mcollective", s.mcollective},
		{"profile", s.profile},
		{"overlay", s.userOverlay},
		{"check", s.check},
	} {
		done := b.step(part.name)
		err := part.do(ctx)
		done()
		if err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	s.inputs = s.src.inputs.Inputs
	return s.Staged, nil
}

// newer raises the image's time to that of an input, unless the user gave one. Times that cpio
// and ISO 9660 cannot hold are some broken clock's.
func (s *stage) newer(t int64) {
	const last = 1<<32 - 1
	if s.Builder.Epoch == nil && t > s.Staged.Epoch && t <= last {
		s.Staged.Epoch = t
	}
}

func (s *stage) newest(t *overlay.Tree) {
	for _, e := range t.Entries() {
		s.newer(e.MTime)
	}
}

func (s *stage) fetchBase(ctx context.Context) error {
	if s.Builder.Epoch != nil {
		s.Staged.Epoch = *s.Builder.Epoch
	}
	s.Plan.sayFollowed(s.Sink)
	blob, err := s.src.iso(ctx)
	if err != nil {
		return err
	}
	if s.base, s.Kernel, err = openSource(blob.Reader(), blob.Size, s.Plan.ISO); err != nil {
		return err
	}
	s.baseSum, s.src.kernel = blob.SHA256, s.Kernel
	s.newer(s.base.ISO.Created)
	s.newer(s.base.ISO.Modified)
	if err := s.checkBoot(); err != nil {
		return err
	}
	for _, note := range s.base.ISO.Notes {
		s.Sink.Event(ui.Event{Level: ui.Warning, Step: "base", Item: s.Plan.ISO, Text: note})
	}
	s.baseFiles = begin(func() (*overlay.Tree, error) { return s.keptBase(ctx, blob) })
	s.gemFiles = begin(func() ([]*rubygems.Gem, error) { return s.readGems(ctx) })
	return nil
}

// layBase makes the base's files what everything else is placed on.
func (s *stage) layBase(context.Context) (err error) {
	if s.baseTree, err = s.baseFiles.wait(); err != nil {
		return err
	}
	s.checkModules(s.base.Arguments + " " + s.Plan.Config.Boot.Append)
	s.layers = overlay.NewLayers(s.baseTree)
	return nil
}

// keptBase returns the files of the base's initrd. They are unpacked once for each source image, into
// the cache, and read from there.
func (s *stage) keptBase(ctx context.Context, iso *fetch.Blob) (*overlay.Tree, error) {
	key := fmt.Sprintf("mkbuild.base/v2 iso %s initrd %q", iso.SHA256, s.base.Initrds)
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
	return s.checkLabels()
}

func (s *stage) resolve(ctx context.Context) (err error) {
	s.exts, err = s.src.closure(ctx, s.Plan.Extensions, s.Kernel)
	return err
}

// readTCZ opens a fetched extension as a tree.
func (s *stage) readTCZ(blob *fetch.Blob, file string) (*overlay.Tree, error) {
	t, modTime, err := tcz.ReadTree(blob.Reader(), blob.Size, file)
	if err != nil {
		return nil, err
	}
	s.newer(modTime)
	for _, e := range t.Entries() {
		if e.IsRegular() {
			e.ID = blob.SHA256 + "/" + e.Path
		}
	}
	return t, nil
}

// extensions places the fetched extensions in load order, the base and the earlier ones winning.
func (s *stage) extensions(context.Context) error {
	for _, x := range s.exts {
		t, err := s.readTCZ(x.blob, x.File)
		if err != nil {
			return err
		}
		s.trees = append(s.trees, t)
		conflicts, err := s.layers.AddFirstWins(t)
		if err != nil {
			return fmt.Errorf("place %s: %w", x.File, err)
		}
		s.segments.claim(s.layers.Layer(), x.File, true)
		s.conflicts = append(s.conflicts, conflicts...)
		for _, c := range conflicts {
			s.Sink.Event(ui.Event{Level: ui.Info, Step: "extensions", Item: x.File, Text: fmt.Sprintf(
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
	for i, x := range s.exts {
		name := strings.TrimSuffix(x.File, ".tcz")
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
func (s *stage) picks(ctx context.Context) error {
	for _, p := range s.Plan.Config.Picks {
		x, err := s.src.picked(ctx, p.Extension)
		if err != nil {
			return err
		}
		t, err := s.readTCZ(x.blob, x.File)
		if err != nil {
			return err
		}
		picked, err := pick(t, x.File, p.Files)
		if err != nil {
			return err
		}
		if err := s.place(x.File, true, picked); err != nil {
			return fmt.Errorf("place files of %s: %w", x.File, err)
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

// OpenError says that a prod image would have a way in.
type OpenError struct{ What string }

func (e *OpenError) Error() string { return "check the prod image: " + e.What }

// Hint says what to do about it.
func (*OpenError) Hint() string {
	return "leave it out, or build with --profile dev"
}

// check holds the finished tree against what its profile promises.
func (s *stage) check(context.Context) error {
	if s.Plan.Config.Profile != "prod" {
		return nil
	}
	all := s.layers.Merged()
	if servers := profile.ServerPaths(all); len(servers) > 0 {
		return &OpenError{"it would hold an ssh or telnet server: " + strings.Join(servers, ", ")}
	}
	open, err := profile.WaysIn(all)
	if err != nil {
		return err
	}
	open = append(open, profile.OpenArguments(s.Plan.Config.Boot.Append)...)
	if len(open) > 0 {
		return &OpenError{"it would have a way in: " + strings.Join(open, ", ")}
	}
	return nil
}
