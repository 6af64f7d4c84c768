package remaster

import (
	"context"
	"fmt"

	"mkbuild/internal/config"
	"mkbuild/internal/lock"
	"mkbuild/internal/mcoconfig"
	"mkbuild/internal/overlay"
	"mkbuild/internal/ui"
)

// mcollective stages the agent's tree and its server.cfg.
func (s *stage) mcollective(ctx context.Context) error {
	m := s.Plan.Config.MCollective
	if m == nil {
		return nil
	}
	cfg, err := s.serverCfg(m)
	if err != nil {
		return err
	}
	staged, err := s.fromArchive(ctx, lock.MCollective, func(src *overlay.Tree) (*overlay.Tree, error) {
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
	if err := s.place("mcollective-"+m.Version, true, staged); err != nil {
		return err
	}
	if err := s.layers.AddLastWins(secrets); err != nil {
		return err
	}
	for _, f := range cfg.Lint(s.layers.Merged()) {
		s.b.Inputs.Sink.Event(ui.Event{Level: ui.Warning, Step: "mcollective", Item: "server.cfg", Text: f.String()})
	}
	return nil
}

// serverCfg puts the user's values over the document's.
func (s *stage) serverCfg(m *config.MCO) (*mcoconfig.Config, error) {
	values := make(map[string]*string, len(m.Server))
	for key, v := range m.Server {
		if v == nil {
			values[key] = nil
			continue
		}
		secret, err := v.Resolve(s.b.Secrets)
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
