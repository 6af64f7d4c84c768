package remaster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/lock"
	"mkbuild/internal/mcoconfig"
	"mkbuild/internal/overlay"
	"mkbuild/internal/rubygems"
	"mkbuild/internal/ui"
)

// gemCommand is the program that installs gems at boot: RubyGems' or Ruby's own.
const gemCommand = "usr/local/bin/gem"

// noRuby is the error of an image without a Ruby for RubyGems or gems.
func noRuby(err error) error {
	return fail.Wrap(fail.Usage, err, "add ruby to `extensions` in mkbuild.yaml, or do without: `rubygems: null` and `gems: {install: []}`")
}

// ruby stages RubyGems and the gems as `ruby setup.rb` and `gem install` would install them.
func (l *layering) ruby(ctx context.Context) error {
	c := l.out.Plan.Config
	if c.RubyGems == nil && len(c.Gems.Install) == 0 {
		return nil
	}
	ruby, err := rubygems.FindRuby(l.out.layers.Merged())
	if err != nil {
		return noRuby(err)
	}
	if c.RubyGems != nil {
		staged, err := l.fromArchive(ctx, lock.RubyGems, func(src *overlay.Tree) (*overlay.Tree, error) {
			return rubygems.StageRubyGems(ruby, src, c.RubyGems.Version)
		})
		if err != nil {
			return err
		}
		if err := l.place("rubygems-"+c.RubyGems.Version, true, staged); err != nil {
			return err
		}
		ruby.RubyGems = c.RubyGems.Version
	}
	return l.gems(ruby)
}

// fromArchive stages a source archive. An archive that cannot be staged is removed from the cache: upstream
// publishes no digest of it.
func (l *layering) fromArchive(ctx context.Context, kind string, stage func(*overlay.Tree) (*overlay.Tree, error)) (*overlay.Tree, error) {
	in := l.out.inputs.Archive(kind)
	t, err := unpackedTree(ctx, l.b.store(), "mkbuild.archive/v2 "+in.SHA256, in.Name, func() (*overlay.Tree, error) {
		return l.out.inputs.Tree(in.Kind, in.Name)
	})
	if err != nil {
		return nil, err
	}
	staged, err := stage(t)
	if err != nil {
		l.out.inputs.Blob(in.Kind, in.Name).Discard()
	}
	return staged, err
}

// gems installs the gems, or places them for an installation while booting.
func (l *layering) gems(ruby *rubygems.Ruby) error {
	gems, err := l.out.inputs.Gems()
	if err != nil {
		return err
	}
	for _, g := range gems {
		if missing := g.MissingExecutables(); len(missing) > 0 {
			l.b.say(ui.Warning, "ruby", g.File, fmt.Sprintf(
				"the gem lists the executable %s but does not contain it: the command is missing (choose another version under gems.install if you need it)", strings.Join(missing, ", ")))
		}
	}
	place := rubygems.Install
	if l.out.Plan.Config.Gems.Mode == "boot" {
		if len(gems) > 0 && l.out.Plan.Config.RubyGems == nil && l.out.layers.Merged().Get(gemCommand) == nil {
			return noRuby(errors.New("install gems while booting: the ruby extension has no /" + gemCommand))
		}
		place = rubygems.Repository
		l.bootGems = rubygems.BootInstallScript(gems, ruby.RubyGems)
	}
	t, err := place(ruby, gems)
	if err != nil {
		return err
	}
	return l.place("gems", true, t)
}

// mcollective stages the agent's tree and its server.cfg.
func (l *layering) mcollective(ctx context.Context) error {
	m := l.out.Plan.Config.MCollective
	if m == nil {
		return nil
	}
	cfg, err := l.serverCfg(m)
	if err != nil {
		return err
	}
	staged, err := l.fromArchive(ctx, lock.MCollective, func(src *overlay.Tree) (*overlay.Tree, error) {
		cfg.Fit(src)
		return mcoconfig.Stage(src, m.Version, cfg.Render())
	})
	if err != nil {
		return err
	}
	secrets := &overlay.Tree{}
	if err := secrets.Put(*staged.Get(mcoconfig.ServerCfg)); err != nil {
		return err
	}
	staged.Remove(mcoconfig.ServerCfg)
	if err := l.place("mcollective-"+m.Version, true, staged); err != nil {
		return err
	}
	return l.out.layers.AddLastWins(secrets)
}

// lintMCollective warns of mistakes in the finished image that would stop mcollectived.
func (l *layering) lintMCollective(all *overlay.Tree) (err error) {
	defer fail.Recover("mcollective", &err)
	if l.out.Plan.Config.MCollective == nil {
		return nil
	}
	gems, err := l.out.inputs.Gems()
	if err != nil {
		return err
	}
	var has func(string) bool
	ruby, err := rubygems.FindRuby(all)
	if err == nil {
		has = func(feature string) bool { return ruby.Provides(all, gems, feature) }
	} else {
		l.b.say(ui.Warning, "mcollective", "mcollectived", fmt.Sprintf("it runs on Ruby: %v; %s", err, fail.HintOf(err)))
	}
	for _, f := range mcoconfig.Lint(all, has) {
		l.b.say(ui.Warning, "mcollective", "server.cfg", f.String())
	}
	return nil
}

// serverCfg merges the user's values into the default server.cfg.
func (l *layering) serverCfg(m *config.MCO) (*mcoconfig.Config, error) {
	values := make(map[string]*string, len(m.Server))
	for key, v := range m.Server {
		if v == nil {
			values[key] = nil
			continue
		}
		secret, err := v.Resolve(l.b.Secrets)
		if err != nil {
			return nil, config.Mistake("mcollective.server."+key, err.Error(), "set it, or give another source in mkbuild.yaml")
		}
		text := secret.Reveal()
		values[key] = &text
	}
	cfg := mcoconfig.Default()
	if err := cfg.Apply(values); err != nil {
		return nil, config.Mistake("mcollective.server", fmt.Sprint(err), "")
	}
	return cfg, nil
}
