package remaster

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/lock"
	"mkbuild/internal/store"
	"mkbuild/internal/ui"
)

// A lock has what every profile needs, and its time is that of the user's own.
func TestResolve(t *testing.T) {
	t.Parallel()
	p := plan(t, pristine)
	l := resolved(t, p)
	_, prod, _ := staged(t, p)
	_, dev, _ := staged(t, plan(t, pristine, profileOf("dev")))
	if l.SourceDate != prod.Epoch || l.Kernel != prod.Kernel || l.Config != lock.Digest(&p.Config) {
		t.Errorf("date %d, kernel %s, config %s; a build has %d, %s", l.SourceDate, l.Kernel, l.Config, prod.Epoch, prod.Kernel)
	}
	if got, want := described(l.Inputs), described(dev.Inputs()); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The time of a lock is not that of what only another profile has.
func TestLockHasTheTimeOfItsProfile(t *testing.T) {
	t.Parallel()
	dir := mirror(t)
	image := readFile(t, filepath.Join(dir, tczDir, "openssh.tcz"))
	binary.LittleEndian.PutUint32(image[8:], 1500000000) // squashfs' superblock: when it was made
	publish(t, dir, tczDir+"/openssh.tcz", image)
	for profile, want := range map[string]int64{"prod": tinymirror.Time, "dev": 1500000000, "debug": 1500000000} {
		p := plan(t, dir, profileOf(profile))
		_, s, _ := staged(t, p)
		if got := resolved(t, p).SourceDate; got != want || s.Epoch != want {
			t.Errorf("%s: the lock has %d, a build %d, want %d", profile, got, s.Epoch, want)
		}
	}
}

// Where the mirror has no ssh server, a prod configuration is locked without it.
func TestResolveWithoutSSH(t *testing.T) {
	t.Parallel()
	dir := mirror(t)
	for _, n := range []string{"openssh.tcz", "openssh.tcz.md5.txt"} {
		if err := os.Remove(filepath.Join(dir, tczDir, n)); err != nil {
			t.Fatal(err)
		}
	}
	b, rec := builder(t, t.TempDir())
	r, err := b.Resolve(t.Context(), plan(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	if r.Lock.Find(lock.TCZ, "openssh.tcz") != nil || r.Lock.Find(lock.TCZ, "bash.tcz") == nil || !strings.Contains(rec.texts(ui.Warning), "openssh.tcz: no mirror has it") {
		t.Errorf("%q, warnings:\n%s", described(r.Lock.Inputs), rec.texts(ui.Warning))
	}
	if _, err := b.Resolve(t.Context(), plan(t, dir, profileOf("dev"))); !as[*DependencyError](err) {
		t.Errorf("dev: %v", err)
	}
}

// A second lock keeps the pins of the first, whatever upstream has now.
func TestResolveKeepsPins(t *testing.T) {
	t.Parallel()
	dir, cache := mirror(t), t.TempDir()
	b, _ := builder(t, cache)
	first, err := b.Resolve(t.Context(), plan(t, dir, bare("bash", "lshw")))
	if err != nil {
		t.Fatal(err)
	}
	update(t, dir, tczDir+"/bash.tcz")
	update(t, dir, tczDir+"/dmidecode.tcz")
	first.Lock.SourceDate = 5
	b.Lock = first.Lock
	if same, err := b.Resolve(t.Context(), plan(t, dir, bare("bash", "lshw"))); err != nil || same.Lock.SourceDate != 5 {
		t.Errorf("an unchanged lock has another time: %v", err)
	}
	second, err := b.Resolve(t.Context(), plan(t, dir, bare("bash", "dmidecode")))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range second.Lock.Compare(first.Lock) {
		got = append(got, d.Input+" "+d.What)
	}
	if second.Lock.SourceDate == 5 {
		t.Error("a changed lock has the time of the old one")
	}
	if want := []string{"configuration digest", "lshw.tcz input", "dmidecode.tcz input"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// update gives a file of a mirror on disk other bytes, and the digest that belongs to them.
func update(t *testing.T, dir, name string) {
	t.Helper()
	publish(t, dir, name, append(readFile(t, filepath.Join(dir, name)), make([]byte, 4096)...))
}

func TestCheck(t *testing.T) {
	t.Parallel()
	dep := func(file, text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			writeFile(t, filepath.Join(dir, tczDir, file+".dep"), []byte(text))
		}
	}
	remove := func(names ...string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			for _, n := range names {
				if err := os.Remove(filepath.Join(dir, n)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*testing.T, string)
		edit   func(*config.Config)
		want   []string
	}{
		{"nothing", func(*testing.T, string) {}, nil, nil},
		{"iso", func(t *testing.T, dir string) { update(t, dir, isoPath) }, nil, []string{"Core-4.5.2.iso: sha256"}},
		{"tcz", func(t *testing.T, dir string) { update(t, dir, tczDir+"/bash.tcz") }, nil, []string{"bash.tcz: sha256"}},
		{"tcz of dev", func(t *testing.T, dir string) { update(t, dir, tczDir+"/gcc_libs.tcz") }, nil, []string{"gcc_libs.tcz: sha256"}},
		{"new edge", dep("lshw.tcz", "bash.tcz\n"), nil, []string{"lshw.tcz: needs: locked none, now bash.tcz"}},
		{"new dependency", dep("lshw.tcz", "middle.tcz\n"), func(c *config.Config) { c.Missing = []string{"nowhere"} },
			[]string{"configuration: digest", "lshw.tcz: needs", "middle.tcz: input: locked none"}},
		{"edge gone", remove(tczDir + "/bash.tcz.dep"), nil, []string{"bash.tcz: needs", "ncurses-common.tcz: input", "ncurses.tcz: input"}},
		{"extension gone", remove(tczDir+"/lshw.tcz", tczDir+"/lshw.tcz.md5.txt"), nil, []string{"lshw.tcz: input: locked HASH, now on no mirror"}},
		{"its file gone", remove(tczDir + "/lshw.tcz"), nil, []string{"lshw.tcz: input: locked HASH, now on no mirror"}},
		{"pick gone", remove(tczDir+"/util-linux.tcz", tczDir+"/util-linux.tcz.md5.txt"), nil, []string{"util-linux.tcz: input: locked HASH, now on no mirror"}},
		{"iso gone", remove(isoPath, isoPath+".md5.txt"), nil, []string{"Core-4.5.2.iso: input: locked HASH, now on no mirror"}},
		{"gem gone", remove("archives/daemons-1.1.8.gem"), nil, []string{"daemons-1.1.8.gem: input: locked HASH, now on no mirror"}},
		{"archive gone", remove("archives/rubygems-1.8.15.tgz"), nil, []string{"rubygems-1.8.15.tgz: input: locked HASH, now on no mirror"}},
		{"archive", func(t *testing.T, dir string) {
			name := filepath.Join(dir, "archives", "mcollective-1.2.1.tgz")
			text := readFile(t, name)
			text[4]++ // gzip's own time
			writeFile(t, name, text)
		}, nil, []string{"mcollective-1.2.1.tgz: sha256"}},
		{"configuration", func(*testing.T, string) {}, func(c *config.Config) { c.Gems.Install = c.Gems.Install[:1] }, []string{"configuration: digest", "stomp-1.2.0.gem: input: locked HASH, now none"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := mirror(t)
			b, _ := builder(t, t.TempDir())
			r, err := b.Resolve(t.Context(), plan(t, dir))
			if err != nil {
				t.Fatal(err)
			}
			tt.change(t, dir)
			if tt.edit == nil {
				tt.edit = func(*config.Config) {}
			}
			again, _ := builder(t, b.Fetch.Store.Dir)
			if tt.name == "its file gone" {
				again.Fetch.Store = &store.Store{Dir: t.TempDir()} // what the cache has by its digest is not asked for
			}
			again.Lock = r.Lock
			drifts, err := again.Check(t.Context(), plan(t, dir, tt.edit))
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

// An archive that no upstream digest speaks for is asked for again, cached or not, when a lock is made.
func TestResolveAsksUpstreamForArchives(t *testing.T) {
	t.Parallel()
	dir := mirror(t)
	srv := serve(t, dir)
	p := planAt(t, srv.URL, bare(), func(c *config.Config) {
		c.Gems.Install = []config.Gem{{Name: "stomp", Version: "1.2.0"}}
	})
	b, _ := builder(t, t.TempDir())
	first, err := b.Resolve(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "archives", "stomp-1.2.0.gem")
	writeFile(t, name, tinymirror.Gem("stomp", "1.2.0", []string{"another"}))
	later := time.Unix(2000000000, 0) // Last-Modified counts seconds
	if err := os.Chtimes(name, later, later); err != nil {
		t.Fatal(err)
	}
	again, _ := builder(t, b.Fetch.Store.Dir)
	again.Lock = first.Lock
	drifts, err := again.Check(t.Context(), p)
	if err != nil || len(drifts) != 1 || drifts[0].Input != "stomp-1.2.0.gem" {
		t.Errorf("%v, %v", drifts, err)
	}
}
