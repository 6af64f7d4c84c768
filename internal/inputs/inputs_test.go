package inputs

import (
	"crypto/sha256"
	"errors"
	"fmt"
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
	"mkbuild/internal/fetch"
	"mkbuild/internal/lock"
)

func TestInputs(t *testing.T) {
	t.Parallel()
	o, _ := options(warm)
	r := gathered(t, plan(t, pristine, profileOf("dev"), func(c *config.Config) {
		c.Extensions = []string{"ruby", "bash", "scsi-KERNEL", "util-linux"}
	}), o)
	want := []string{
		"gem daemons-1.1.8.gem: configuration; needs ; ",
		"gem stomp-1.2.0.gem: configuration; needs ; ",
		"iso Core-4.5.2.iso: configuration; needs ; ",
		"mcollective mcollective-1.2.1.tgz: configuration; needs ; ",
		"rubygems rubygems-1.8.15.tgz: configuration; needs ; ",
		"tcz bash.tcz: configuration; needs ncurses.tcz; GPL v3 or later",
		"tcz gcc_libs.tcz: openssh.tcz, openssl-1.0.0.tcz; needs openssl-1.0.0.tcz; ",
		"tcz ncurses-common.tcz: ncurses.tcz; needs ; ",
		"tcz ncurses.tcz: bash.tcz; needs ncurses-common.tcz; ",
		"tcz openssh.tcz: profile dev; needs openssl-1.0.0.tcz gcc_libs.tcz; ",
		"tcz openssl-1.0.0.tcz: gcc_libs.tcz, openssh.tcz; needs gcc_libs.tcz; ",
		"tcz ruby.tcz: configuration; needs ; ",
		"tcz scsi-3.0.21-tinycore.tcz: configuration; needs ; ",
		"tcz util-linux.tcz: configuration, pick; needs ; ",
	}
	if got := described(r.Lock.Inputs); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, in := range r.Lock.Inputs {
		b := testkit.Read(t, in.URL)
		if got := fmt.Sprintf("%x", sha256.Sum256(b)); got != in.SHA256 || in.Size != int64(len(b)) || filepath.Base(in.URL) != in.Name {
			t.Errorf("%+v: the file has %s and %d bytes", in, got, len(b))
		}
		if upstream := in.Kind == lock.ISO || in.Kind == lock.TCZ; upstream != (in.MD5 != "") {
			t.Errorf("%s: md5 %q", in.Name, in.MD5)
		}
	}
}

// A result contains the files inside: extensions, archives without their top folder, gems.
func TestContents(t *testing.T) {
	t.Parallel()
	o, _ := options(warm)
	r := gathered(t, plan(t, pristine), o)
	for _, tc := range []struct{ kind, name, file string }{
		{lock.TCZ, "bash.tcz", "usr/local/bin/bash"},
		{lock.RubyGems, r.Archive(lock.RubyGems).Name, "setup.rb"},
		{lock.MCollective, r.Archive(lock.MCollective).Name, "mcollectived.rb"},
	} {
		tree, err := r.Tree(tc.kind, tc.name)
		if err != nil || tree.Get(tc.file) == nil {
			t.Errorf("%s: no %s: %v", tc.name, tc.file, err)
		}
	}
	gems, err := r.Gems()
	if err != nil || len(gems) != 2 || gems[1].File != "stomp-1.2.0.gem" {
		t.Errorf("gems %v, %v", gems, err)
	}
}

// noNetwork is a transport that must not be used.
type noNetwork struct{ t testing.TB }

func (n noNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("asked for %s", r.URL)
	return nil, errors.New("no network")
}

// A mirror on disk has archives and gems by name, whatever the configured places.
func TestArchivesOfMirrorOnDisk(t *testing.T) {
	t.Parallel()
	elsewhere := func(c *config.Config) {
		c.RubyGems.URL, c.MCollective.URL, c.Gems.Source = []string{"http://127.0.0.1:1/r.tgz"}, []string{"http://127.0.0.1:1/m.tgz"}, []string{"http://127.0.0.1:1/"}
	}
	o, _ := options(t.TempDir())
	o.Fetch.HTTP.Transport = noNetwork{t}
	if got, want := deciding(gathered(t, plan(t, pristine, elsewhere), o)), deciding(gathered(t, plan(t, pristine), o)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A mirror on the network comes after configured places, unless a lock decides.
func TestArchivesOfMirrorOnNetwork(t *testing.T) {
	t.Parallel()
	srv := tinymirror.ServeDir(t, pristine)
	s := &source{mirrors: planAt(t, srv.URL).Mirrors}
	configured := []string{"https://configured/stomp-1.2.0.gem"}
	for locked, want := range map[bool][]string{
		false: {configured[0], srv.URL + "/archives/stomp-1.2.0.gem"},
		true:  {srv.URL + "/archives/stomp-1.2.0.gem", configured[0]},
	} {
		if got, err := s.archiveURLs("stomp-1.2.0.gem", configured, locked); err != nil || !slices.Equal(got, want) {
			t.Errorf("locked %v: got %q, %v", locked, got, err)
		}
	}
}

// Extensions come from the mirror that has the release, because another mirror may have them in other versions.
func TestISOsMirrorComesFirst(t *testing.T) {
	t.Parallel()
	other := tinymirror.New(t)
	testkit.Must(t, os.RemoveAll(filepath.Join(other, "4.x/x86/archive")))
	update(t, other, tczDir+"/dmidecode.tcz")
	tinymirror.Publish(t, other, tczDir+"/extra.tcz", sqfs.Image([]sqfs.File{sqfs.Reg("usr/local/bin/extra", 0o755, "only there\n")}))
	o, _ := options(t.TempDir())
	r := gathered(t, plan(t, other, func(c *config.Config) {
		c.Mirrors = config.URLs{other, pristine}
		c.Extensions = append(c.Extensions, "extra")
	}), o)
	if in := r.Lock.Find(lock.TCZ, "dmidecode.tcz"); !strings.HasPrefix(in.URL, pristine) {
		t.Errorf("dmidecode is of %s", in.URL)
	}
	if in := r.Lock.Find(lock.TCZ, "extra.tcz"); !strings.HasPrefix(in.URL, other) {
		t.Errorf("extra is of %s", in.URL)
	}
}

// The 64-bit edition's ISO has another name.
func TestX86_64(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	testkit.Must(t, os.Rename(filepath.Join(dir, "4.x/x86"), filepath.Join(dir, "4.x/x86_64")))
	tinymirror.Publish(t, dir, "4.x/x86_64/release/CorePure64-4.5.2.iso", testkit.Read(t, filepath.Join(dir, "4.x/x86_64/archive/4.5.2/Core-4.5.2.iso")))
	o, _ := options(t.TempDir())
	r := gathered(t, plan(t, dir, func(c *config.Config) { c.Arch = "x86_64" }), o)
	if r.Lock.Find(lock.ISO, "CorePure64-4.5.2.iso") == nil || r.Lock.Arch != "x86_64" {
		t.Errorf("%q", described(r.Lock.Inputs))
	}
}

// A point release that is not the newest of its series is under archive/. Core-current.iso, the newest, is never
// requested.
func TestArchivedRelease(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	wrong := append(testkit.Read(t, filepath.Join(dir, isoPath)), make([]byte, 2048)...)
	for _, n := range []string{"release/Core-current.iso", "archive/4.5.2/Core-current.iso", "release/Core-4.7.7.iso"} {
		tinymirror.Publish(t, dir, "4.x/x86/"+n, wrong)
	}
	srv := tinymirror.ServeDir(t, dir)
	isoSize := func() int64 {
		o, _ := options(t.TempDir())
		return gathered(t, planAt(t, srv.URL), o).Lock.Find(lock.ISO, "Core-4.5.2.iso").Size
	}
	if isoSize() == int64(len(wrong)) {
		t.Error("another release was taken")
	}
	asked := srv.Requests()
	for _, path := range []string{"/4.x/x86/release/Core-4.5.2.iso.md5.txt", "/" + isoPath + ".md5.txt", "/" + isoPath} {
		if !slices.Contains(asked, path) {
			t.Errorf("%s was not asked for: %q", path, asked)
		}
	}
	for _, a := range asked {
		if strings.Contains(a, "current") || strings.Contains(a, "4.7.7") {
			t.Errorf("asked for %s", a)
		}
	}
	// In release/, if it is the newest.
	tinymirror.Publish(t, dir, "4.x/x86/release/Core-4.5.2.iso", wrong)
	if isoSize() != int64(len(wrong)) {
		t.Error("release/ does not come first")
	}
}

// A warm cache needs no mirror, a cold cache names the missing file, and nothing dials.
func TestOffline(t *testing.T) {
	t.Parallel()
	srv := tinymirror.ServeDir(t, pristine)
	cache := t.TempDir()
	o, _ := options(cache)
	want := deciding(gathered(t, planAt(t, srv.URL), o))
	before := len(srv.Requests())
	o, _ = options(cache)
	o.Fetch.Offline = true
	if got := deciding(gathered(t, planAt(t, srv.URL), o)); got != want {
		t.Errorf("offline: got\n%s\nwant\n%s", got, want)
	}
	cold, _ := options(t.TempDir())
	cold.Fetch.Offline = true
	if _, err := gather(t, planAt(t, srv.URL), cold); !errors.Is(err, fetch.ErrOffline) || !strings.Contains(err.Error(), "Core-4.5.2.iso") {
		t.Errorf("cold and offline: %v", err)
	}
	if n := len(srv.Requests()); n != before {
		t.Errorf("%d requests while offline", n-before)
	}
}
