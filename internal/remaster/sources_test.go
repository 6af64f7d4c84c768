package remaster

import (
	"cmp"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
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
	_, err := b.Stage(t.Context(), p)
	if err == nil {
		t.Fatal("no error")
	}
	return err
}

// hintOf is what an error says to do.
func hintOf(t *testing.T, err error) string {
	t.Helper()
	h := fail.HintOf(err)
	if h == "" {
		t.Fatalf("no hint: %v", err)
	}
	return h
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

// A release that is there, without the digest beside it, is no unknown release.
func TestISOWithoutDigest(t *testing.T) {
	t.Parallel()
	dir := mirror(t)
	if err := os.Remove(filepath.Join(dir, isoPath+".md5.txt")); err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*Plan{"disk": plan(t, dir), "http": planAt(t, serve(t, dir).URL)} {
		err := stageFails(t, p)
		var e *NoDigestError
		if !errors.As(err, &e) || !errors.Is(err, fetch.ErrNotFound) || !strings.Contains(err.Error(), "archive/4.5.2: Core-4.5.2.iso.md5.txt is missing beside it") {
			t.Fatalf("%s: %v", name, err)
		}
		if h := e.Hint(); strings.Contains(h, "--release") || !strings.Contains(h, "md5sum Core-4.5.2.iso") {
			t.Errorf("%s: hint: %s", name, h)
		}
	}
}

func TestUnknownRelease(t *testing.T) {
	t.Parallel()
	dir := mirror(t)
	for _, d := range []string{"4.x/x86/archive/4.9", "4.x/x86/archive/4.10", "4.x/x86/archive/4.10rc2", "4.x/x86/archive/4.6", "3.x/x86/release", "12.x/x86/release", "scripts"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct{ release, want string }{
		{"4.99", "the mirror has 4.5.2, 4.6, 4.7.7, 4.9, 4.10rc2, 4.10: try --release 4.10"},
		{"4.6", "the mirror has 4.5.2, 4.7.7, 4.9, 4.10rc2, 4.10: try --release 4.10"}, // an empty folder is no release
		{"99.0", "the mirror has releases of 3.x, 4.x, 12.x, 15.x: "},
	}
	for _, tc := range tests {
		release := func(c *config.Config) { c.Release = tc.release }
		for name, p := range map[string]*Plan{"disk": plan(t, dir, release), "http": planAt(t, serve(t, dir).URL, release)} {
			err := stageFails(t, p)
			if h := hintOf(t, err); !as[*ReleaseError](err) || !strings.HasPrefix(h, tc.want) {
				t.Errorf("%s, %s: %v; hint %q, want %q", name, tc.release, err, h, tc.want)
			}
		}
	}
}

func TestCompareReleases(t *testing.T) {
	t.Parallel()
	want := []string{"1.0", "4.0alpha2", "4.0beta1", "4.0rc1", "4.0rc9", "4.0rc10", "4.0", "4.0.1", "4.5.2", "4.9", "4.10", "10.0"}
	for i, a := range want {
		for j, b := range want {
			if got := compareReleases(a, b); got != cmp.Compare(i, j) {
				t.Errorf("%q and %q: %d", a, b, got)
			}
		}
	}
}

// One mirror is asked once, and nobody is told of a next source that there is not.
func TestNoAddressTwice(t *testing.T) {
	t.Parallel()
	srv := serve(t, pristine)
	twice := func(c *config.Config) { c.Mirrors = append(c.Mirrors, c.Mirrors...) }
	for _, edit := range []func(*config.Config){func(*config.Config) {}, twice} {
		srv.breakIt("/bash.tcz", gone)
		before := len(srv.requests())
		_ = stageFails(t, planAt(t, srv.URL, bare("bash"), edit))
		seen := map[string]int{}
		for _, path := range srv.requests()[before:] {
			seen[path]++
		}
		for path, n := range seen {
			if n > 1 {
				t.Errorf("asked %d times for %s", n, path)
			}
		}
		srv.breakIt("/bash.tcz", failing)
		b, rec := builder(t, t.TempDir())
		if _, err := b.Stage(t.Context(), planAt(t, srv.URL, bare("bash"), edit)); !errors.Is(err, fetch.ErrUnreachable) {
			t.Errorf("got %v", err)
		}
		if got := rec.texts(ui.Warning); strings.Contains(got, "next source") {
			t.Errorf("warnings:\n%s", got)
		}
	}
}

func TestForbiddenDep(t *testing.T) {
	t.Parallel()
	srv := serve(t, pristine)
	srv.breakIt("/bash.tcz.dep", func(w http.ResponseWriter, _ []byte) { http.Error(w, "no", http.StatusForbidden) })
	err := stageFails(t, planAt(t, srv.URL, bare("bash")))
	if !errors.Is(err, fetch.ErrUnreachable) || !strings.Contains(err.Error(), "403") {
		t.Errorf("got %v", err)
	}
	if h := hintOf(t, err); !strings.Contains(h, "forbid what does not exist") || !strings.Contains(h, "bash.tcz.dep") {
		t.Errorf("hint: %s", h)
	}
}
