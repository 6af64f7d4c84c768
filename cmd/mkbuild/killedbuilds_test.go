package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/store"
)

// crowd is many concurrent builds on one cache, some of which are killed.
type crowd struct {
	program, config, cache, out, tmp string

	mu sync.Mutex
	// typical is the current duration of a build.
	typical time.Duration
	killed  int
}

// TestManyBuildsOnOneCache runs 200 builds on one cache, in batches for a small machine, and kills 50 of them at
// random moments. Each batch but the first begins during a prune of the cache, so most builds find it cold. At the
// end the cache is clean, no file is left anywhere, and all existing images are equal.
func TestManyBuildsOnOneCache(t *testing.T) {
	t.Parallel()
	builds, batch, kills := 200, 20, 5
	if testing.Short() {
		builds = 40
	}
	s := newCrowd(t)
	want := s.first(t)
	random := rand.New(rand.NewPCG(4, 2012))
	for begin := 0; begin < builds; begin += batch {
		s.batch(t, begin, batch, kills, random)
	}
	for s.killed < builds/batch*kills && !t.Failed() { // some ended before the kill
		s.batch(t, builds, kills, kills, random)
		builds += kills
	}
	t.Logf("%d builds of about %v each, %d killed", builds, s.typical.Round(time.Millisecond), s.killed)
	s.checkImages(t, want)
	s.checkLeftovers(t)
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	dir := t.TempDir()
	s := &crowd{config: filepath.Join(dir, "mkbuild.yaml"), cache: filepath.Join(dir, "cache"), out: filepath.Join(dir, "out"), tmp: filepath.Join(dir, "tmp")}
	var err error
	if s.program, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	_, url := tinymirror.Serve(t)
	for _, d := range []string{s.out, s.tmp} {
		testkit.Must(t, os.Mkdir(d, 0o755))
	}
	put(t, s.config, tinymirror.ConfigAt(url))
	return s
}

// command runs mkbuild as a separate process.
func (s *crowd) command(args ...string) (*exec.Cmd, *bytes.Buffer) {
	c := exec.Command(s.program, args...)
	c.Args[0] = "mkbuild" // see TestMain
	c.Env = append(os.Environ(), cacheDirEnv+"="+s.cache, "TMPDIR="+s.tmp)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	return c, &stderr
}

func (s *crowd) build(n int, more ...string) (*exec.Cmd, *bytes.Buffer) {
	return s.command(append([]string{"iso", "--config", s.config, "--progress", "quiet", "-o", s.image(n)}, more...)...)
}

// allForms makes killed builds write all forms.
const allForms = "--format=iso,pxe,razor,tar"

func (s *crowd) image(n int) string { return filepath.Join(s.out, fmt.Sprintf("%d.iso", n)) }

// first is an undisturbed build: its image and its duration.
func (s *crowd) first(t *testing.T) string {
	t.Helper()
	begun := time.Now()
	c, stderr := s.build(-1)
	if err := c.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	s.typical = time.Since(begun)
	return digest(t, s.image(-1))
}

func digest(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Error(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))
}

// batch runs n concurrent builds, kills some, and prunes.
func (s *crowd) batch(t *testing.T, begin, n, kills int, random *rand.Rand) {
	t.Helper()
	var all sync.WaitGroup
	prune, stderr := s.command("cache", "prune", "--older-than", "0")
	all.Go(func() {
		if err := prune.Run(); err != nil {
			t.Errorf("prune: %v\n%s", err, stderr)
		}
	})
	victims := map[int]float64{}
	for _, v := range random.Perm(n)[:kills] {
		victims[v] = random.Float64()
	}
	for i := range n {
		moment, victim := victims[i]
		all.Go(func() {
			if victim {
				s.kill(t, begin+i, moment)
			} else {
				s.survive(t, begin+i)
			}
		})
	}
	all.Wait()
}

// survive is a build that must succeed.
func (s *crowd) survive(t *testing.T, n int) {
	begun := time.Now()
	c, stderr := s.build(n)
	if err := c.Run(); err != nil {
		t.Errorf("build %d: %v\n%s", n, err, stderr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.typical = (s.typical + time.Since(begun)) / 2
}

// kill kills a build after a part of the typical time.
func (s *crowd) kill(t *testing.T, n int, moment float64) {
	s.mu.Lock()
	after := time.Duration(moment * float64(s.typical))
	s.mu.Unlock()
	c, stderr := s.build(n, allForms)
	if err := c.Start(); err != nil {
		t.Error(err)
		return
	}
	timer := time.AfterFunc(after, func() { c.Process.Kill() })
	defer timer.Stop()
	err := c.Wait()
	if err != nil && c.ProcessState.ExitCode() >= 0 { // -1: by a signal
		t.Errorf("build %d: %v\n%s", n, err, stderr)
	}
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.killed++
	}
}

// checkImages: each existing image is whole, even of killed builds.
func (s *crowd) checkImages(t *testing.T, want string) {
	t.Helper()
	images, err := filepath.Glob(filepath.Join(s.out, "*.iso"))
	if err != nil || len(images) < 150 && !testing.Short() {
		t.Errorf("%d images, %v", len(images), err)
	}
	for _, name := range images {
		if got := digest(t, name); got != want {
			t.Errorf("%s is another image: %s, want %s", name, got, want)
		}
	}
}

// checkLeftovers: the next build of the same output removes the remains of killed processes, and the cache is
// clean.
func (s *crowd) checkLeftovers(t *testing.T) {
	t.Helper()
	killed := hidden(t, s.out)
	t.Logf("to be swept: %q", killed)
	for _, name := range append(killed, ".0.iso.tmp-0") {
		n, err := strconv.Atoi(strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsDigit(r) })[0])
		testkit.Must(t, err)
		c, stderr := s.build(n, allForms)
		if err := c.Run(); err != nil {
			t.Fatalf("%v\n%s", err, stderr)
		}
	}
	if left := hidden(t, s.out); len(left) > 0 {
		t.Errorf("left next to the outputs: %q", left)
	}
	if left, err := os.ReadDir(s.tmp); err != nil || len(left) > 0 {
		t.Errorf("left in TMPDIR: %v, %v", left, err)
	}
	h, err := (&store.Store{Dir: s.cache}).Verify(context.Background())
	if err != nil || !h.Clean() || h.Blobs == 0 {
		t.Errorf("the cache: %+v, %v", h, err)
	}
	c, stderr := s.command("cache", "verify")
	if out, err := c.Output(); err != nil || !strings.HasSuffix(string(out), ": clean\n") {
		t.Errorf("cache verify: %v\n%s%s", err, out, stderr)
	}
}

// outputs are the names of a build with all forms.
var outputs = regexp.MustCompile(`^-?[0-9]+(\.iso(\.manifest\.json)?|-pxe|\.razor\.tar|\.overlay\.tar\.gz)$`)

// hidden lists the files in a folder that are not outputs.
func hidden(t *testing.T, dir string) []string {
	t.Helper()
	es, err := os.ReadDir(dir)
	testkit.Must(t, err)
	var out []string
	for _, e := range es {
		if !outputs.MatchString(e.Name()) {
			out = append(out, e.Name())
		}
	}
	return out
}
