package inputs

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/ui"
)

func TestMissingExtension(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"nowhere", "nowhere.tcz"} {
		o, rec := options(warm)
		r := gathered(t, plan(t, pristine, bare("bash", "broken-dep"), missing(name)), o)
		want := "resolve nowhere.tcz: no mirror has it (asked for by broken-dep.tcz → middle.tcz)"
		if got := rec.Texts(ui.Warning); !strings.Contains(got, want) {
			t.Errorf("warnings:\n%swant %q", got, want)
		}
		if want := []string{"ncurses-common.tcz", "ncurses.tcz", "bash.tcz", "middle.tcz", "broken-dep.tcz"}; !slices.Equal(r.Extensions, want) {
			t.Errorf("%s: got %q, want %q", name, r.Extensions, want)
		}
	}
	for _, other := range []string{"middle", "nowher"} {
		err := gatherFails(t, plan(t, pristine, bare("broken-dep"), missing(other)))
		if !errors.Is(err, fetch.ErrNotFound) || !strings.HasPrefix(err.Error(), "resolve nowhere.tcz (asked for by broken-dep.tcz → middle.tcz): ") {
			t.Fatalf("%s: %v", other, err)
		}
		if h := hintOf(t, err); !strings.Contains(h, "take broken-dep out of `extensions`") || !strings.Contains(h, "list nowhere under `missing`") {
			t.Errorf("hint: %s", h)
		}
	}
	err := gatherFails(t, plan(t, pristine, bare("bash", "nothing-like-it")))
	if !errors.Is(err, fetch.ErrNotFound) || !strings.HasPrefix(err.Error(), "resolve nothing-like-it.tcz: ") || strings.Contains(hintOf(t, err), "missing") {
		t.Errorf("%v; hint: %s", err, hintOf(t, err))
	}
}

// An extension with an existing digest exists somewhere: listing it as missing would not help.
func TestMissingExtensionWithDigest(t *testing.T) {
	t.Parallel()
	srv := tinymirror.ServeDir(t, pristine)
	srv.Break("/ncurses.tcz", tinymirror.Gone)
	err := gatherFails(t, planAt(t, srv.URL, bare("bash"), missing("ncurses")))
	if !errors.Is(err, fetch.ErrNotFound) || strings.Contains(hintOf(t, err), "missing") {
		t.Errorf("%v; hint: %s", err, hintOf(t, err))
	}
}

// An existing release without the digest next to it is not an unknown release.
func TestISOWithoutDigest(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	remove(t, dir, isoPath+".md5.txt")
	for name, p := range map[string]*Plan{"disk": plan(t, dir), "http": planAt(t, tinymirror.ServeDir(t, dir).URL)} {
		err := gatherFails(t, p)
		if fail.ClassOf(err) != fail.Network || !strings.Contains(err.Error(), "archive/4.5.2 has no Core-4.5.2.iso.md5.txt") {
			t.Fatalf("%s: %v", name, err)
		}
		if h := hintOf(t, err); strings.Contains(h, "--release") || !strings.Contains(h, "md5sum Core-4.5.2.iso") {
			t.Errorf("%s: hint: %s", name, h)
		}
	}
}

func TestUnknownRelease(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	for _, d := range []string{"4.x/x86/archive/4.9", "4.x/x86/archive/4.10", "4.x/x86/archive/4.10rc2", "4.x/x86/archive/4.6"} {
		testkit.Must(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	tests := []struct{ release, want string }{
		{"4.99", "the mirror has 4.5.2, 4.6, 4.7.7, 4.9, 4.10rc2, 4.10: try --release 4.10"},
		{"4.6", "the mirror has 4.5.2, 4.7.7, 4.9, 4.10rc2, 4.10: try --release 4.10"}, // an empty folder is not a release
		{"99.0", "`mkbuild releases` lists the series; "},
	}
	for _, tc := range tests {
		release := func(c *config.Config) { c.Release = tc.release }
		for name, p := range map[string]*Plan{"disk": plan(t, dir, release), "http": planAt(t, tinymirror.ServeDir(t, dir).URL, release)} {
			err := gatherFails(t, p)
			if h := hintOf(t, err); fail.ClassOf(err) != fail.Network || !strings.HasPrefix(h, tc.want) {
				t.Errorf("%s, %s: %v; hint %q, want %q", name, tc.release, err, h, tc.want)
			}
		}
	}
}

// A single mirror is asked once, and no message names a next source that does not exist.
func TestNoAddressTwice(t *testing.T) {
	t.Parallel()
	srv := tinymirror.ServeDir(t, pristine)
	twice := func(c *config.Config) { c.Mirrors = append(c.Mirrors, c.Mirrors...) }
	for _, edit := range []edit{few, twice} {
		srv.Break("/bash.tcz", tinymirror.Gone)
		before := len(srv.Requests())
		_ = gatherFails(t, planAt(t, srv.URL, bare("bash"), edit))
		seen := map[string]int{}
		for _, path := range srv.Requests()[before:] {
			seen[path]++
		}
		for path, n := range seen {
			if n > 1 {
				t.Errorf("asked %d times for %s", n, path)
			}
		}
		srv.Break("/bash.tcz", tinymirror.Failing)
		o, rec := options(t.TempDir())
		if _, err := gather(t, planAt(t, srv.URL, bare("bash"), edit), o); !errors.Is(err, fetch.ErrUnreachable) {
			t.Errorf("got %v", err)
		}
		if got := rec.Texts(ui.Warning); strings.Contains(got, "next source") {
			t.Errorf("warnings:\n%s", got)
		}
	}
}

func TestForbiddenDep(t *testing.T) {
	t.Parallel()
	srv := tinymirror.ServeDir(t, pristine)
	srv.Break("/bash.tcz.dep", func(w http.ResponseWriter, _ []byte) { http.Error(w, "no", http.StatusForbidden) })
	err := gatherFails(t, planAt(t, srv.URL, bare("bash")))
	if !errors.Is(err, fetch.ErrUnreachable) || !strings.Contains(err.Error(), "403") {
		t.Errorf("got %v", err)
	}
	if h := hintOf(t, err); !strings.Contains(h, "forbid missing files") || !strings.Contains(h, "bash.tcz.dep") {
		t.Errorf("hint: %s", h)
	}
}

// The first mirror that lists its folders determines the list.
func TestReleases(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, d := range []string{
		"4.x/x86/archive/4.5.2", "4.x/x86/archive/4.10rc2", "4.x/x86/archive/4.10", "4.x/x86/archive/src", "4.x/armv6/release", "4.x/x86_64/release", "18.x/x86_64/archive/18.0", "latest", "x.x",
	} {
		testkit.Must(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	for _, f := range []string{"Core-4.11.iso", "Core-4.11.iso.md5.txt", "CorePlus-4.11.iso", "TinyCore-4.11.iso", "Core-current.iso", "Other-4.12.iso", "CorePlus-4.10.iso"} {
		testkit.Put(t, filepath.Join(dir, "4.x/x86/release", f), nil)
	}
	listing, silent := testkit.ServeMirror(t, dir, true), testkit.ServeMirror(t, dir, false)
	for want, bases := range map[string][]string{
		listing: {silent, "http://127.0.0.1:1/", listing},
		dir:     {t.TempDir(), dir, listing},
	} {
		o, _ := options(t.TempDir())
		all, mirror, err := Releases(t.Context(), bases, o)
		testkit.Must(t, err)
		if mirror != want || len(all) != 2 || all[0].Name() != "4.x x86" || all[1].Name() != "18.x x86_64" {
			t.Fatalf("%s has %+v", mirror, all)
		}
		if got := all[0]; !slices.Equal(got.Releases, []string{"4.5.2", "4.10rc2", "4.10", "4.11"}) || !slices.Equal(got.Editions, []string{"Core", "CorePlus", "TinyCore"}) || len(got.Kernels) != 2 {
			t.Errorf("got %+v", got)
		}
		if got := all[1]; !slices.Equal(got.Releases, []string{"18.0"}) || got.Editions != nil || got.Kernels != nil {
			t.Errorf("got %+v", got)
		}
	}
	o, _ := options(t.TempDir())
	if all, mirror, err := Releases(t.Context(), []string{silent, "http://127.0.0.1:1/"}, o); err == nil || all != nil || mirror != "" {
		t.Errorf("%v, %s, %v", all, mirror, err)
	}
}
