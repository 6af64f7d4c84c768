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
	"mkbuild/e2e/testkit/sqfs"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
	"mkbuild/internal/ui"
)

const alternatives = "lshw-3 | lshw-2.tcz | lshw"

// renamed is a mirror that has an extension only under another name.
func renamed(t *testing.T, old, now string) string {
	t.Helper()
	dir := tinymirror.New(t)
	rename(t, dir, old, now)
	return dir
}

func rename(t *testing.T, dir, old, now string) {
	t.Helper()
	b := testkit.Read(t, filepath.Join(dir, tczDir, old+".tcz"))
	remove(t, dir, tczDir+"/"+old+".tcz", tczDir+"/"+old+".tcz.md5.txt")
	tinymirror.Publish(t, dir, tczDir+"/"+now+".tcz", b)
}

func TestFirstAlternative(t *testing.T) {
	t.Parallel()
	dir := renamed(t, "lshw", "lshw-2")
	for name, mirrors := range map[string]config.URLs{
		"a directory":                         {dir},
		"http with a listing":                 {testkit.ServeMirror(t, dir, true)},
		"http without one":                    {testkit.ServeMirror(t, dir, false)},
		"another mirror has an earlier name":  {dir, renamed(t, "lshw", "lshw-3")},
		"the mirror that gave the ISO is off": {"http://127.0.0.1:1", dir},
		"one behind it is off":                {dir, "http://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, _ := options(t.TempDir())
			at := func(c *config.Config) { c.Mirrors = mirrors }
			r := gathered(t, plan(t, dir, bare("bash", alternatives, "dmidecode-9 | -"), at), o)
			if want := []string{"ncurses-common.tcz", "ncurses.tcz", "bash.tcz", "lshw-2.tcz"}; !slices.Equal(r.Extensions, want) {
				t.Errorf("got %q, want %q", r.Extensions, want)
			}
			in := r.Lock.Find(lock.TCZ, "lshw-2.tcz")
			if !slices.Equal(in.FirstOf, []string{alternatives}) || !slices.Equal(in.Why, []string{lock.WhyConfig}) {
				t.Errorf("the lock says %+v", in)
			}
			again, _ := options(o.Fetch.Store.Dir)
			again.Fetch.Offline = true
			if now := gathered(t, plan(t, dir, bare("bash", alternatives, "dmidecode-9 | -"), at), again); deciding(now) != deciding(r) {
				t.Errorf("offline, from the cache alone: %s", deciding(now))
			}
		})
	}
}

// A lock keeps the choice, and no mirror is asked for it.
func TestLockedAlternative(t *testing.T) {
	t.Parallel()
	dir := renamed(t, "lshw", "lshw-2")
	srv := tinymirror.ServeDir(t, dir)
	p := planAt(t, srv.URL, bare(alternatives, "dmidecode-9 | dmidecode-8 | -"))
	o, _ := options(t.TempDir())
	first := locked(t, p, o)
	rename(t, dir, "middle", "lshw-3")
	tinymirror.Publish(t, dir, tczDir+"/dmidecode-8.tcz", testkit.Read(t, filepath.Join(dir, tczDir, "dmidecode.tcz")))

	again, _ := options(t.TempDir())
	again.Lock, again.Strict = first.Lock, true
	before := len(srv.Requests())
	if r := gathered(t, p, again); !slices.Equal(r.Extensions, []string{"lshw-2.tcz"}) {
		t.Errorf("from the lock: %q", r.Extensions)
	}
	if asked := srv.Requests()[before:]; len(asked) != 2 || slices.ContainsFunc(asked, func(p string) bool { return strings.HasSuffix(p, ".md5.txt") }) {
		t.Errorf("asked for %q: the ISO and the extension are enough", asked)
	}

	drifts, err := Check(t.Context(), p, Options{Fetch: again.Fetch, Lock: first.Lock})
	var got []string
	for _, d := range drifts {
		got = append(got, d.Input)
	}
	if want := []string{"lshw-2.tcz", "dmidecode-8.tcz", "lshw-3.tcz"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("check: %q, %v, want %q", got, err, want)
	}
	rest, _ := first.Lock.Without("lshw-2")
	again.Lock, again.Strict = rest, false
	if r := locked(t, p, again); r.Extensions[0] != "lshw-3.tcz" {
		t.Errorf("looked up anew: %q", r.Extensions)
	}

	changed := planAt(t, srv.URL, bare("lshw-4 | lshw-3 | lshw-2"))
	again.Lock = first.Lock
	if r := locked(t, changed, again); r.Extensions[0] != "lshw-2.tcz" {
		t.Errorf("what is locked stays when the entry changes: %q", r.Extensions)
	}
	rest.Config = lock.Digest(&p.Config)
	again.Lock, again.Strict = rest, true
	if _, err := gather(t, p, again); !as[*lock.DriftError](err) {
		t.Errorf("locked without any of them: %v", err)
	}
}

func TestNoAlternative(t *testing.T) {
	t.Parallel()
	err := gatherFails(t, plan(t, pristine, bare("bash", "ruby-9 | ruby-8")))
	if !errors.Is(err, fetch.ErrNotFound) || fail.ClassOf(err) != fail.Network || !strings.HasPrefix(err.Error(), "resolve ruby-9 | ruby-8: not found: ") || !strings.Contains(hintOf(t, err), "a last alternative -") {
		t.Errorf("%v; hint: %s", err, fail.HintOf(err))
	}
	srv := tinymirror.ServeDir(t, pristine)
	srv.Break("/lshw.tcz.md5.txt", func(w http.ResponseWriter, _ []byte) { http.Error(w, "no", http.StatusForbidden) })
	err = gatherFails(t, planAt(t, srv.URL, bare("lshw | -")))
	if !errors.Is(err, fetch.ErrForbidden) || !strings.Contains(hintOf(t, err), "some servers forbid missing files") {
		t.Errorf("forbidden: %v; hint: %s", err, fail.HintOf(err))
	}
	srv.Break("/lshw.tcz.md5.txt", tinymirror.HTML)
	if err := gatherFails(t, planAt(t, srv.URL, bare("lshw | -"))); errors.Is(err, fetch.ErrNotFound) {
		t.Errorf("a page of a hotel's network proves no absence: %v", err)
	}
	srv.Break("/lshw.tcz.md5.txt", func(w http.ResponseWriter, _ []byte) { http.Error(w, "no", http.StatusServiceUnavailable) })
	other := tinymirror.New(t)
	remove(t, other, tczDir+"/lshw.tcz", tczDir+"/lshw.tcz.md5.txt")
	p := planAt(t, srv.URL, bare("lshw | -"), func(c *config.Config) { c.Mirrors = append(c.Mirrors, other) })
	if err := gatherFails(t, p); errors.Is(err, fetch.ErrNotFound) {
		t.Errorf("another mirror proves no absence on the one that gave the ISO: %v", err)
	}
}

// Without a Ruby nothing that needs it is fetched.
func TestNoRuby(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	remove(t, dir, tczDir+"/ruby.tcz", tczDir+"/ruby.tcz.md5.txt")
	testkit.Must(t, os.RemoveAll(filepath.Join(dir, "archives")))
	defaults := func(c *config.Config) {
		def := config.Default()
		c.RubyGems, c.Gems, c.MCollective = def.RubyGems, def.Gems, def.MCollective
		c.Extensions = []string{"ruby | ruby-2.2 | -", "bash"}
	}
	o, said := options(t.TempDir())
	r := gathered(t, plan(t, dir, defaults), o)
	for _, in := range r.Lock.Inputs {
		if in.Kind != lock.ISO && in.Kind != lock.TCZ {
			t.Errorf("%s is in it", in.Name)
		}
	}
	if c := r.Plan().Config; c.RubyGems != nil || c.MCollective != nil || len(c.Gems.Install) > 0 {
		t.Errorf("the plan has %+v", c)
	}
	const want = "ruby Core-4.5.2.iso: the image has no Ruby: no RubyGems, no gems, no MCollective; mk-client reports only the facts that it collects itself"
	if got := said.Texts(ui.Warning); strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, want) {
		t.Errorf("warnings:\n%s", got)
	}
	err := gatherFails(t, plan(t, dir, defaults, func(c *config.Config) { c.MCollective = &config.MCO{Version: "1.2.1", URL: config.URLs{"x"}} }))
	if fail.ClassOf(err) != fail.Usage || !strings.HasPrefix(err.Error(), "config mcollective: MCollective needs Ruby") {
		t.Errorf("MCollective: %v", err)
	}
}

// Modules of another kernel never load.
func TestModulesForAnotherKernel(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	publish := func(name string, kernels ...string) {
		var files []sqfs.File
		for _, k := range kernels {
			files = append(files, sqfs.Reg("usr/local/lib/modules/"+k+"/kernel/x.ko.gz", 0o644, "ko\n"))
		}
		tinymirror.Publish(t, dir, tczDir+"/"+name+".tcz", sqfs.Image(files))
	}
	publish("scsi-3.0.3-tinycore", "3.0.3-tinycore")
	publish("scsi-3.0.21-tinycore64", "3.0.21-tinycore64")
	publish("ipv6-3.0.3-tinycore", "3.0.3-tinycore")
	publish("drivers", "3.0.3-tinycore", "3.0.5-tinycore")
	publish("drivers-for-all", "3.0.3-tinycore", tinymirror.Kernel)
	testkit.Put(t, filepath.Join(dir, tczDir, "middle.tcz.dep"), []byte("ipv6-3.0.3-tinycore.tcz\n"))
	for name, want := range map[string][2]string{
		"scsi-3.0.3-tinycore":    {"install scsi-3.0.3-tinycore.tcz: its modules are for the kernel 3.0.3-tinycore, and Core-4.5.2.iso boots 3.0.21-tinycore", "scsi-3.0.21-tinycore.tcz is for this kernel; a name that ends in -KERNEL"},
		"scsi-3.0.21-tinycore64": {"install scsi-3.0.21-tinycore64.tcz: its modules are for the kernel 3.0.21-tinycore64, and ", "scsi-3.0.21-tinycore.tcz is for this kernel"},
		"drivers":                {"install drivers.tcz: its modules are for the kernel 3.0.3-tinycore, 3.0.5-tinycore, and ", "take drivers out of `extensions`"},
		"middle":                 {"install ipv6-3.0.3-tinycore.tcz (asked for by middle.tcz): its modules are for ", "take ipv6-3.0.3-tinycore out"},
	} {
		err := gatherFails(t, plan(t, dir, bare(name)))
		if fail.ClassOf(err) != fail.Usage || !strings.HasPrefix(err.Error(), want[0]) || !strings.HasPrefix(hintOf(t, err), want[1]) {
			t.Errorf("%v; hint: %s", err, fail.HintOf(err))
		}
	}
	o, _ := options(t.TempDir())
	r := gathered(t, plan(t, dir, bare("scsi-KERNEL", "drivers-for-all")), o)
	if want := []string{"scsi-3.0.21-tinycore.tcz", "drivers-for-all.tcz"}; !slices.Equal(r.Extensions, want) {
		t.Errorf("got %q", r.Extensions)
	}
}
