package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
)

// TestSegmentsSurviveKills: whatever kills builds that write into one folder, a node that reads its boot files at
// any moment finds every blob named there.
func TestSegmentsSurviveKills(t *testing.T) {
	t.Parallel()
	s := newCrowd(t)
	s.first(t)
	folder := filepath.Join(s.out, "0-pxe")
	build := func(n int) []string {
		return []string{"iso", "--config", s.config, "--progress", "quiet", "--format", "pxe", "--layout", "segments", "--append", fmt.Sprintf("razor.n=%d", n), "--source-date-epoch", fmt.Sprint(1700000000 + n), "-o", folder}
	}
	c, stderr := s.command(build(0)...)
	if err := c.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	stop, nodes := make(chan bool), sync.WaitGroup{}
	nodes.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				t.Logf("%d nodes have looked", n)
				return
			case <-time.After(time.Millisecond): // the builds need the processor, too
				bootsWhole(t, folder)
			}
		}
	})
	random, killed := rand.New(rand.NewPCG(13, 2012)), 0
	for round := range 6 {
		var all sync.WaitGroup
		for i := range 4 {
			c, stderr := s.command(build(1 + round*4 + i)...)
			testkit.Must(t, c.Start())
			if i > 0 {
				moment := time.Duration((0.5 + 1.5*random.Float64()) * float64(s.typical))
				time.AfterFunc(moment, func() { c.Process.Kill() })
			}
			all.Go(func() {
				if err := c.Wait(); err != nil && c.ProcessState.ExitCode() >= 0 {
					t.Errorf("%v\n%s", err, stderr)
				}
			})
			if i > 0 {
				killed++
			}
		}
		all.Wait()
		if out, stderr, err := runHere(t, "verify", folder); err != nil {
			t.Fatalf("after round %d: %v\n%s%s", round, err, out, stderr)
		}
	}
	close(stop)
	nodes.Wait()
	if c, stderr = s.command(build(100)...); c.Run() != nil {
		t.Fatal(stderr)
	}
	if left := hidden(t, s.out); len(left) > 0 {
		t.Errorf("left next to the folder: %q", left)
	}
	blobs, err := filepath.Glob(filepath.Join(folder, "blobs", "sha256", "*"))
	testkit.Must(t, err)
	for _, name := range blobs {
		if digest(t, name) != filepath.Base(name) {
			t.Errorf("%s is damaged", name)
		}
	}
}

var blobName = regexp.MustCompile(`blobs/sha256/[0-9a-f]{64}`)

// bootsWhole reads a folder like a node: the script, and then the files that it names.
func bootsWhole(t *testing.T, folder string) {
	t.Helper()
	script, err := os.ReadFile(filepath.Join(folder, "boot.ipxe"))
	if err != nil {
		t.Error(err)
	}
	for _, name := range blobName.FindAllString(string(script), -1) {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			t.Error(err)
		}
	}
}

func runHere(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs strings.Builder
	code := run(t.Context(), &world{stdout: &out, stderr: &errs, getenv: func(string) string { return "" }}, args)
	if code != 0 {
		err = fmt.Errorf("exit status %d", code)
	}
	return out.String(), errs.String(), err
}

// segments is a folder with its builds.
type segments struct{ dir, folder string }

func newSegments(t *testing.T) *segments {
	t.Helper()
	dir := t.TempDir()
	prepare(t, dir)
	return &segments{dir, filepath.Join(dir, "pxe")}
}

func (s *segments) build(t *testing.T, args ...string) {
	t.Helper()
	args = append([]string{"iso", "--config", filepath.Join(s.dir, "mkbuild.yaml"), "--cache-dir", filepath.Join(s.dir, "cache"), "--progress", "quiet", "--format", "pxe", "--layout", "segments", "-o", s.folder}, args...)
	var stderr strings.Builder
	if code := run(t.Context(), &world{stdout: io.Discard, stderr: &stderr, getenv: os.Getenv, client: testClient}, args); code != 0 {
		t.Fatalf("exit status %d\n%s", code, stderr.String())
	}
}

const cacheForever = "public, max-age=31536000, immutable"

// TestServeSegments requests a boot's files without a node: the script names blobs, which every cache on the way
// may keep, and a new build is served at once.
func TestServeSegments(t *testing.T) {
	t.Parallel()
	f := newSegments(t)
	f.build(t)
	url, log, stop := serving(t, "--image", f.folder, "--data", filepath.Join(f.dir, "data"))
	defer stop()
	get := func(path, cache string) string {
		t.Helper()
		resp, err := http.Get(url + path)
		testkit.Must(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 || resp.Header.Get("Cache-Control") != cache {
			t.Errorf("%s: %d, cache-control %q, want %q: %v\n%s", path, resp.StatusCode, resp.Header.Get("Cache-Control"), cache, err, log)
		}
		return string(b)
	}
	script := get("/svc/boot?net0=52-54-00-00-00-01", "")
	testkit.Contains(t, script, "initrd --name 1 "+url+"/microkernel/blobs/sha256/", "kernel "+url+"/microkernel/blobs/sha256/", "initrd=1 initrd=2 ")
	testkit.Lacks(t, script, "initrd0.img")
	whole := ""
	for _, name := range blobName.FindAllString(get("/microkernel/boot.ipxe", "no-cache"), -1) {
		blob := get("/microkernel/"+name, cacheForever)
		if fmt.Sprintf("blobs/sha256/%x", sha256.Sum256([]byte(blob))) != name || !strings.Contains(script, name) {
			t.Errorf("%s: another blob, or none of the node's", name)
		}
		whole += blob
	}
	if kernel, initrd := get("/svc/repo/microkernel/vmlinuz0", ""), get("/svc/repo/microkernel/initrd0.img", ""); kernel+initrd != whole {
		t.Errorf("what Razor hands out has %d and %d bytes, the blobs %d", len(kernel), len(initrd), len(whole))
	}
	get("/microkernel/s/"+regexp.MustCompile(`s/([0-9a-f]{12})`).FindStringSubmatch(get("/microkernel/pxelinux.cfg/default", "no-cache"))[1], cacheForever)
	f.build(t, "--append", "razor.site=ams1")
	testkit.Contains(t, get("/microkernel/boot.ipxe", "no-cache"), " razor.site=ams1 ")
	for _, bad := range []string{"/microkernel/", "/microkernel/blobs", "/microkernel/%2e%2e/mkbuild.yaml", "/microkernel/none"} {
		resp, err := http.Get(url + bad)
		testkit.Must(t, err)
		if resp.Body.Close(); resp.StatusCode != 404 {
			t.Errorf("%s: %d", bad, resp.StatusCode)
		}
	}
}

// stale is the time for which a site does not refresh a boot file: its nginx counts whole seconds.
const stale = 2100 * time.Millisecond

// TestNginxExamples tests the configurations of examples/nginx. Of a second build a site fetches only new content,
// of nodes that boot at once only one reaches the origin, and a site works without an origin.
func TestNginxExamples(t *testing.T) {
	t.Parallel()
	f := newSegments(t)
	f.build(t)
	n := testkit.StartNginx(t, "../../examples", f.dir)
	client := &http.Client{Timeout: 20 * time.Second}
	get := func(url string) (string, http.Header) {
		t.Helper()
		resp, err := client.Get(url)
		testkit.Must(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: %d, %v", url, resp.StatusCode, err)
		}
		return string(b), resp.Header
	}
	boot := func() int {
		t.Helper()
		script, _ := get(n.Site + "/pxe/boot.ipxe")
		names := blobName.FindAllString(script, -1)
		for _, name := range names {
			if blob, _ := get(n.Site + "/pxe/" + name); fmt.Sprintf("blobs/sha256/%x", sha256.Sum256([]byte(blob))) != name {
				t.Errorf("%s is another blob", name)
			}
		}
		return len(names)
	}
	var nodes sync.WaitGroup
	for range 20 {
		nodes.Go(func() { boot() })
	}
	nodes.Wait()
	if requests, _ := n.Sent(t); len(requests) > boot()+3 {
		t.Errorf("of 20 nodes the origin was asked %d times: %q", len(requests), requests)
	}
	time.Sleep(time.Second) // nginx distinguishes two files of one size by whole seconds
	f.build(t, "--image-version", "0.1.1")
	time.Sleep(stale)
	n.Sent(t)
	boot()
	if requests, bytes := n.Sent(t); len(requests) != 2 || bytes > 20_000 {
		t.Errorf("of the second build the origin sent %d bytes: %q", bytes, requests)
	}
	for _, base := range []string{n.Origin, n.Site} {
		script, header := get(base + "/pxe/boot.ipxe")
		_, blob := get(base + "/pxe/" + blobName.FindString(script))
		_, short := get(base + "/pxe/" + regexp.MustCompile(`s/[0-9a-f]{12}`).FindString(string(testkit.Read(t, filepath.Join(f.folder, "pxelinux.cfg/default")))))
		for want, got := range map[string]http.Header{"no-cache": header, cacheForever: blob, cacheForever + " ": short} {
			if got.Get("Cache-Control") != strings.TrimSpace(want) {
				t.Errorf("%s: cache-control %q, want %q", base, got["Cache-Control"], want)
			}
		}
	}
	n.StopOrigin()
	time.Sleep(stale)
	boot()
}

// TestSegmentsOverTheWire: a pulled folder equals the pushed folder, and grows like a build's folder.
func TestSegmentsOverTheWire(t *testing.T) {
	t.Parallel()
	f := newSegments(t)
	ref, pulled := testkit.Registry(t, "")+"/mk/pxe:nightly", filepath.Join(f.dir, "pulled")
	for n := range 2 {
		f.build(t, "--append", fmt.Sprintf("razor.n=%d", n), "--source-date-epoch", fmt.Sprint(1700000000+n))
		if _, stderr, err := runHere(t, "push", ref, f.folder); err != nil {
			t.Fatalf("%v\n%s", err, stderr)
		}
		if _, stderr, err := runHere(t, "pull", ref, "-o", pulled, "--cache-dir", filepath.Join(f.dir, "pulls")); err != nil {
			t.Fatalf("%v\n%s", err, stderr)
		}
		testkit.Run(t, "diff", "-r", f.folder, pulled)
	}
	if blobs, err := os.ReadDir(filepath.Join(pulled, "blobs", "sha256")); err != nil || len(blobs) < 10 {
		t.Errorf("%d blobs, %v", len(blobs), err)
	}
}
