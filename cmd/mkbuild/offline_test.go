package main

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/fetch"
)

// noDial is a network that always fails and counts the attempts.
type noDial struct{ asked atomic.Int32 }

func (n *noDial) RoundTrip(*http.Request) (*http.Response, error) {
	n.asked.Add(1)
	return nil, errors.New("there is no network")
}

// overHTTP returns the name of a configuration, in a separate folder, for a mirror over HTTP that ends with the
// test.
func overHTTP(t *testing.T) string {
	t.Helper()
	dir, url := tinymirror.Serve(t)
	return put(t, filepath.Join(filepath.Dir(dir), "mkbuild.yaml"), tinymirror.ConfigAt(url))
}

// With --offline no command uses the network, with a lock or without, whether the cache is complete or not.
func TestOfflineDialsNothing(t *testing.T) {
	t.Parallel()
	for _, locked := range []bool{false, true} {
		config := overHTTP(t)
		dir := filepath.Dir(config)
		network := &noDial{}
		mkbuild := func(transport http.RoundTripper, args ...string) int {
			var out, errs bytes.Buffer
			w := &world{stdout: &out, stderr: &errs, getenv: func(string) string { return "" }, client: testClient, transfers: fetch.Options{Transport: transport}}
			code := run(t.Context(), w, append(args, "--config", config))
			t.Logf("mkbuild %s: %d\n%s", strings.Join(args, " "), code, errs.String())
			return code
		}
		cold, warm := "--cache-dir="+filepath.Join(dir, "cold"), "--cache-dir="+filepath.Join(dir, "warm")
		image, tgz, lockfile := "-o="+filepath.Join(dir, "x.iso"), "-o="+filepath.Join(dir, "x.tar.gz"), "--lockfile="+filepath.Join(dir, "other.lock")
		if mkbuild(nil, "iso", warm, image) != exitOK || mkbuild(nil, "lock", warm, lockfile) != exitOK || locked && mkbuild(nil, "lock", warm) != exitOK {
			t.Fatal("no network at all")
		}
		for _, c := range [][]string{
			{"iso", image}, {"overlay", tgz}, {"fetch"}, {"mirror", filepath.Join(dir, "airgap")}, {"lock", lockfile}, {"lock", "--update", lockfile}, {"lock", "--check", lockfile},
		} {
			if code := mkbuild(network, append(c, warm, "--offline")...); code != exitOK {
				t.Errorf("%q with a full cache: exit status %d", c, code)
			}
			if code := mkbuild(network, append(c, cold, "--offline")...); code != exitNetwork {
				t.Errorf("%q with an empty cache: exit status %d", c, code)
			}
			if n := network.asked.Load(); n != 0 {
				t.Fatalf("%q asked the network %d times", c, n)
			}
		}
		if code := mkbuild(network, "iso", cold, image); code != exitNetwork || network.asked.Load() == 0 {
			t.Errorf("without --offline: exit status %d, asked %d times", code, network.asked.Load())
		}
	}
}

// The same from the kernel's view: no network system call at all.
func TestOfflineOpensNoSocket(t *testing.T) {
	t.Parallel()
	strace := testkit.Tool(t, "strace")
	if out, err := exec.CommandContext(t.Context(), strace, "-qq", "-o", os.DevNull, "true").CombinedOutput(); err != nil && os.Getenv("MKBUILD_REQUIRE_TOOLS") != "1" {
		t.Skipf("no tracing here: %v %s", err, out)
	}
	config := overHTTP(t)
	dir := filepath.Dir(config)
	self, err := os.Executable()
	testkit.Must(t, err)
	trace := filepath.Join(dir, "trace")
	traced := func(args ...string) string {
		t.Helper()
		link := filepath.Join(dir, "mkbuild") // under this name the test is mkbuild itself
		if err := os.Symlink(self, link); err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
		args = append([]string{"-f", "-qq", "-e", "trace=%network", "-e", "signal=none", "-o", trace, link}, args...)
		testkit.Run(t, strace, append(args, "--config", config, "--cache-dir", filepath.Join(dir, "cache"), "-o", filepath.Join(dir, "x.iso"))...)
		text, err := os.ReadFile(trace)
		testkit.Must(t, err)
		return string(text)
	}
	if got := traced("iso"); !strings.Contains(got, "connect(") {
		t.Fatalf("the trace shows no connection of an online build:\n%s", got)
	}
	if got := traced("iso", "--offline"); strings.Contains(got, "(") {
		t.Errorf("--offline:\n%s", got)
	}
}
