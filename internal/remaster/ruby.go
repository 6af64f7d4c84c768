package remaster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"mkbuild/internal/lock"
	"mkbuild/internal/overlay"
	"mkbuild/internal/profile"
	"mkbuild/internal/rubygems"
	"mkbuild/internal/ui"
)

// RubyError says that the image has no Ruby that RubyGems or gems could be installed for.
type RubyError struct{ Err error }

func (e *RubyError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RubyError) Unwrap() error { return e.Err }

// gemCommand is what installs gems while booting: RubyGems', or the one that Ruby brings along.
const gemCommand = "usr/local/bin/gem"

// Hint says what to change.
func (*RubyError) Hint() string {
	return "add ruby to `extensions` in mkbuild.yaml, or do without: `rubygems: null` and `gems: {install: []}`"
}

// ruby stages RubyGems and the gems: what `ruby setup.rb` and `gem install` would leave.
func (s *stage) ruby(ctx context.Context) error {
	c := s.Plan.Config
	if c.RubyGems == nil && len(c.Gems.Install) == 0 {
		return nil
	}
	ruby, err := rubygems.FindRuby(s.layers.Merged())
	if err != nil {
		return &RubyError{err}
	}
	if c.RubyGems != nil {
		staged, err := s.fromArchive(ctx, lock.RubyGems, func(src *overlay.Tree) (*overlay.Tree, error) {
			return rubygems.StageRubyGems(ruby, src, c.RubyGems.Version)
		})
		if err != nil {
			return err
		}
		if err := s.place("rubygems-"+c.RubyGems.Version, true, staged); err != nil {
			return err
		}
		ruby.RubyGems = c.RubyGems.Version
	}
	return s.gems(ruby)
}

// fromArchive stages a source archive. One that cannot be staged does not stay in the cache: no digest of
// upstream vouches for it.
func (s *stage) fromArchive(ctx context.Context, kind string, stage func(*overlay.Tree) (*overlay.Tree, error)) (*overlay.Tree, error) {
	in := s.inputs.Archive(kind)
	t, err := s.keptTree(ctx, "mkbuild.archive/v2 "+in.SHA256, in.Name, func() (*overlay.Tree, error) {
		return s.inputs.Tree(in.Kind, in.Name)
	})
	if err != nil {
		return nil, err
	}
	staged, err := stage(t)
	if err != nil {
		s.inputs.Blob(in.Kind, in.Name).Discard()
	}
	return staged, err
}

// gems installs the gems, or puts them where the boot installs them from.
func (s *stage) gems(ruby *rubygems.Ruby) error {
	gems, err := s.inputs.Gems()
	if err != nil {
		return err
	}
	for _, g := range gems {
		if missing := g.MissingExecutables(); len(missing) > 0 {
			s.b.Inputs.Sink.Event(ui.Event{Level: ui.Warning, Step: "ruby", Item: g.File, Text: fmt.Sprintf(
				"the gem lists %s as executable and does not pack it: it gets no command (choose another version under gems.install if you need it)", strings.Join(missing, ", "))})
		}
	}
	place := rubygems.Install
	if s.Plan.Config.Gems.Mode == "boot" {
		if len(gems) > 0 && s.Plan.Config.RubyGems == nil && s.layers.Merged().Get(gemCommand) == nil {
			return &RubyError{errors.New("install gems while booting: the ruby extension has no /" + gemCommand)}
		}
		place = rubygems.Repository
		s.bootGems = rubygems.BootInstallScript(gems, ruby.RubyGems)
	}
	t, err := place(ruby, gems)
	if err != nil {
		return err
	}
	return s.place("gems", true, t)
}

// profile changes the base's own files and adds mk-client.
func (s *stage) profile(context.Context) error {
	c := s.Plan.Config
	if s.mkClient != nil {
		if err := s.placeClient(s.mkClient); err != nil {
			return err
		}
	}
	changed, err := profile.Apply(s.layers.Merged(), profile.Options{
		Profile: c.Profile, Version: c.Image.Version, Release: c.Release,
		Keys: s.b.Keys, BootGems: s.bootGems, Client: s.mkClient != nil,
	})
	if err != nil {
		return err
	}
	return s.layers.AddLastWins(changed)
}

// placeClient places the program, which is the same in many images, apart from its configuration.
func (s *stage) placeClient(all *overlay.Tree) error {
	program, settings := &overlay.Tree{}, all.Clone()
	if err := program.Put(*all.Get(profile.ClientPath)); err != nil {
		return err
	}
	settings.Remove(profile.ClientPath)
	if err := s.place("mk-client", true, program); err != nil {
		return err
	}
	return s.layers.AddLastWins(settings)
}

// client returns mk-client and its configuration, or nil when the image shall have none. A
// mkbuild that was built without it refuses: nobody would ever hear of the machines.
func (s *stage) client() (*overlay.Tree, error) {
	c := s.Plan.Config
	if c.Client.Disabled || s.b.Client == nil {
		return nil, nil //nolint:nilnil // no client is a normal answer
	}
	program, err := s.b.Client(c.Arch)
	if err != nil {
		return nil, err
	}
	return clientTree(program, c)
}

// recovered turns a panic of a parser into an error of the file that it parsed.
func recovered(name string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("read %s: the parser gave up: %v", name, p)
	}
}
