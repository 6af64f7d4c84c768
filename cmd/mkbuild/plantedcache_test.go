package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/lock"
	"mkbuild/internal/store"
)

// TestPlantedMD5IsNotLocked: an attacker in the cache records other content for an address, with the published MD5.
// The lock pins the real file.
func TestPlantedMD5IsNotLocked(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	b := m.builder(t)
	address := func(name string) string { return m.good + "/4.x/x86/tcz/" + name }
	entry := func(s *store.Store, name string) store.Entry {
		e, err := s.Entry(store.KindDownload, address(name))
		testkit.Must(t, err)
		return e
	}
	if code := b.iso("--mirror", m.good); code != exitOK {
		t.Fatal(b.stderr.String())
	}
	s := &store.Store{Dir: b.cache}
	ruby, bash := entry(s, "ruby.tcz"), entry(s, "bash.tcz")
	planted := ruby
	planted.SHA256 = bash.SHA256
	testkit.Must(t, s.Put(t.Context(), store.KindDownload, planted))
	s.Close()
	name := filepath.Join(filepath.Dir(b.config), "x.lock")
	if code := b.run("lock", "--mirror", m.good, "--lockfile", name); code != exitOK {
		t.Fatal(b.stderr.String())
	}
	l, err := lock.Load(name, "")
	testkit.Must(t, err)
	if in := l.Find(lock.TCZ, "ruby.tcz"); in == nil || in.SHA256 != ruby.SHA256 {
		t.Errorf("locked: %+v, want %s", in, ruby.SHA256)
	}
	if !bytes.Contains(ruby.About, []byte(`"md5":"`+l.Find(lock.TCZ, "ruby.tcz").MD5)) {
		t.Errorf("this test cannot fail: %s", ruby.About)
	}
}

// attacker can write to a cache, and knows everything except the user's key.
type attacker struct {
	t     *testing.T
	cache string
}

// entries lists the index files of a kind.
func (a attacker) entries(kind string) []string {
	names, err := filepath.Glob(filepath.Join(a.cache, "index", kind, "*", "*.json"))
	if err != nil || len(names) < 2 {
		a.t.Fatalf("%d entries of %s, %v", len(names), kind, err)
	}
	return names
}

func (a attacker) read(name string) (e store.Entry) {
	testkit.Must(a.t, json.Unmarshal(testkit.Read(a.t, name), &e))
	return e
}

func (a attacker) write(name string, e store.Entry) {
	text, err := json.Marshal(e)
	testkit.Must(a.t, err)
	testkit.Must(a.t, os.WriteFile(name, text, 0o644))
}

// blob returns the file of the first content that entries of a kind point to.
func (a attacker) blob(kind string) string {
	for _, name := range a.entries(kind) {
		if sum := a.read(name).SHA256; sum != "" {
			return filepath.Join(a.cache, "sha256", sum[:2], sum)
		}
	}
	a.t.Fatalf("no content of %s", kind)
	return ""
}

// turn points each entry of a kind to the content of the next. change may change the entry further.
func (a attacker) turn(kind string, change func(e *store.Entry, next store.Entry)) {
	names := a.entries(kind)
	first := a.read(names[0])
	for i, name := range names {
		e, next := a.read(name), first
		if i+1 < len(names) {
			next = a.read(names[i+1])
		}
		e.SHA256, e.About = next.SHA256, next.About
		change(&e, next)
		a.write(name, e)
	}
}

// swaps are an attacker's changes between two builds.
func (a attacker) swaps() map[string]func() {
	all := map[string]func(){}
	for _, kind := range []string{"segment", "tree", "download"} {
		all[kind+": entries turned, their seals kept"] = func() { a.turn(kind, func(*store.Entry, store.Entry) {}) }
		all[kind+": entries turned, with the seals of what they lead to"] = func() {
			a.turn(kind, func(e *store.Entry, next store.Entry) { e.Seals = next.Seals })
		}
		all[kind+": entries turned, without seals"] = func() { a.turn(kind, func(e *store.Entry, _ store.Entry) { e.Seals = nil }) }
		all[kind+": entries turned, with seals of another key"] = func() {
			a.turn(kind, func(e *store.Entry, _ store.Entry) {
				s := &store.Store{Dir: a.cache, Key: []byte("another"), Sealed: true}
				testkit.Must(a.t, s.Put(a.t.Context(), kind, *e))
				s.Close()
				got, err := s.Entry(kind, e.Key)
				testkit.Must(a.t, err)
				e.Seals = got.Seals
			})
		}
		all[kind+": content replaced"] = func() { testkit.Must(a.t, os.WriteFile(a.blob(kind), []byte("planted"), 0o644)) }
		all[kind+": content is a pipe"] = func() {
			name := a.blob(kind)
			testkit.Must(a.t, errors.Join(os.Remove(name), exec.Command("mkfifo", name).Run()))
		}
		all[kind+": content is a link"] = func() {
			name := a.blob(kind)
			testkit.Must(a.t, errors.Join(os.Rename(name, name+"x"), os.WriteFile(name+"y", []byte("planted"), 0o644), os.Symlink(name+"y", name)))
		}
	}
	all["sum: another digest"] = func() {
		for _, name := range a.entries("sum") {
			e := a.read(name)
			e.SHA256 = filepath.Base(a.blob("tree"))
			a.write(name, e)
		}
	}
	all["the whole index is somebody else's"] = func() {
		testkit.Must(a.t, errors.Join(os.Rename(filepath.Join(a.cache, "index", "segment"), filepath.Join(a.cache, "x")),
			os.Rename(filepath.Join(a.cache, "index", "tree"), filepath.Join(a.cache, "index", "segment"))))
	}
	return all
}

// TestSwapsLose: whatever an attacker does to the cache, a build with a lock gives the same image or none. The same
// swaps change a build without a lock.
func TestSwapsLose(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	var won atomic.Int64
	t.Run("swaps", func(t *testing.T) {
		names := slices.Sorted(maps.Keys(attacker{t, ""}.swaps()))
		if len(names) < 20 {
			t.Fatalf("%d swaps", len(names))
		}
		for _, name := range names {
			for _, locked := range []bool{true, false} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					b := m.builder(t)
					args := []string{"--mirror", m.good}
					if locked {
						if code := b.run("lock", "--mirror", m.good); code != exitOK {
							t.Fatal(b.stderr.String())
						}
						args = []string{"--locked", "--offline"}
					}
					for _, version := range []string{"9.9", "1.0"} { // two of each kind of entry
						if code := b.iso(append(args, "--image-version", version)...); code != exitOK {
							t.Fatal(b.stderr.String())
						}
					}
					want := digest(t, b.out)
					attacker{t, b.cache}.swaps()[name]()
					code := b.iso(append(args, "--image-version", "1.0")...)
					switch got := digest(t, b.out); {
					case locked && code == exitOK && got != want:
						t.Error("the swap has won")
					case locked && code != exitOK && !strings.Contains(name, "download"):
						t.Errorf("the build fails, though everything is to be had: %s", b.stderr.String())
					case !locked && (code != exitOK || got != want):
						won.Add(1)
					}
				})
			}
		}
	})
	if won.Load() < 3 {
		t.Errorf("%d swaps win without a lock: this test cannot fail", won.Load())
	}
}

// TestSwapsMeanwhileLose: content that is swapped all the time, even between hashing and reading.
func TestSwapsMeanwhileLose(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	b := m.builder(t)
	if code := b.run("lock", "--mirror", m.good); code != exitOK {
		t.Fatal(b.stderr.String())
	}
	if code := b.iso("--locked", "--offline"); code != exitOK {
		t.Fatal(b.stderr.String())
	}
	want := digest(t, b.out)
	blobs, err := filepath.Glob(filepath.Join(b.cache, "sha256", "*", "*"))
	testkit.Must(t, err)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			for _, name := range blobs {
				text, err := os.ReadFile(name)
				if err != nil || len(text) == 0 {
					continue
				}
				text[len(text)/2] ^= 1
				_ = os.WriteFile(name, text, 0o644)
				time.Sleep(time.Millisecond)
				text[len(text)/2] ^= 1
				_ = os.WriteFile(name, text, 0o644)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	for i := range 20 {
		if code := b.iso("--locked", "--mirror", m.good); code == exitOK && digest(t, b.out) != want {
			t.Errorf("build %d has other bytes", i)
		}
	}
	close(stop)
	<-stopped
}

// TestForeignCache: without a lock a cache that others can write to is reported once, with a lock never.
func TestForeignCache(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	for _, name := range []string{".", "sha256", "index"} {
		b := m.builder(t)
		testkit.Must(t, os.MkdirAll(filepath.Join(b.cache, name), 0o755))
		if b.iso("--mirror", m.good); strings.Contains(b.stderr.String(), "can write to it") {
			t.Errorf("a cache of one's own is called foreign: %s", b.stderr.String())
		}
		testkit.Must(t, os.Chmod(filepath.Join(b.cache, name), 0o775))
		if b.iso("--mirror", m.good); strings.Count(b.stderr.String(), filepath.Join(b.cache, name)+": other users can write to it (mode 0775)") != 1 {
			t.Errorf("%s: %s", name, b.stderr.String())
		}
		b.run("lock", "--mirror", m.good)
		if b.iso("--mirror", m.good); strings.Contains(b.stderr.String(), "can write to it") {
			t.Errorf("with a lock: %s", b.stderr.String())
		}
	}
}

// TestBadKeys: a key that others can read or write, or that is in the cache, is not used, and the build reports it.
func TestBadKeys(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	b := m.builder(t)
	key := b.getenv(cacheKeyEnv)
	if code := b.run("lock", "--mirror", m.good); code != exitOK {
		t.Fatal(b.stderr.String())
	}
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 || info.Size() != 32 {
		t.Fatalf("%+v, %v", info, err)
	}
	b.iso("--locked", "--offline")
	for says, spoil := range map[string]func() error{
		"":                         func() error { return nil },
		"other users can read it":  func() error { return os.Chmod(key, 0o644) },
		"other users can write to": func() error { return os.Chmod(key, 0o622) },
		"32 bytes":                 func() error { return errors.Join(os.Chmod(key, 0o600), os.Truncate(key, 5)) },
		"it is a pipe":             func() error { return errors.Join(os.Remove(key), exec.Command("mkfifo", "-m", "600", key).Run()) },
	} {
		testkit.Must(t, spoil())
		code := b.iso("--locked", "--offline")
		if text := b.stderr.String(); code != exitOK || strings.Contains(text, "made again") != (says != "") || !strings.Contains(text, says) {
			t.Errorf("%s: %d, %s", says, code, text)
		}
		testkit.Must(t, os.RemoveAll(key))
		b.run("fetch", "--locked", "--offline") // makes another key
	}
	w := &world{getenv: func(string) string { return filepath.Join(b.cache, "key") }}
	if key, err := cacheKey(w, b.cache); err == nil || len(key) != 32 {
		t.Errorf("a key in the cache: %v", err)
	}
}

// TestQueriesStayOut: the query of an address is only in the configuration, and a lock still finds its file.
func TestQueriesStayOut(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	b := m.builder(t)
	text := string(testkit.Read(t, b.config))
	const secret = "t0ken-in-a-query"
	edited := strings.NewReplacer("url: ", `url: "`, ".tgz}", ".tgz?key="+secret+`"}`).Replace(text)
	if strings.Count(edited, secret) < 2 {
		t.Fatalf("no addresses in\n%s", text)
	}
	put(t, b.config, edited)
	shown := ""
	for _, args := range [][]string{
		{"lock"}, {"iso", "-o", b.out, "--locked", "--timings"}, {"plan", "--json"}, {"plan"}, {"cache", "ls"}, {"cache", "ls", "--json"}, {"lock", "--check"},
		{"iso", "-o", b.out, "--locked", "--progress", "json", "--sbom", "spdx"}, {"mirror", filepath.Join(filepath.Dir(b.config), "mirror")}, {"inspect", b.out, "--json"},
	} {
		if args[0] != "inspect" {
			args = append(args, "--cache-dir", b.cache)
		}
		if args[0] != "inspect" && args[0] != "cache" {
			args = append(args, "--config", b.config)
		}
		code := b.exec(args...)
		if code != exitOK {
			t.Errorf("%q: %d, %s", args, code, b.stderr.String())
		}
		shown += b.stdout.String() + b.stderr.String()
	}
	testkit.Must(t, os.RemoveAll(b.cache))
	if code := b.iso("--locked"); code != exitOK {
		t.Errorf("without the cache: %s", b.stderr.String())
	}
	m2 := m.bad(t, ".tgz", always("<html>not this</html>"))
	put(t, b.config, strings.ReplaceAll(edited, m.good, m2))
	testkit.Must(t, os.RemoveAll(b.cache))
	b.iso("--locked")
	shown += b.stdout.String() + b.stderr.String()
	if strings.Contains(shown, secret) {
		t.Errorf("printed:\n%s", shown)
	}
	if !strings.Contains(shown, ".tgz?xxxxx") {
		t.Error("no address with a query was shown: this test cannot fail")
	}
	err := filepath.WalkDir(filepath.Dir(b.config), func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && name != b.config && bytes.Contains(testkit.Read(t, name), []byte(secret)) {
			t.Errorf("%s has it", name)
		}
		return err
	})
	testkit.Must(t, err)
}
