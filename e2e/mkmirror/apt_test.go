package main

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/ui"
)

// archive is a Debian archive on the loopback.
type archive struct {
	t   *testing.T
	dir string
	url string
	// stale are old copies of indexes, for clients that do not bypass the proxy.
	stale map[string]string
}

func newArchive(t *testing.T) *archive {
	a := &archive{t: t, dir: t.TempDir(), stale: make(map[string]string)}
	files := http.FileServer(http.Dir(a.dir))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text, ok := a.stale[r.URL.Path]; ok && !strings.Contains(r.Header.Get("Cache-Control"), "no-cache") {
			fmt.Fprint(w, text)
			return
		}
		r.Header.Del("If-Modified-Since") // its seconds are too long for a test
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	a.url = srv.URL
	return a
}

// publish writes a suite with one version of a kernel, of its metapackage, and of bash.
func (a *archive) publish(suite, version string) {
	kernel := "linux-image-6.1.0-" + version + "-686"
	index := a.deb(kernel, version, "") + a.deb("linux-image-686", version, "Depends: "+kernel+"\n") + a.deb("bash", version, "")
	release := fmt.Sprintf("Suite: %s\nCodename: %[1]s\nDate: Thu, 01 Jan 2026 00:00:0%s UTC\nArchitectures: i386\nComponents: main\nSHA256:\n %x %d main/binary-i386/Packages\n",
		suite, version, sha256.Sum256([]byte(index)), len(index))
	writeTestFile(a.t, filepath.Join(a.dir, "dists", suite, "main/binary-i386/Packages"), index)
	writeTestFile(a.t, filepath.Join(a.dir, "dists", suite, "Release"), release)
}

// outOfStep replaces a suite's index with one that its Release file does not list.
func (a *archive) outOfStep(suite string) {
	writeTestFile(a.t, filepath.Join(a.dir, "dists", suite, "main/binary-i386/Packages"), "Package: of-tomorrow\n")
}

// deb makes a package and returns its stanza.
func (a *archive) deb(name, version, fields string) string {
	root := a.t.TempDir()
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: Nobody <nobody@example.com>\nDescription: test\n%s", name, version, fields)
	writeTestFile(a.t, filepath.Join(root, "DEBIAN/control"), control)
	file := "pool/" + name + "_" + version + "_all.deb"
	writeTestFile(a.t, filepath.Join(a.dir, file), "")
	testkit.Run(a.t, "dpkg-deb", "-b", root, filepath.Join(a.dir, file))
	deb, err := os.ReadFile(filepath.Join(a.dir, file))
	if err != nil {
		a.t.Fatal(err)
	}
	return fmt.Sprintf("%sFilename: %s\nSize: %d\nSHA256: %x\n\n", control, file, len(deb), sha256.Sum256(deb))
}

func (a *archive) remove(names ...string) {
	for _, n := range names {
		if err := os.RemoveAll(filepath.Join(a.dir, n)); err != nil {
			a.t.Fatal(err)
		}
	}
}

// warnings collects the warnings that users would see.
type warnings []string

func (w *warnings) Event(e ui.Event) {
	if e.Level == ui.Warning {
		*w = append(*w, e.Text)
	}
}

// The packages count, not one suite's index: seen are indexes with another size than in the signed list, "Mirror
// sync in progress?".
func TestFetchWithASuiteOutOfStep(t *testing.T) {
	testkit.Tool(t, "apt-get")
	for _, tc := range []struct {
		name string
		// earlier is true if a complete download came first, of an archive with the suites main (version 1) and
		// security (2); then comes a change.
		earlier bool
		change  func(*archive, apt)
		want    string // bash's version; none: an error with the message of apt-get update
		warning string
	}{
		{
			name:   "in step",
			change: func(*archive, apt) {},
			want:   "2",
		},
		{
			name:    "a suite that was never read",
			change:  func(a *archive, _ apt) { a.outOfStep("security") },
			want:    "1",
			warning: "going on with the lists that could be read: ",
		},
		{
			name: "a proxy's old index",
			change: func(a *archive, _ apt) {
				a.stale["/dists/security/main/binary-i386/Packages"] = "Package: of-yesterday\n"
			},
			want: "2",
		},
		{
			name:    "an old index that names a file that is gone",
			earlier: true,
			change: func(a *archive, from apt) {
				if err := os.RemoveAll(from.debs()); err != nil {
					a.t.Error(err)
				}
				a.publish("security", "3")
				a.outOfStep("security")
				a.remove("pool/bash_2_all.deb")
			},
			want:    "1",
			warning: "lists that could be read",
		},
		{
			name:    "nothing but an earlier download",
			earlier: true,
			change: func(a *archive, from apt) {
				a.remove("dists", "pool")
				if err := os.RemoveAll(from.lists()); err != nil {
					a.t.Error(err)
				}
			},
			want:    "2",
			warning: "packages of an earlier run",
		},
		{
			name:    "nothing",
			change:  func(a *archive, _ apt) { a.outOfStep("main"); a.outOfStep("security") },
			warning: "lists that could be read",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			a := newArchive(t)
			a.publish("main", "1")
			a.publish("security", "2")
			var warned warnings
			from := apt{
				dir: t.TempDir(), platform: i386(), pauses: []time.Duration{0}, sink: &warned,
				sources: "Types: deb\nURIs: " + a.url + "\nSuites: main security\nComponents: main\nTrusted: yes\n",
			}
			if tc.earlier {
				if _, err := from.fetch(t.Context(), []string{"bash"}, false); err != nil || len(warned) > 0 {
					t.Fatalf("%v, %q", err, warned)
				}
			}
			tc.change(a, from)
			found, err := from.fetch(t.Context(), []string{"bash"}, true)
			got := versionOf(found["bash"])
			if failed := err != nil && strings.Contains(err.Error(), "(apt-get update: "); got != tc.want || failed != (tc.want == "") {
				t.Errorf("got %q, %v, want %q", got, err, tc.want)
			}
			if text := strings.Join(warned, "\n"); !strings.Contains(text, tc.warning) || (text == "") != (tc.warning == "") {
				t.Errorf("warned %q, want %q", text, tc.warning)
			}
		})
	}
}
