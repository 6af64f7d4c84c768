package remaster

import (
	"errors"
	"strings"
	"testing"

	"mkbuild/internal/config"
	"mkbuild/internal/ui"
)

// bare leaves nothing in the image but extensions.
func bare(extensions ...string) func(*config.Config) {
	return func(c *config.Config) {
		c.Extensions, c.Picks, c.RubyGems, c.MCollective, c.Gems.Install = extensions, nil, nil, nil, nil
	}
}

// stageFails stages a plan that must not work.
func stageFails(t *testing.T, p *Plan) error {
	t.Helper()
	b, _ := builder(t, t.TempDir())
	s, err := b.Stage(t.Context(), p)
	if err == nil {
		s.Close()
		t.Fatal("no error")
	}
	return err
}

// hintOf is what an error says to do.
func hintOf(t *testing.T, err error) string {
	t.Helper()
	h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err)
	if !ok {
		t.Fatalf("no hint: %v", err)
	}
	return h.Hint()
}

func TestMissingExtension(t *testing.T) {
	t.Parallel()
	missing := func(names ...string) func(*config.Config) {
		return func(c *config.Config) { c.Missing = names }
	}
	for _, name := range []string{"nowhere", "nowhere.tcz"} {
		_, s, rec := staged(t, plan(t, pristine, bare("bash", "broken-dep"), missing(name)))
		want := "resolve nowhere.tcz: no mirror has it (asked for by broken-dep.tcz → middle.tcz)"
		if got := rec.texts(ui.Warning); !strings.Contains(got, want) {
			t.Errorf("warnings:\n%swant %q", got, want)
		}
		added := s.Added()
		for _, n := range []string{"usr/local/bin/x", "usr/local/bin/y", "usr/local/tce.installed/middle"} {
			if added.Get(n) == nil {
				t.Errorf("%s: the image has no %s", name, n)
			}
		}
		if added.Get("usr/local/tce.installed/nowhere") != nil {
			t.Errorf("%s: the image says that it has it", name)
		}
	}
	for _, other := range []string{"middle", "nowher"} {
		err := stageFails(t, plan(t, pristine, bare("broken-dep"), missing(other)))
		if d, ok := errors.AsType[*DependencyError](err); !ok || d.File != "nowhere.tcz" {
			t.Fatalf("%s: %v", other, err)
		}
		if h := hintOf(t, err); !strings.Contains(h, "take broken-dep out of `extensions`") || !strings.Contains(h, "list nowhere under `missing`") {
			t.Errorf("hint: %s", h)
		}
	}
}

// An extension whose digest is there is somewhere: to list it as missing would not help.
func TestMissingExtensionWithDigest(t *testing.T) {
	t.Parallel()
	srv := serve(t, pristine)
	srv.breakIt("/ncurses.tcz", gone)
	err := stageFails(t, planAt(t, srv.URL, bare("bash"), func(c *config.Config) { c.Missing = []string{"ncurses"} }))
	if !as[*DependencyError](err) || strings.Contains(hintOf(t, err), "missing") {
		t.Errorf("%v; hint: %s", err, hintOf(t, err))
	}
}
