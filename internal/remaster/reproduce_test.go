package remaster

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"mkbuild/internal/config"
	"mkbuild/internal/testkit/sqfs"
)

// TestSameInputSameBytes changes the process's surroundings one by one. It is not parallel: they are
// the whole process's.
func TestSameInputSameBytes(t *testing.T) {
	dir := mirror(t)
	cache := t.TempDir()
	bulky(t, dir)
	one := func(cache string, p *Plan) []byte {
		b, _ := builder(t, cache)
		return readFile(t, build(t, b, p))
	}
	reference := one(cache, plan(t, dir))
	same := func(what string, got []byte) {
		if !bytes.Equal(got, reference) {
			t.Errorf("%s: other bytes", what)
		}
	}
	same("warm cache", one(cache, plan(t, dir)))
	same("cold cache", one(t.TempDir(), plan(t, dir)))
	for _, n := range []int{1, 8} {
		old := runtime.GOMAXPROCS(n)
		same("GOMAXPROCS", one(cache, plan(t, dir)))
		runtime.GOMAXPROCS(old)
	}
	zone := time.Local
	time.Local = time.FixedZone("elsewhere", -11*3600)
	same("time zone", one(cache, plan(t, dir)))
	time.Local = zone
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("LANG", "tr_TR.UTF-8")
	same("TMPDIR, HOME and LANG", one(cache, plan(t, dir)))
	old := umask(0o077)
	same("umask", one(t.TempDir(), plan(t, dir)))
	umask(old)

	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil { // other times, other order of creation
		t.Fatal(err)
	}
	same("another folder", one(t.TempDir(), plan(t, copied)))
	same("file URLs", one(t.TempDir(), planAt(t, "file://"+filepath.ToSlash(copied))))
	srv := httptest.NewServer(unsteady(http.FileServer(http.Dir(copied))))
	defer srv.Close()
	same("a mirror over HTTP", one(t.TempDir(), planAt(t, srv.URL)))
}

// bulky makes one extension larger than the unit of parallel compression, so that more than one
// goroutine has something to do.
func bulky(t testing.TB, dir string) {
	t.Helper()
	var b []byte
	for x := uint32(1); len(b) < 3<<19; x = x*1664525 + 1013904223 {
		b = append(b, byte(x>>24), byte(x>>16)&0x0f)
	}
	publishTCZ(t, dir, "dmidecode", sqfs.Reg("usr/local/sbin/dmidecode", 0o755, "d"), sqfs.Reg("usr/local/share/bulk", 0o644, string(b)))
}

// unsteady answers late every now and then, so that downloads end in another order.
func unsteady(h http.Handler) http.Handler {
	var mu sync.Mutex
	n := 0
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n++
		late := n%3 == 0
		mu.Unlock()
		if late {
			time.Sleep(5 * time.Millisecond)
		}
		h.ServeHTTP(w, r)
	})
}

// TestOtherInputOtherBytes proves that the comparison above can fail: one byte of one input shows.
func TestOtherInputOtherBytes(t *testing.T) {
	t.Parallel()
	dir := mirror(t)
	own := filepath.Join(t.TempDir(), "motd")
	writeFile(t, own, []byte("a"))
	withMotd := func(c *config.Config) { c.Overlay = []config.UserFiles{{Source: own, Target: "/etc/motd"}} }
	seen := map[string]string{}
	add := func(what string, p *Plan) {
		b, _ := builder(t, warm)
		got := string(readFile(t, build(t, b, p)))
		if seen[got] != "" {
			t.Errorf("%s gives the same bytes as %s", what, seen[got])
		}
		seen[got] = what
	}
	add("the reference", plan(t, dir, withMotd))
	writeFile(t, own, []byte("b"))
	add("another byte", plan(t, dir, withMotd))
	if err := os.Chmod(own, 0o600); err != nil {
		t.Fatal(err)
	}
	add("another mode", plan(t, dir, withMotd))
	add("another owner", plan(t, dir, withMotd, func(c *config.Config) { c.Overlay[0].Owner = "0:1" }))
	add("another level", plan(t, dir, withMotd, func(c *config.Config) { c.Initrd.Level = 9 }))
	publishTCZ(t, dir, "dmidecode", sqfs.Reg("usr/local/sbin/dmidecode", 0o755, "dmidecodf\n"))
	add("another extension", plan(t, dir, withMotd))
}

// TestTwoBuildsShareACache: at once, both over HTTP, both whole.
func TestTwoBuildsShareACache(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(unsteady(http.FileServer(http.Dir(pristine))))
	defer srv.Close()
	cache := t.TempDir()
	names := [4]string{}
	errs := [4]error{}
	var wg sync.WaitGroup
	for i := range names {
		b, _ := builder(t, cache)
		p := planAt(t, srv.URL)
		names[i] = filepath.Join(t.TempDir(), "x.iso")
		wg.Go(func() { errs[i] = try(t, b, p, names[i]) })
	}
	wg.Wait()
	for i, name := range names {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if !bytes.Equal(readFile(t, name), readFile(t, names[0])) {
			t.Errorf("build %d gives other bytes", i)
		}
	}
	checkCache(t, cache)
}

// TestBuildsToOneOutput: whoever is last wins, and the file is always whole.
func TestBuildsToOneOutput(t *testing.T) {
	t.Parallel()
	b, s, _ := staged(t, plan(t, pristine))
	dir := t.TempDir()
	name := filepath.Join(dir, "x.iso")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := b.WriteISO(t.Context(), s, name); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, tree := initrdOf(t, openISO(t, name)); tree.Get("tmp/mk-version.yaml") == nil {
		t.Error("the image is not whole")
	}
	for _, n := range []string{name, ManifestName(name)} {
		if err := os.Remove(n); err != nil {
			t.Fatal(err)
		}
	}
	checkEmpty(t, dir)
}
