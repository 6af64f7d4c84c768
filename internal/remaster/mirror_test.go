package remaster

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"mkbuild/e2e/testkit/sqfs"
	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/tcz"
)

// server is a mirror over HTTP that remembers what it was asked for, and does something else for
// paths that end in broken.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []string
	broken string
	fault  func(w http.ResponseWriter, body []byte)
}

func serve(t testing.TB, dir string) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r.URL.Path)
		fault := s.fault
		if !strings.HasSuffix(r.URL.Path, s.broken) {
			fault = nil
		}
		s.mu.Unlock()
		if fault == nil {
			http.FileServer(http.Dir(dir)).ServeHTTP(w, r)
			return
		}
		body, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(r.URL.Path)))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		fault(w, body)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) breakIt(broken string, fault func(http.ResponseWriter, []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken, s.fault = broken, fault
}

func (s *server) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// The faults of mirrors.
func gone(w http.ResponseWriter, _ []byte)    { http.Error(w, "gone", http.StatusNotFound) }
func failing(w http.ResponseWriter, _ []byte) { http.Error(w, "oops", http.StatusInternalServerError) }
func dying(http.ResponseWriter, []byte)       { panic(http.ErrAbortHandler) }
func html(w http.ResponseWriter, _ []byte) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = w.Write([]byte("<!DOCTYPE html><html><body>Welcome to our network</body></html>"))
}

func lying(w http.ResponseWriter, body []byte) {
	wrong := bytes.Clone(body)
	wrong[len(wrong)/2] ^= 1
	_, _ = w.Write(wrong)
}

// shrinking claims to send the whole file, which it does not, each time.
func shrinking(w http.ResponseWriter, body []byte) {
	_, _ = w.Write(body[:len(body)/2])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// short sends half of the file as if that were all of it.
func short(w http.ResponseWriter, body []byte) { _, _ = w.Write(body[:len(body)/2]) }

// few keeps the extensions down to those that a fault is tried on: each file costs a sync to disk.
func few(c *config.Config) { c.Extensions = []string{"ruby", "bash"} }

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func ofClass(c fail.Class) func(error) bool {
	return func(err error) bool { return fail.ClassOf(err) == c }
}

func as[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

func TestMirrorFaults(t *testing.T) {
	t.Parallel()
	const iso, ext, sum = "Core-4.5.2.iso", "/bash.tcz", "/bash.tcz.md5.txt"
	tests := []struct {
		name, file string
		fault      func(http.ResponseWriter, []byte)
		class      func(error) bool
		names      []string // what the message has to name
	}{
		{"the ISO's digest gone", iso + ".md5.txt", gone, as[*NoDigestError], []string{iso + ".md5.txt is missing"}},
		{"ISO gone", iso, gone, is(fetch.ErrNotFound), []string{iso}},
		{"ISO server fails", iso, failing, is(fetch.ErrUnreachable), []string{iso, "500"}},
		{"ISO server dies", iso, dying, is(fetch.ErrUnreachable), []string{iso}},
		{"ISO truncated", iso, shrinking, is(fetch.ErrUnreachable), []string{iso}},
		{"ISO too short", iso, short, as[*fetch.ChecksumError], []string{iso, "md5"}},
		{"ISO with a wrong byte", iso, lying, as[*fetch.ChecksumError], []string{iso, "md5"}},
		{"a page in place of the ISO", iso, html, is(fetch.ErrContent), []string{iso, "HTML"}},
		{"a page in place of its digest", iso + ".md5.txt", html, is(fetch.ErrContent), []string{iso + ".md5.txt", "HTML"}},
		{"digest of nothing", iso + ".md5.txt", short, is(tcz.ErrMD5File), []string{iso + ".md5.txt"}},
		{"extension gone", ext, gone, as[*DependencyError], []string{"bash.tcz"}},
		{"extension's digest gone", sum, gone, as[*DependencyError], []string{"bash.tcz"}},
		{"extension's server fails", ext, failing, is(fetch.ErrUnreachable), []string{"bash.tcz"}},
		{"extension's server dies", ext, dying, is(fetch.ErrUnreachable), []string{"bash.tcz"}},
		{"extension truncated", ext, shrinking, is(fetch.ErrUnreachable), []string{"bash.tcz"}},
		{"extension with a wrong byte", ext, lying, as[*fetch.ChecksumError], []string{"bash.tcz", "md5"}},
		{"a page in place of the extension", ext, html, is(fetch.ErrContent), []string{"bash.tcz", "HTML"}},
		{"a page in place of its .dep", "/bash.tcz.dep", html, is(fetch.ErrContent), []string{"bash.tcz.dep", "HTML"}},
		{"its .dep cannot be had", "/bash.tcz.dep", failing, is(fetch.ErrUnreachable), []string{"bash.tcz.dep"}},
		{"dependency gone", "/ncurses-common.tcz.md5.txt", gone, as[*DependencyError], []string{"ncurses-common.tcz", "bash.tcz → ncurses.tcz"}},
		{"picked extension gone", "/util-linux.tcz.md5.txt", gone, is(fetch.ErrNotFound), []string{"util-linux.tcz"}},
		{"picked extension with a wrong byte", "/util-linux.tcz", lying, as[*fetch.ChecksumError], []string{"util-linux.tcz"}},
		{"RubyGems gone", "rubygems-1.8.15.tgz", gone, is(fetch.ErrNotFound), []string{"rubygems-1.8.15"}},
		{"a page in place of RubyGems", "rubygems-1.8.15.tgz", html, is(fetch.ErrContent), []string{"rubygems-1.8.15", "HTML"}},
		{"RubyGems cut off", "rubygems-1.8.15.tgz", short, nil, []string{"rubygems-1.8.15"}},
		{"MCollective gone", "mcollective-1.2.1.tgz", gone, is(fetch.ErrNotFound), []string{"mcollective-1.2.1"}},
		{"a gem is gone", "stomp-1.2.0.gem", gone, is(fetch.ErrNotFound), []string{"stomp-1.2.0.gem"}},
		{"a gem is cut off", "stomp-1.2.0.gem", short, nil, []string{"stomp-1.2.0.gem"}},
	}
	dir := pristine
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			srv := serve(t, dir)
			srv.breakIt(tc.file, tc.fault)
			out, cache := t.TempDir(), t.TempDir()
			b, _ := builder(t, cache)
			err := try(t, b, planAt(t, srv.URL, few), filepath.Join(out, "x.iso"))
			if err == nil || tc.class != nil && !tc.class(err) {
				t.Fatalf("got %T: %v", err, err)
			}
			for _, n := range tc.names {
				if !strings.Contains(err.Error(), n) {
					t.Errorf("%q is not named in: %v", n, err)
				}
			}
			checkEmpty(t, out)
			checkCache(t, cache)
			// The mirror is mended, and the same cache serves.
			srv.breakIt("", nil)
			b, _ = builder(t, cache)
			if _, err := b.Stage(t.Context(), planAt(t, srv.URL, few)); err != nil {
				t.Errorf("with the mirror mended: %v", err)
			}
		})
	}
}

// TestSecondMirrorHelps: what one mirror has not, or has wrong, comes from the next.
func TestSecondMirrorHelps(t *testing.T) {
	t.Parallel()
	dir := pristine
	reference, _ := builder(t, t.TempDir())
	want := readFile(t, build(t, reference, plan(t, dir, few)))
	for _, tc := range []struct {
		name, file string
		fault      func(http.ResponseWriter, []byte)
	}{
		{"all gone", "", gone},
		{"all failing", "", failing},
		{"ISO lying", ".iso", lying},
		{"ISO dying", ".iso", dying},
		{"no digests", ".md5.txt", gone},
		{"pages in place of digests", ".md5.txt", html},
		{"extension gone", "/bash.tcz", gone},
		{"extension lying", "/bash.tcz", lying},
		{"extension's digest failing", "/ruby.tcz.md5.txt", failing},
	} {
		bad := serve(t, dir)
		bad.breakIt(tc.file, tc.fault)
		b, _ := builder(t, t.TempDir())
		p := planAt(t, serve(t, dir).URL, few, func(c *config.Config) { c.Mirrors = append(config.URLs{bad.URL}, c.Mirrors...) })
		out := filepath.Join(t.TempDir(), "x.iso")
		if err := try(t, b, p, out); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		} else if !bytes.Equal(readFile(t, out), want) {
			t.Errorf("%s: other bytes", tc.name)
		}
	}
}

// TestISOsMirrorComesFirst: extensions are taken from the mirror that has the release, since another
// one may hold those of another time.
func TestISOsMirrorComesFirst(t *testing.T) {
	t.Parallel()
	other := mirror(t)
	if err := os.RemoveAll(filepath.Join(other, "4.x/x86/archive")); err != nil {
		t.Fatal(err)
	}
	publishTCZ(t, other, "dmidecode", sqfs.Reg("usr/local/sbin/dmidecode", 0o755, "of another time\n"))
	publishTCZ(t, other, "extra", sqfs.Reg("usr/local/bin/extra", 0o755, "only there\n"))
	_, s, _ := staged(t, plan(t, other, func(c *config.Config) {
		c.Mirrors = config.URLs{other, pristine}
		c.Extensions = append(c.Extensions, "extra")
	}))
	if got := text(t, s.Added(), "usr/local/sbin/dmidecode"); got != "dmidecode\n" {
		t.Errorf("dmidecode is %q", got)
	}
	if got := text(t, s.Added(), "usr/local/bin/extra"); got != "only there\n" {
		t.Errorf("extra is %q", got)
	}
}

// TestX86_64 builds from the 64-bit edition, whose ISO has another name.
func TestX86_64(t *testing.T) {
	t.Parallel()
	dir := mirror(t)
	if err := os.CopyFS(filepath.Join(dir, "4.x/x86_64/tcz"), os.DirFS(filepath.Join(dir, tczDir))); err != nil {
		t.Fatal(err)
	}
	publish(t, dir, "4.x/x86_64/release/CorePure64-4.5.2.iso", readFile(t, filepath.Join(dir, isoPath)))
	if err := os.RemoveAll(filepath.Join(dir, "4.x/x86")); err != nil {
		t.Fatal(err)
	}
	_, s, _ := staged(t, plan(t, dir, func(c *config.Config) { c.Arch = "x86_64" }))
	if got := text(t, s.Added(), "usr/local/sbin/mk-client"); got != "mk-client for x86_64" {
		t.Errorf("the client is %q", got)
	}
}

// TestArchivedRelease: a point release that is not the newest of its major lies under archive/, and
// Core-current.iso, which is the newest, is nobody's.
func TestArchivedRelease(t *testing.T) {
	t.Parallel()
	dir := mirror(t)
	other := isoFiles(t)
	other["newest"] = []byte("not the release that was asked for")
	publishISO(t, dir, other)
	wrong := readFile(t, filepath.Join(dir, isoPath))
	for _, n := range []string{"release/Core-current.iso", "archive/4.5.2/Core-current.iso", "release/Core-4.7.7.iso"} {
		publish(t, dir, "4.x/x86/"+n, wrong)
	}
	publishISO(t, dir, isoFiles(t))
	srv := serve(t, dir)
	b, _ := builder(t, t.TempDir())
	img := openISO(t, build(t, b, planAt(t, srv.URL)))
	if img.Files.Get("newest") != nil {
		t.Error("another release was taken")
	}
	asked := srv.requests()
	if len(asked) < 3 || asked[0] != "/4.x/x86/release/Core-4.5.2.iso.md5.txt" || asked[1] != "/"+isoPath+".md5.txt" || asked[2] != "/"+isoPath {
		t.Errorf("asked for %q", asked[:min(len(asked), 4)])
	}
	for _, a := range asked {
		if strings.Contains(a, "current") || strings.Contains(a, "4.7.7") {
			t.Errorf("asked for %s", a)
		}
	}
	// In release/, when it is the newest.
	publish(t, dir, "4.x/x86/release/Core-4.5.2.iso", wrong)
	b, _ = builder(t, t.TempDir())
	if openISO(t, build(t, b, planAt(t, srv.URL))).Files.Get("newest") == nil {
		t.Error("release/ does not come first")
	}
}

func TestUnknownReleaseNamesTheOthers(t *testing.T) {
	t.Parallel()
	dir := pristine
	b, _ := builder(t, t.TempDir())
	unknown := func(c *config.Config) { c.Release = "4.5.99" }
	for where, p := range map[string]*Plan{"on disk": plan(t, dir, unknown), "over HTTP": planAt(t, serve(t, dir).URL, unknown)} {
		var missing *ReleaseError
		_, err := b.Stage(t.Context(), p)
		if !errors.As(err, &missing) || strings.Join(missing.Known, " ") != "4.5.2 4.7.7" || !strings.Contains(missing.Hint(), "--release 4.7.7") {
			t.Errorf("%s: %v, known %q", where, err, missing)
		}
	}
}

// TestOffline: a warm cache needs no mirror, a cold one says which file it lacks, and nothing dials.
func TestOffline(t *testing.T) {
	t.Parallel()
	srv := serve(t, pristine)
	cache := t.TempDir()
	b, _ := builder(t, cache)
	want := readFile(t, build(t, b, planAt(t, srv.URL)))
	before := len(srv.requests())
	b, _ = builder(t, cache)
	b.Fetch.Offline = true
	if got := readFile(t, build(t, b, planAt(t, srv.URL))); !bytes.Equal(got, want) {
		t.Error("other bytes offline")
	}
	cold, _ := builder(t, t.TempDir())
	cold.Fetch.Offline = true
	if _, err := cold.Stage(t.Context(), planAt(t, srv.URL)); !errors.Is(err, fetch.ErrOffline) || !strings.Contains(err.Error(), "Core-4.5.2.iso") {
		t.Errorf("cold and offline: %v", err)
	}
	if n := len(srv.requests()); n != before {
		t.Errorf("%d requests while offline", n-before)
	}
}

// TestDamagedCacheIsMended: a blob whose bytes have changed on disk is fetched again.
func TestDamagedCacheIsMended(t *testing.T) {
	t.Parallel()
	srv := serve(t, pristine)
	cache := t.TempDir()
	b, _ := builder(t, cache)
	want := readFile(t, build(t, b, planAt(t, srv.URL)))
	blobs, err := filepath.Glob(filepath.Join(cache, "sha256", "*", "*"))
	if err != nil || len(blobs) < 10 {
		t.Fatalf("%d blobs, %v", len(blobs), err)
	}
	for _, p := range blobs {
		blob := readFile(t, p)
		if len(blob) > 0 {
			blob[len(blob)/2] ^= 0x10
		}
		writeFile(t, p, blob)
	}
	b, _ = builder(t, cache)
	if got := readFile(t, build(t, b, planAt(t, srv.URL))); !bytes.Equal(got, want) {
		t.Error("other bytes from a mended cache")
	}
	checkCache(t, cache)
}

func TestStageWithADeadContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b, _ := builder(t, t.TempDir())
	if _, err := b.Stage(ctx, plan(t, pristine)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
