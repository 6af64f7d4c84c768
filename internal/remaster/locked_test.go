package remaster

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
	"mkbuild/internal/ui"
)

// resolved is the lock of a plan, made with a cache of its own.
func resolved(t testing.TB, p *Plan) *lock.Lock {
	t.Helper()
	b, _ := builder(t, t.TempDir())
	r, err := b.Resolve(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return r.Lock
}

// overlaySum is the hash of what an image of a plan adds.
func overlaySum(t testing.TB, b *Builder, p *Plan) string {
	t.Helper()
	s, err := b.Stage(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "overlay.tar.gz")
	if err := b.WriteOverlay(t.Context(), s, name); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(readFile(t, name)))
}

// With a lock no mirror is asked what it has, and the image is the same.
func TestStageLocked(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"prod", "dev"} {
		srv := serve(t, pristine)
		p := planAt(t, srv.URL, profileOf(profile))
		b, _ := builder(t, t.TempDir())
		want := overlaySum(t, b, p)
		locked, rec := builder(t, t.TempDir())
		locked.Lock, locked.Strict = resolved(t, planAt(t, srv.URL)), true
		if profile == "dev" { // the lock is that of a prod configuration
			locked.Epoch = new(int64)
			*locked.Epoch = locked.Lock.SourceDate
		}
		before := len(srv.requests())
		if got := overlaySum(t, locked, p); got != want {
			t.Errorf("%s: other bytes with the lock", profile)
		}
		for _, path := range srv.requests()[before:] {
			if strings.HasSuffix(path, ".txt") || strings.HasSuffix(path, ".dep") || strings.HasSuffix(path, ".info") {
				t.Errorf("%s: asked for %s", profile, path)
			}
		}
		if w := rec.texts(ui.Warning); strings.Contains(w, "lock") {
			t.Errorf("%s: warnings:\n%s", profile, w)
		}
	}
}

// The order of loading, which decides conflicts, is that of the .dep files.
func TestLockedOrder(t *testing.T) {
	t.Parallel()
	dir := mirror(t)
	writeFile(t, filepath.Join(dir, tczDir, "bash.tcz.dep"), []byte("ncurses\nlshw\nncurses-KERNEL\nlshw\n dmidecode\nncurses.tcz"))
	p := plan(t, dir, bare("bash"), func(c *config.Config) { c.Missing = []string{"ncurses-KERNEL"} })
	b, _ := builder(t, warm)
	names := func() (out []string) {
		s, err := b.sources(p)
		if err != nil {
			t.Fatal(err)
		}
		s.dirs, s.kernel = p.TCZDirs, "3.0.21-tinycore"
		es, err := s.closure(t.Context(), p.Extensions, s.kernel)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range es {
			out = append(out, e.File)
		}
		return out
	}
	want := names()
	b.Lock = resolved(t, p)
	if got := names(); !slices.Equal(got, want) || len(want) != 5 {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Whatever is not as locked is an error that names the input, both hashes and what accepts it.
func TestStrict(t *testing.T) {
	t.Parallel()
	l := resolved(t, plan(t, pristine))
	l.Command = "mkbuild lock --config my.yaml"
	other := *l
	other.Inputs = slices.Clone(l.Inputs)
	for i := range other.Inputs {
		if other.Inputs[i].Name == "bash.tcz" {
			other.Inputs[i].SHA256 = strings.Repeat("0", 64)
		}
	}
	less, _ := l.Without("daemons")
	for _, tt := range []struct {
		name   string
		lock   *lock.Lock
		edit   func(*config.Config)
		want   string
		hinted string
	}{
		{"missing", nil, nil, "there is none", "`mkbuild lock`"},
		{"stale", l, bare("bash", "lshw"), "another configuration", "`mkbuild lock --config my.yaml`"},
		{"lacks one", less, nil, "daemons-1.1.8.gem", "`mkbuild lock --config my.yaml`"},
		{"other bytes", &other, nil, "bash.tcz against the lock: sha256: locked " + strings.Repeat("0", 64) + ", now " + l.Find(lock.TCZ, "bash.tcz").SHA256, "mkbuild lock --config my.yaml --update=bash.tcz`"},
	} {
		edits := []func(*config.Config){}
		if tt.edit != nil {
			edits = append(edits, tt.edit)
		}
		b, _ := builder(t, t.TempDir())
		b.Lock, b.Strict = tt.lock, true
		_, err := b.Stage(t.Context(), plan(t, pristine, edits...))
		if fail.ClassOf(err) != fail.Drift || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if h := hintOf(t, err); !strings.Contains(h, tt.hinted) {
			t.Errorf("%s: hint %q", tt.name, h)
		}
	}
}

// Without --locked a stale lock is a warning: what it has stays, what is new is resolved.
func TestStaleLock(t *testing.T) {
	t.Parallel()
	l := resolved(t, plan(t, pristine, bare("bash")))
	srv := serve(t, pristine)
	b, rec := builder(t, t.TempDir())
	b.Lock = l
	_, err := b.Stage(t.Context(), planAt(t, srv.URL, bare("bash", "lshw")))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"mkbuild.lock: it was made for another configuration", "lshw.tcz: the lock has none"} {
		if got := rec.texts(ui.Warning); !strings.Contains(got, want) {
			t.Errorf("no warning %q in\n%s", want, got)
		}
	}
	asked := strings.Join(srv.requests(), "\n")
	if strings.Contains(asked, "bash.tcz.md5.txt") || !strings.Contains(asked, "lshw.tcz.md5.txt") {
		t.Errorf("asked for\n%s", asked)
	}
}

// A mirror with other bytes is passed over; when none has the locked ones, that is a failed
// verification, with the way to accept them.
func TestOtherBytes(t *testing.T) {
	t.Parallel()
	l := resolved(t, plan(t, pristine))
	l.Find(lock.TCZ, "bash.tcz").URL = "" // else that place comes first
	dir := mirror(t)
	name := filepath.Join(dir, tczDir, "bash.tcz")
	writeFile(t, name, append(readFile(t, name), 0))
	b, rec := builder(t, t.TempDir())
	b.Lock = l
	_, err := b.Stage(t.Context(), plan(t, dir))
	sum, ok := errors.AsType[*fetch.ChecksumError](err)
	if !ok || fail.ClassOf(err) != fail.Verification || sum.Name != "bash.tcz" || !strings.Contains(hintOf(t, err), "--update=bash.tcz") {
		t.Fatalf("%v", err)
	}
	both := plan(t, dir, func(c *config.Config) { c.Mirrors = append(c.Mirrors, pristine) })
	for _, strict := range []bool{false, true} {
		b.Strict = strict
		_, err := b.Stage(t.Context(), both)
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := rec.texts(ui.Warning); !strings.Contains(got, "wrong sha256") {
		t.Errorf("warnings:\n%s", got)
	}
}

// Names mean other files in another series or architecture.
func TestForeignLock(t *testing.T) {
	t.Parallel()
	l := resolved(t, plan(t, pristine))
	l.Arch = "x86_64"
	for i := range l.Inputs {
		if in := &l.Inputs[i]; in.Kind == lock.TCZ || in.Kind == lock.ISO {
			in.SHA256 = strings.Repeat("1", 64)
		}
	}
	b, _ := builder(t, t.TempDir())
	b.Lock = l
	_, err := b.Stage(t.Context(), plan(t, pristine))
	if err != nil {
		t.Fatal(err)
	}
}

// What the configuration lists as missing is not asked for again, and a lock without it is whole.
func TestLockedWithoutTheMissing(t *testing.T) {
	t.Parallel()
	missing := func(c *config.Config) { c.Missing = []string{"nowhere"} }
	srv := serve(t, pristine)
	p := planAt(t, srv.URL, bare("broken-dep"), missing)
	b, rec := builder(t, t.TempDir())
	b.Lock, b.Strict = resolved(t, p), true
	before := len(srv.requests())
	_, err := b.Stage(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if asked := strings.Join(srv.requests()[before:], "\n"); strings.Contains(asked, "nowhere") {
		t.Errorf("asked for\n%s", asked)
	}
	if got := rec.texts(ui.Warning); !strings.Contains(got, "nowhere.tcz: no mirror has it") {
		t.Errorf("warnings:\n%s", got)
	}
}

// A hash that the user wrote into mkbuild.yaml after the lock was made decides.
func TestOwnHashIsYoungerThanTheLock(t *testing.T) {
	t.Parallel()
	dir := mirror(t)
	b, _ := builder(t, t.TempDir())
	b.Lock = resolved(t, plan(t, dir))
	name := filepath.Join(dir, "archives", "stomp-1.2.0.gem")
	writeFile(t, name, tinymirror.Gem("stomp", "1.2.0", []string{"another"}))
	sum := fmt.Sprintf("%x", sha256.Sum256(readFile(t, name)))
	p := plan(t, dir, func(c *config.Config) { c.Gems.Install[1].SHA256 = strings.ToUpper(sum) })
	s, err := b.Stage(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(s.Inputs(), func(in lock.Input) bool { return in.Name == "stomp-1.2.0.gem" })
	if got := s.Inputs()[i].SHA256; got != sum {
		t.Errorf("the image has the gem %s, not %s", got, sum)
	}
}

// The edges of an extension that was only picked from are not in the lock.
func TestPickedBecomesWanted(t *testing.T) {
	t.Parallel()
	dir := mirror(t)
	writeFile(t, filepath.Join(dir, tczDir, "util-linux.tcz.dep"), []byte("ncurses.tcz\n"))
	b, _ := builder(t, t.TempDir())
	picked := func(c *config.Config) {
		c.Picks = []config.Pick{{Extension: "util-linux", Files: []string{"usr/local/bin/lscpu"}}}
	}
	b.Lock = resolved(t, plan(t, dir, bare("lshw"), picked))
	if in := b.Lock.Find(lock.TCZ, "util-linux.tcz"); !in.OnlyPicked() || len(in.Needs) > 0 {
		t.Fatalf("%+v", in)
	}
	wanted := plan(t, dir, bare("lshw", "util-linux"))
	s, err := b.Stage(t.Context(), wanted)
	if err != nil {
		t.Fatal(err)
	}
	if s.Added().Get("usr/local/lib/libncurses.so.5") == nil {
		t.Error("the image lacks what util-linux depends on")
	}
	r, err := b.Resolve(t.Context(), wanted)
	if err != nil {
		t.Fatal(err)
	}
	if in := r.Lock.Find(lock.TCZ, "util-linux.tcz"); !slices.Equal(in.Needs, []string{"ncurses.tcz"}) || in.OnlyPicked() {
		t.Errorf("%+v", in)
	}
}
