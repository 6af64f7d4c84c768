package remaster

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/sqfs"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/initrd"
	"mkbuild/internal/inputs"
	"mkbuild/internal/manifest"
	"mkbuild/internal/store"
)

// everything builds all forms of a plan and returns the bytes of all files, each after its name.
func everything(t *testing.T, cache string, p *inputs.Plan) []byte {
	t.Helper()
	b, _ := builder(t, cache)
	s, err := b.Stage(t.Context(), p)
	testkit.Must(t, err)
	dir := t.TempDir()
	var outputs []Output
	for form, name := range map[Form]string{FormISO: "x.iso", FormPXE: "x-pxe", FormRazor: "x.razor.tar", FormTar: "x.tar.gz"} {
		outputs = append(outputs, Output{Form: form, Path: filepath.Join(dir, name)})
	}
	testkit.Must(t, b.Write(t.Context(), s, outputs))
	var out bytes.Buffer
	files := 0
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		name, err := filepath.Rel(dir, p)
		fmt.Fprintf(&out, "\n%s\n%s", name, testkit.Read(t, p))
		return err
	})
	if err != nil || files < 8 {
		t.Fatalf("%d files, %v", files, err)
	}
	return out.Bytes()
}

// withFiles adds the user's own files from dir.
func withFiles(dir string) func(*config.Config) {
	return func(c *config.Config) { c.Overlay = []config.UserFiles{{Source: dir, Target: "/opt/own"}} }
}

// ownFiles makes a folder of files, in the given order.
func ownFiles(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range names {
		testkit.Put(t, filepath.Join(dir, n), []byte("file "+n))
	}
	return dir
}

// TestSameInputSameBytes changes the process's environment step by step. It is not parallel, because that affects
// the whole process.
func TestSameInputSameBytes(t *testing.T) {
	dir, own := tinymirror.New(t), ownFiles(t, "a", "b/c", "d", "e")
	cache := t.TempDir()
	bulky(t, dir)
	here := func() *inputs.Plan { return plan(t, dir, withFiles(own)) }
	reference := everything(t, cache, here())
	same := func(what string, got []byte) {
		if !bytes.Equal(got, reference) {
			t.Errorf("%s: other bytes", what)
		}
	}
	same("warm cache", everything(t, cache, here()))
	same("cold cache", everything(t, t.TempDir(), here()))
	for _, n := range []int{1, 2, 3, 5, 8} { // with nothing kept: otherwise nothing is compressed
		forget(t, cache, 1)
		old := runtime.GOMAXPROCS(n)
		same(fmt.Sprintf("GOMAXPROCS %d", n), everything(t, cache, here()))
		runtime.GOMAXPROCS(old)
	}
	forget(t, cache, 3)
	same("partly warm cache", everything(t, cache, here()))
	zone := time.Local
	time.Local = time.FixedZone("elsewhere", -11*3600)
	forget(t, cache, 1)
	same("time zone", everything(t, cache, here()))
	time.Local = zone
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("LANG", "tr_TR.UTF-8")
	t.Setenv("TZ", "Pacific/Apia")
	same("TMPDIR, HOME, LANG and TZ", everything(t, cache, here()))
	old := umask(0o077)
	same("umask", everything(t, t.TempDir(), here()))
	umask(old)

	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil { // other times, other order of creation
		t.Fatal(err)
	}
	backwards := withFiles(ownFiles(t, "e", "d", "b/c", "a"))
	same("another folder", everything(t, t.TempDir(), plan(t, copied, backwards)))
	same("file URLs", everything(t, t.TempDir(), planOf(t, "mkbuild.yaml", tinymirror.ConfigAt("file://"+filepath.ToSlash(copied)), backwards)))
	srv := httptest.NewServer(unsteady(http.FileServer(http.Dir(copied))))
	defer srv.Close()
	same("a mirror over HTTP", everything(t, t.TempDir(), planOf(t, "mkbuild.yaml", tinymirror.ConfigAt(srv.URL), backwards)))
}

// forget removes each n-th item of a cache except downloads.
func forget(t *testing.T, cache string, n int) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(cache, "index", "[^d]*", "*", "*.json"))
	if err != nil || len(names) < 10 {
		t.Fatalf("%d derived things, %v", len(names), err)
	}
	for i, name := range names {
		if i%n == 0 {
			testkit.Must(t, os.Remove(name))
		}
	}
}

// TestWrongSegmentShows proves that the comparison of cache states can fail: a key with a missing part would keep a
// segment of the wrong content.
func TestWrongSegmentShows(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	reference := everything(t, cache, plan(t, pristine))
	b, s, _ := staged(t, plan(t, pristine))
	b.Inputs.Fetch.Store = &store.Store{Dir: cache}
	o := initrd.SegmentOptions{Level: s.Plan.Config.Initrd.Level, ModTime: s.Epoch}
	right := s.tree("ruby.tcz")
	key, err := segmentKey(right, o)
	testkit.Must(t, err)
	forget(t, cache, 1)
	wrong := right.Clone()
	wrong.Get("usr/local/bin/ruby").MTime++
	var made madeSegment
	if _, err := b.Inputs.Fetch.Store.Derive(t.Context(), "segment", key, &made, func(w io.Writer) error {
		m, err := makeSegment(w, wrong, o)
		made = *m
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(reference, everything(t, cache, plan(t, pristine))) {
		t.Error("a wrong segment in the cache gives the same bytes")
	}
}

// bulky makes one extension larger than the unit of parallel compression, so that more than one goroutine works.
func bulky(t testing.TB, dir string) {
	t.Helper()
	var b []byte
	for x := uint32(1); len(b) < 3<<19; x = x*1664525 + 1013904223 {
		b = append(b, byte(x>>24), byte(x>>16)&0x0f)
	}
	publishTCZ(t, dir, "dmidecode", sqfs.Reg("usr/local/sbin/dmidecode", 0o755, "d"), sqfs.Reg("usr/local/share/bulk", 0o644, string(b)))
}

// unsteady delays some answers, so that downloads end in another order.
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

// TestOtherInputOtherBytes proves that the comparison above can fail: it detects one changed byte of one input.
func TestOtherInputOtherBytes(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	own := filepath.Join(t.TempDir(), "motd")
	testkit.Put(t, own, []byte("a"))
	withMotd := func(c *config.Config) { c.Overlay = []config.UserFiles{{Source: own, Target: "/etc/motd"}} }
	seen := map[string]string{}
	add := func(what string, p *inputs.Plan) {
		b, _ := builder(t, warm)
		got := string(testkit.Read(t, build(t, b, p)))
		if seen[got] != "" {
			t.Errorf("%s gives the same bytes as %s", what, seen[got])
		}
		seen[got] = what
	}
	add("the reference", plan(t, dir, withMotd))
	testkit.Put(t, own, []byte("b"))
	add("another byte", plan(t, dir, withMotd))
	testkit.Must(t, os.Chmod(own, 0o600))
	add("another mode", plan(t, dir, withMotd))
	add("another owner", plan(t, dir, withMotd, func(c *config.Config) { c.Overlay[0].Owner = "0:1" }))
	add("another level", plan(t, dir, withMotd, func(c *config.Config) { c.Initrd.Level = 9 }))
	publishTCZ(t, dir, "dmidecode", sqfs.Reg("usr/local/sbin/dmidecode", 0o755, "dmidecodf\n"))
	add("another extension", plan(t, dir, withMotd))
}

// TestTwoBuildsShareACache: concurrent, both over HTTP, both whole.
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
		p := planOf(t, "mkbuild.yaml", tinymirror.ConfigAt(srv.URL))
		names[i] = filepath.Join(t.TempDir(), "x.iso")
		wg.Go(func() { errs[i] = try(t, b, p, names[i]) })
	}
	wg.Wait()
	for i, name := range names {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if !bytes.Equal(testkit.Read(t, name), testkit.Read(t, names[0])) {
			t.Errorf("build %d gives other bytes", i)
		}
	}
	testkit.CheckCache(t, cache)
}

// TestBuildsToOneOutput: the last one wins, and the file is always whole.
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
	for _, n := range []string{name, manifest.Beside(name)} {
		testkit.Must(t, os.Remove(n))
	}
	checkEmpty(t, dir)
}

// TestDamagedCache: content with changed bytes in the cache is fetched, or made, again.
func TestDamagedCache(t *testing.T) {
	t.Parallel()
	b, _ := builder(t, t.TempDir())
	want := testkit.Read(t, build(t, b, plan(t, pristine)))
	blobs, err := filepath.Glob(filepath.Join(b.Inputs.Fetch.Store.Dir, "sha256", "*", "*"))
	if err != nil || len(blobs) < 10 {
		t.Fatalf("%d blobs, %v", len(blobs), err)
	}
	for _, p := range blobs {
		blob := testkit.Read(t, p)
		if len(blob) > 0 {
			blob[len(blob)/2] ^= 0x10
		}
		testkit.Put(t, p, blob)
	}
	b, _ = builder(t, b.Inputs.Fetch.Store.Dir)
	if got := testkit.Read(t, build(t, b, plan(t, pristine))); !bytes.Equal(got, want) {
		t.Error("other bytes from a damaged cache")
	}
	testkit.CheckCache(t, b.Inputs.Fetch.Store.Dir)
}
