package inputs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
	"mkbuild/internal/store"
	"mkbuild/internal/ui"
)

// A lock has the inputs of every profile, and the time of the user's own profile.
func TestResolve(t *testing.T) {
	t.Parallel()
	p := plan(t, pristine)
	l := lockOf(t, p)
	o, _ := options(warm)
	prod, dev := gathered(t, p, o).Lock, gathered(t, plan(t, pristine, profileOf("dev")), o).Lock
	if l.SourceDate != prod.SourceDate || l.Kernel != prod.Kernel || l.Config != lock.Digest(&p.Config) {
		t.Errorf("date %d, kernel %s, config %s; a build has %d, %s", l.SourceDate, l.Kernel, l.Config, prod.SourceDate, prod.Kernel)
	}
	if got, want := described(l.Inputs), described(dev.Inputs); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The time of a lock ignores inputs of other profiles.
func TestLockHasTheTimeOfItsProfile(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	image := testkit.Read(t, filepath.Join(dir, tczDir, "openssh.tcz"))
	binary.LittleEndian.PutUint32(image[8:], 1500000000) // squashfs' superblock: when it was made
	tinymirror.Publish(t, dir, tczDir+"/openssh.tcz", image)
	for profile, want := range map[string]int64{"prod": tinymirror.Time, "dev": 1500000000, "debug": 1500000000} {
		p := plan(t, dir, profileOf(profile))
		o, _ := options(warm)
		if got, build := lockOf(t, p).SourceDate, gathered(t, p, o).Lock.SourceDate; got != want || build != want {
			t.Errorf("%s: the lock has %d, a build %d, want %d", profile, got, build, want)
		}
	}
}

// If the mirror has no ssh server, a prod configuration is locked without it.
func TestResolveWithoutSSH(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	remove(t, dir, tczDir+"/openssh.tcz", tczDir+"/openssh.tcz.md5.txt")
	o, rec := options(t.TempDir())
	l := locked(t, plan(t, dir), o).Lock
	said := rec.Texts(ui.Warning)
	if l.Find(lock.TCZ, "openssh.tcz") != nil || l.Find(lock.TCZ, "bash.tcz") == nil || !strings.Contains(said, "resolve openssh.tcz: ") || !strings.Contains(said, "lacks inputs of the profiles dev and debug") {
		t.Errorf("%q, warnings:\n%s", described(l.Inputs), said)
	}
	if _, err := Lock(t.Context(), plan(t, dir, profileOf("dev")), o); !errors.Is(err, fetch.ErrNotFound) {
		t.Errorf("dev: %v", err)
	}
}

// A second lock keeps the pins of the first, whatever upstream has now.
func TestResolveKeepsPins(t *testing.T) {
	t.Parallel()
	dir, cache := tinymirror.New(t), t.TempDir()
	o, _ := options(cache)
	first := locked(t, plan(t, dir, bare("bash", "lshw")), o)
	update(t, dir, tczDir+"/bash.tcz")
	update(t, dir, tczDir+"/dmidecode.tcz")
	first.Lock.SourceDate = 5
	o.Lock = first.Lock
	if same := locked(t, plan(t, dir, bare("bash", "lshw")), o).Lock; same.SourceDate != 5 {
		t.Errorf("an unchanged lock has another time: %d", same.SourceDate)
	}
	second := locked(t, plan(t, dir, bare("bash", "dmidecode")), o)
	var got []string
	for _, d := range second.Lock.DriftFrom(first.Lock) {
		got = append(got, d.Input+" "+d.What)
	}
	if second.Lock.SourceDate == 5 {
		t.Error("a changed lock has the time of the old one")
	}
	if want := []string{"configuration digest", "lshw.tcz input", "dmidecode.tcz input"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	dep := func(file, text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			testkit.Put(t, filepath.Join(dir, tczDir, file+".dep"), []byte(text))
		}
	}
	without := func(names ...string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { remove(t, dir, names...) }
	}
	for _, tt := range []struct {
		name   string
		change func(*testing.T, string)
		edit   edit
		want   []string
	}{
		{"nothing", func(*testing.T, string) {}, nil, nil},
		{"iso", func(t *testing.T, dir string) { update(t, dir, isoPath) }, nil, []string{"Core-4.5.2.iso: sha256"}},
		{"tcz", func(t *testing.T, dir string) { update(t, dir, tczDir+"/bash.tcz") }, nil, []string{"bash.tcz: sha256"}},
		{"tcz of dev", func(t *testing.T, dir string) { update(t, dir, tczDir+"/gcc_libs.tcz") }, nil, []string{"gcc_libs.tcz: sha256"}},
		{"new edge", dep("lshw.tcz", "bash.tcz\n"), nil, []string{"lshw.tcz: needs: locked none, now bash.tcz"}},
		{"new dependency", dep("lshw.tcz", "middle.tcz\n"), func(c *config.Config) { c.Missing = []string{"nowhere"} },
			[]string{"configuration: it selects other inputs", "lshw.tcz: needs", "middle.tcz: input: locked none"}},
		{"edge gone", without(tczDir + "/bash.tcz.dep"), nil, []string{"bash.tcz: needs", "ncurses-common.tcz: input", "ncurses.tcz: input"}},
		{"extension gone", without(tczDir+"/lshw.tcz", tczDir+"/lshw.tcz.md5.txt"), nil, []string{"lshw.tcz: input: locked HASH, now on no mirror"}},
		{"its file gone", without(tczDir + "/lshw.tcz"), nil, []string{"lshw.tcz: input: locked HASH, now on no mirror"}},
		{"Ruby gone", without(tczDir+"/ruby.tcz", tczDir+"/ruby.tcz.md5.txt"), nil, []string{"ruby.tcz: input: locked HASH, now on no mirror"}},
		{"pick gone", without(tczDir+"/util-linux.tcz", tczDir+"/util-linux.tcz.md5.txt"), nil, []string{"util-linux.tcz: input: locked HASH, now on no mirror"}},
		{"iso gone", without(isoPath, isoPath+".md5.txt"), nil, []string{"Core-4.5.2.iso: input: locked HASH, now on no mirror"}},
		{"gem gone", without("archives/daemons-1.1.8.gem"), nil, []string{"daemons-1.1.8.gem: input: locked HASH, now on no mirror"}},
		{"archive gone", without("archives/rubygems-1.8.15.tgz"), nil, []string{"rubygems-1.8.15.tgz: input: locked HASH, now on no mirror"}},
		{"archive", func(t *testing.T, dir string) {
			name := filepath.Join(dir, "archives", "mcollective-1.2.1.tgz")
			text := testkit.Read(t, name)
			text[4]++ // gzip's own time
			testkit.Put(t, name, text)
		}, nil, []string{"mcollective-1.2.1.tgz: sha256"}},
		{"configuration", func(*testing.T, string) {}, func(c *config.Config) { c.Gems.Install = c.Gems.Install[:1] }, []string{"configuration: it selects other inputs", "stomp-1.2.0.gem: input: locked HASH, now none"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := tinymirror.New(t)
			o, _ := options(t.TempDir())
			o.Lock = locked(t, plan(t, dir), o).Lock
			tt.change(t, dir)
			if tt.edit == nil {
				tt.edit = func(*config.Config) {}
			}
			again, _ := options(o.Fetch.Store.Dir)
			if tt.name == "its file gone" {
				again.Fetch.Store = &store.Store{Dir: t.TempDir()} // content in the cache by digest is not requested
			}
			again.Lock = o.Lock
			drifts, err := Check(t.Context(), plan(t, dir, tt.edit), again)
			if err != nil || len(drifts) != len(tt.want) {
				t.Fatalf("%v, %v", drifts, err)
			}
			for i, d := range drifts {
				want := strings.ReplaceAll(tt.want[i], "HASH", d.Want)
				if !strings.HasPrefix(strings.Replace(d.Error(), " against the lock", "", 1), "check "+want) {
					t.Errorf("got %v, want %s", d, want)
				}
			}
		})
	}
}

// An archive without an upstream digest is requested again for a lock, cached or not.
func TestResolveAsksUpstreamForArchives(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	srv := tinymirror.ServeDir(t, dir)
	p := planAt(t, srv.URL, bare("ruby"), func(c *config.Config) {
		c.Gems.Install = []config.Gem{{Name: "stomp", Version: "1.2.0"}}
	})
	o, _ := options(t.TempDir())
	first := locked(t, p, o)
	name := filepath.Join(dir, "archives", "stomp-1.2.0.gem")
	testkit.Put(t, name, tinymirror.Gem("stomp", "1.2.0", []string{"another"}))
	later := time.Unix(2000000000, 0) // Last-Modified counts seconds
	testkit.Must(t, os.Chtimes(name, later, later))
	again, _ := options(o.Fetch.Store.Dir)
	again.Lock = first.Lock
	drifts, err := Check(t.Context(), p, again)
	if err != nil || len(drifts) != 1 || drifts[0].Input != "stomp-1.2.0.gem" {
		t.Errorf("%v, %v", drifts, err)
	}
}

// The lock's text does not depend on the order of a mirror's folders or on parallelism; it depends on every byte of
// an input.
func TestLockIsReproducible(t *testing.T) {
	text := func(dir string) []byte {
		name := filepath.Join(dir, lock.FileName)
		if _, err := lockOf(t, plan(t, dir)).Save(name); err != nil {
			t.Fatal(err)
		}
		return testkit.Read(t, name)
	}
	first := tinymirror.New(t)
	want := text(first)
	second := t.TempDir()
	var names []string
	for name := range files(t, first) {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range slices.Backward(names) {
		testkit.Put(t, filepath.Join(second, name), testkit.Read(t, filepath.Join(first, name)))
	}
	for _, procs := range []int{1, 8} {
		before := runtime.GOMAXPROCS(procs)
		got := text(second)
		runtime.GOMAXPROCS(before)
		if !bytes.Equal(got, want) {
			t.Errorf("GOMAXPROCS %d: got\n%s\nwant\n%s", procs, got, want)
		}
	}
	update(t, second, tczDir+"/bash.tcz")
	if bytes.Equal(text(second), want) {
		t.Error("another input, the same lock")
	}
}
