package inputs

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
	"mkbuild/internal/ui"
)

// With a lock no mirror is asked for its list, and the inputs are the same.
func TestLocked(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"prod", "dev"} {
		srv := tinymirror.ServeDir(t, pristine)
		p := planAt(t, srv.URL, profileOf(profile))
		o, _ := options(t.TempDir())
		want := deciding(gathered(t, p, o))
		o, rec := options(t.TempDir())
		o.Lock, o.Strict = lockOf(t, planAt(t, srv.URL)), true // that of a prod configuration
		before := len(srv.Requests())
		if got := deciding(gathered(t, p, o)); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", profile, got, want)
		}
		for _, path := range srv.Requests()[before:] {
			if strings.HasSuffix(path, ".txt") || strings.HasSuffix(path, ".dep") || strings.HasSuffix(path, ".info") {
				t.Errorf("%s: asked for %s", profile, path)
			}
		}
		if w := rec.Texts(ui.Warning); strings.Contains(w, "lock") {
			t.Errorf("%s: warnings:\n%s", profile, w)
		}
	}
}

// The load order, which decides conflicts, follows the .dep files.
func TestLockedOrder(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	testkit.Put(t, filepath.Join(dir, tczDir, "bash.tcz.dep"), []byte("ncurses\nlshw\nncurses-KERNEL\nlshw\n dmidecode\nncurses.tcz"))
	p := plan(t, dir, bare("bash"), missing("ncurses-KERNEL"))
	o, _ := options(warm)
	want := gathered(t, p, o).Extensions
	o.Lock = lockOf(t, p)
	if got := gathered(t, p, o).Extensions; !slices.Equal(got, want) || len(want) != 5 {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A difference from the lock is an error that names the input, both hashes and the command that accepts it.
func TestStrict(t *testing.T) {
	t.Parallel()
	l := lockOf(t, plan(t, pristine))
	l.Command = "mkbuild lock --config my.yaml"
	other := *l
	other.Inputs = slices.Clone(l.Inputs)
	for i := range other.Inputs {
		if other.Inputs[i].Name == "bash.tcz" {
			other.Inputs[i].SHA256 = strings.Repeat("0", 64)
		}
	}
	less, _ := l.Without("daemons")
	same := func(*config.Config) {}
	for _, tt := range []struct {
		name   string
		lock   *lock.Lock
		edit   edit
		want   string
		hinted string
	}{
		{"missing", nil, few, "no such file", "`mkbuild lock`"},
		{"stale", l, bare("bash", "lshw"), "the configuration has changed: extensions no longer has", "`mkbuild lock --config my.yaml`"},
		{"lacks one", less, same, "daemons-1.1.8.gem", "`mkbuild lock --config my.yaml`"},
		{"other bytes", &other, same, "bash.tcz against the lock: sha256: locked " + strings.Repeat("0", 64) + ", now " + l.Find(lock.TCZ, "bash.tcz").SHA256, "mkbuild lock --config my.yaml --update=bash.tcz`"},
	} {
		o, _ := options(t.TempDir())
		o.Lock, o.Strict = tt.lock, true
		_, err := gather(t, plan(t, pristine, tt.edit), o)
		if fail.ClassOf(err) != fail.Drift || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if h := hintOf(t, err); !strings.Contains(h, tt.hinted) {
			t.Errorf("%s: hint %q", tt.name, h)
		}
	}
}

// Without --locked a stale lock is a warning: its pins stay, and new inputs are resolved.
func TestStaleLock(t *testing.T) {
	t.Parallel()
	l := lockOf(t, plan(t, pristine, bare("bash")))
	srv := tinymirror.ServeDir(t, pristine)
	o, rec := options(t.TempDir())
	o.Lock = l
	gathered(t, planAt(t, srv.URL, bare("bash", "lshw")), o)
	for _, want := range []string{"mkbuild.lock: it was made for another configuration", "lshw.tcz: it is not in the lock"} {
		if got := rec.Texts(ui.Warning); !strings.Contains(got, want) {
			t.Errorf("no warning %q in\n%s", want, got)
		}
	}
	asked := strings.Join(srv.Requests(), "\n")
	if strings.Contains(asked, "bash.tcz.md5.txt") || !strings.Contains(asked, "lshw.tcz.md5.txt") {
		t.Errorf("asked for\n%s", asked)
	}
}

// A mirror with other bytes is skipped; if none has the locked bytes, verification fails with the command to accept
// them.
func TestOtherBytes(t *testing.T) {
	t.Parallel()
	l := lockOf(t, plan(t, pristine))
	l.Find(lock.TCZ, "bash.tcz").URL = "" // otherwise that place comes first
	dir := tinymirror.New(t)
	name := filepath.Join(dir, tczDir, "bash.tcz")
	testkit.Put(t, name, append(testkit.Read(t, name), 0))
	o, rec := options(t.TempDir())
	o.Lock = l
	_, err := gather(t, plan(t, dir), o)
	sum, ok := errors.AsType[*fetch.ChecksumError](err)
	if !ok || fail.ClassOf(err) != fail.Verification || sum.Name != "bash.tcz" || !strings.Contains(hintOf(t, err), "--update=bash.tcz") {
		t.Fatalf("%v", err)
	}
	both := plan(t, dir, func(c *config.Config) { c.Mirrors = append(c.Mirrors, pristine) })
	for _, strict := range []bool{false, true} {
		o.Strict = strict
		gathered(t, both, o)
	}
	if got := rec.Texts(ui.Warning); !strings.Contains(got, "wrong sha256") {
		t.Errorf("warnings:\n%s", got)
	}
}

// In another series or architecture, names mean other files.
func TestForeignLock(t *testing.T) {
	t.Parallel()
	l := lockOf(t, plan(t, pristine))
	l.Arch = "x86_64"
	for i := range l.Inputs {
		if in := &l.Inputs[i]; in.Kind == lock.TCZ || in.Kind == lock.ISO {
			in.SHA256 = strings.Repeat("1", 64)
		}
	}
	o, _ := options(t.TempDir())
	o.Lock = l
	gathered(t, plan(t, pristine), o)
}

// An extension that the configuration lists as missing is not requested again, and a lock without it is complete.
func TestLockedWithoutTheMissing(t *testing.T) {
	t.Parallel()
	srv := tinymirror.ServeDir(t, pristine)
	p := planAt(t, srv.URL, bare("broken-dep"), missing("nowhere"))
	o, rec := options(t.TempDir())
	o.Lock, o.Strict = lockOf(t, p), true
	before := len(srv.Requests())
	gathered(t, p, o)
	if asked := strings.Join(srv.Requests()[before:], "\n"); strings.Contains(asked, "nowhere") {
		t.Errorf("asked for\n%s", asked)
	}
	if got := rec.Texts(ui.Warning); !strings.Contains(got, "nowhere.tcz: no mirror has it") {
		t.Errorf("warnings:\n%s", got)
	}
}

// A hash that the user adds to mkbuild.yaml after locking decides.
func TestOwnHashIsYoungerThanTheLock(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	o, _ := options(t.TempDir())
	o.Lock = lockOf(t, plan(t, dir))
	name := filepath.Join(dir, "archives", "stomp-1.2.0.gem")
	testkit.Put(t, name, tinymirror.Gem("stomp", "1.2.0", []string{"another"}))
	sum := fmt.Sprintf("%x", sha256.Sum256(testkit.Read(t, name)))
	p := plan(t, dir, func(c *config.Config) { c.Gems.Install[1].SHA256 = strings.ToUpper(sum) })
	if got := gathered(t, p, o).Lock.Find(lock.Gem, "stomp-1.2.0.gem").SHA256; got != sum {
		t.Errorf("the image has the gem %s, not %s", got, sum)
	}
}

// The lock omits the edges of an extension that is only picked from.
func TestPickedBecomesWanted(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	testkit.Put(t, filepath.Join(dir, tczDir, "util-linux.tcz.dep"), []byte("ncurses.tcz\n"))
	o, _ := options(t.TempDir())
	picked := func(c *config.Config) {
		c.Picks = []config.Pick{{Extension: "util-linux", Files: []string{"usr/local/bin/lscpu"}}}
	}
	o.Lock = lockOf(t, plan(t, dir, bare("lshw"), picked))
	if in := o.Lock.Find(lock.TCZ, "util-linux.tcz"); !in.OnlyPicked() || len(in.Needs) > 0 {
		t.Fatalf("%+v", in)
	}
	wanted := plan(t, dir, bare("lshw", "util-linux"))
	if got := gathered(t, wanted, o).Extensions; !slices.Contains(got, "ncurses.tcz") {
		t.Errorf("what util-linux depends on is not among %q", got)
	}
	if in := locked(t, wanted, o).Lock.Find(lock.TCZ, "util-linux.tcz"); !slices.Equal(in.Needs, []string{"ncurses.tcz"}) || in.OnlyPicked() {
		t.Errorf("%+v", in)
	}
}
