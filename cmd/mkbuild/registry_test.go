package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"mkbuild/e2e/testkit"
)

// wire is a proxy before a registry that counts traffic and can change answers.
type wire struct {
	host string
	mu   sync.Mutex
	sent map[string]int // requests by method
	got  int64          // bytes of blobs read
	lie  func(string, http.Header, []byte) []byte
	cut  func(*http.Request) bool // truncates the answer
	deny func(http.ResponseWriter, *http.Request) bool
}

func newWire(t *testing.T, registry string) *wire {
	w := &wire{sent: map[string]int{}}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: registry})
	proxy.ModifyResponse = func(resp *http.Response) error {
		if resp.Request.Method != http.MethodGet {
			return nil
		}
		body, err := io.ReadAll(resp.Body)
		w.mu.Lock()
		defer w.mu.Unlock()
		if strings.Contains(resp.Request.URL.Path, "/blobs/") {
			w.got += int64(len(body))
		}
		if w.lie != nil && resp.StatusCode < 300 {
			body = w.lie(resp.Request.URL.Path, resp.Header, body)
			resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
			resp.ContentLength = int64(len(body))
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
		return err
	}
	proxy.ErrorHandler = func(rw http.ResponseWriter, _ *http.Request, _ error) { rw.WriteHeader(http.StatusBadGateway) }
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.sent[r.Method]++
		cut, deny := w.cut != nil && w.cut(r), w.deny
		w.mu.Unlock()
		if deny != nil && deny(rw, r) {
			return
		}
		if cut {
			rw = &breaking{rw, 1000}
		}
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	w.host = strings.TrimPrefix(s.URL, "http://")
	return w
}

// breaking closes the connection after some bytes.
type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(p []byte) (int, error) {
	if len(p) > b.left {
		b.ResponseWriter.Write(p[:b.left])
		b.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	b.left -= len(p)
	return b.ResponseWriter.Write(p)
}

func (w *wire) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent, w.got, w.lie, w.cut, w.deny = map[string]int{}, 0, nil, nil, nil
}

// bare runs a command without a configuration.
func (b *builder) bare(env map[string]string, args ...string) int {
	b.stdout.Reset()
	b.stderr.Reset()
	w := &world{stdout: &b.stdout, stderr: &b.stderr, getenv: func(k string) string { return env[k] }, client: testClient, transfers: impatient()}
	if args[0] != "cache" {
		args = append(args, "--progress", "plain")
	}
	return run(b.t.Context(), w, args)
}

func (b *builder) ok(args ...string) string {
	b.t.Helper()
	if code := b.bare(map[string]string{cacheDirEnv: b.cache}, args...); code != exitOK {
		b.t.Fatalf("%q: exit status %d\n%s", args, code, b.stderr.String())
	}
	return strings.TrimSpace(b.stdout.String())
}

// images builds an image of an architecture in all forms for the registry.
func (m *mirrors) images(t *testing.T, config string) *builder {
	b := m.builder(t)
	put(t, b.config, config)
	if code := b.iso("--format", "iso,pxe,razor"); code != exitOK {
		t.Fatal(b.stderr.String())
	}
	return b
}

// TestPushPull: pulled files equal pushed files, in every form and for both architectures, though the registry
// stores none of them; and an unchanged image transfers nothing.
func TestPushPull(t *testing.T) {
	t.Parallel()
	w := newWire(t, testkit.Registry(t, ""))
	m := newMirrors(t)
	x86 := m.images(t, strings.ReplaceAll(string(must(os.ReadFile(m.builder(t).config))), "\r", ""))
	modern := m.images(t, modernConfig(t, m))
	ref := w.host + "/razor/mk:1"
	for _, suffix := range []string{".spdx.json", ".minisig", ".intoto.jsonl"} {
		put(t, x86.out+suffix, "of the image: "+suffix)
	}
	pinned := x86.ok("push", ref, x86.out, modern.out)
	if !regexp.MustCompile(`^` + regexp.QuoteMeta(ref) + `@sha256:[0-9a-f]{64}$`).MatchString(pinned) {
		t.Errorf("pushed %q", pinned)
	}
	w.reset()
	if again := x86.ok("push", ref, x86.out, modern.out); again != pinned || w.sent["POST"]+w.sent["PUT"]+w.sent["PATCH"] != 0 {
		t.Errorf("pushed again: %q after %v", again, w.sent)
	}
	for arch, b := range map[string]*builder{"x86": x86, "x86_64": modern} {
		out := filepath.Join(t.TempDir(), "image.iso")
		if got := m.builder(t).ok("pull", pinned, "--arch", arch, "--format", "iso,pxe,razor", "-o", out); strings.Count(got, "\n") != 2 {
			t.Errorf("%s: stdout is %q", arch, got)
		}
		sameFiles(t, filepath.Dir(b.out), filepath.Dir(out))
	}
	said := string(must(os.ReadFile(x86.out+".intoto.jsonl"))) + "\n"
	put(t, x86.out+".intoto.jsonl", said)
	x86.ok("push", w.host+"/razor/said:1", x86.out)
	put(t, x86.out+".intoto.jsonl", said+"tested\n")
	x86.ok("push", w.host+"/razor/said:1", x86.out) // another statement, about the same image
	all := filepath.Join(t.TempDir(), "image.iso")
	x86.ok("pull", w.host+"/razor/said:1", "-o", all)
	if got := string(must(os.ReadFile(all + ".intoto.jsonl"))); strings.Count(got, said) != 1 || strings.Count(got, "tested\n") != 1 {
		t.Errorf("statements: %q", got)
	}
	var x struct {
		Manifests []struct {
			ArtifactType string
			Platform     struct{ Architecture string }
		}
	}
	testkit.Must(t, json.Unmarshal([]byte(testkit.Run(t, "skopeo", "inspect", "--raw", "--tls-verify=false", "docker://"+ref)), &x))
	if len(x.Manifests) != 2 || x.Manifests[0].Platform.Architecture != "386" || x.Manifests[1].Platform.Architecture != "amd64" {
		t.Errorf("skopeo sees %+v", x)
	}
	if code := x86.bare(nil, "pull", ref, "--cache-dir", t.TempDir()); code != exitUsage || !strings.Contains(x86.stderr.String(), "--arch") {
		t.Errorf("without an architecture: %d\n%s", code, x86.stderr.String())
	}
}

// modernConfig is the configuration of the 64-bit series.
func modernConfig(t *testing.T, m *mirrors) string {
	text := string(must(os.ReadFile(filepath.Join(m.dir, "mkbuild64.yaml"))))
	return strings.NewReplacer("[.]", "['"+m.good+"/']", "url: ", "url: "+m.good+"/", "source: ", "source: "+m.good+"/").Replace(text)
}

// sameFiles compares two folders.
func sameFiles(t *testing.T, want, got string) {
	t.Helper()
	list := func(dir string) map[string]string {
		out := map[string]string{}
		testkit.Must(t, filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				out[strings.TrimPrefix(p, dir)] = string(must(os.ReadFile(p)))
			}
			return err
		}))
		return out
	}
	a, b := list(want), list(got)
	for name := range a {
		if a[name] != b[name] {
			t.Errorf("%s: %d bytes, want %d", name, len(b[name]), len(a[name]))
		}
	}
	if len(a) != len(b) || len(a) == 0 {
		t.Errorf("%d files, want %d", len(b), len(a))
	}
}

// TestPullForms: a PXE folder comes back unchanged, and cannot become an ISO; stdout accepts one file.
func TestPullForms(t *testing.T) {
	t.Parallel()
	host := testkit.Registry(t, "")
	m := newMirrors(t)
	b := m.images(t, string(must(os.ReadFile(m.builder(t).config))))
	folder, ref := strings.TrimSuffix(b.out, ".iso")+"-pxe", host+"/razor/folder"
	b.ok("push", ref, folder)
	out := filepath.Join(t.TempDir(), "netboot")
	b.ok("pull", ref, "-o", out)
	sameFiles(t, folder, out)
	razor := filepath.Join(t.TempDir(), "mk.tar")
	b.ok("pull", ref, "--format", "razor", "-o", razor)
	if !bytes.Equal(must(os.ReadFile(razor)), must(os.ReadFile(strings.TrimSuffix(b.out, ".iso")+".razor.tar"))) {
		t.Error("razor's tar is another one")
	}
	b.fails(exitUsage, "has no ISO", "pull", ref, "--format", "iso", "-o", out+".iso")
	b.fails(exitUsage, "pull cannot make tar", "pull", ref, "--format", "tar", "-o", out+".tar")
	b.ok("push", ref+":iso", b.out)
	b.ok("pull", ref+":iso", "-o", "-")
	if want := string(must(os.ReadFile(b.out))); b.stdout.String() != want {
		t.Errorf("stdout has %d bytes, want %d", b.stdout.Len(), len(want))
	}
	b.fails(exitUsage, "no manifest", "push", ref, filepath.Join(m.dir, "4.x/x86/release/Core-4.7.7.iso"))
	b.fails(exitUsage, "an earlier image", "push", ref, b.out, folder)
	b.fails(exitUsage, "a push cannot choose the digest", "push", ref+"@sha256:"+strings.Repeat("0", 64), b.out)
	b.fails(exitUsage, "not a reference", "push", "Not/A Ref", b.out)
	b.fails(exitNetwork, "not found", "pull", ref+":gone")
	b.fails(exitNetwork, "offline", "push", ref, b.out, "--offline")
	b.fails(exitUsage, "plain http", "push", ref, b.out, "--require-https")
	b.fails(exitUsage, "plain http", "pull", ref, "--require-https", "-o", out)
	b.ok("push", "--oci-form", "container", ref+":files", folder)
	root := filepath.Join(t.TempDir(), "root")
	testkit.Run(t, "skopeo", "copy", "--src-tls-verify=false", "--override-arch", "386", "docker://"+ref+":files", "dir:"+root)
	unpackLayers(t, root)
	sameFiles(t, folder, filepath.Join(root, "files"))
	b.fails(exitVerify, "artifact type", "pull", ref+":files", "-o", out)
}

// TestPullSigned: a pull with keys writes only content that one of them signed.
func TestPullSigned(t *testing.T) {
	t.Parallel()
	ref := testkit.Registry(t, "") + "/razor/signed"
	b := newMirrors(t).builder(t)
	keys := t.TempDir()
	a, other := filepath.Join(keys, "a"), filepath.Join(keys, "b")
	for _, key := range []string{a, other} {
		if b.exec("key", "new", key, "--no-password") != exitOK {
			t.Fatal(b.stderr.String())
		}
	}
	if code := b.iso("--format", "iso,pxe", "--sign", a+".key"); code != exitOK {
		t.Fatal(code, b.stderr.String())
	}
	folder := strings.TrimSuffix(b.out, ".iso") + "-pxe"
	b.ok("push", ref+":iso", b.out)
	b.ok("push", ref+":pxe", folder)
	got := filepath.Join(t.TempDir(), "got")
	for _, tag := range []string{":iso", ":pxe"} {
		b.ok("pull", ref+tag, "-o", got+tag, "--key", other+".pub", "--key", a+".pub")
		b.fails(exitVerify, "not by", "pull", ref+tag, "-o", got+"2", "--key", other+".pub")
		b.fails(exitVerify, "is tested", "pull", ref+tag, "-o", got+"2", "--key", a+".pub", "--require", "tested")
		b.fails(exitUsage, "--require needs --key", "pull", ref+tag, "-o", got+"2", "--require", "tested")
	}
	testkit.Must(t, os.Remove(b.out+".minisig"))
	b.ok("push", ref+"-not", b.out) // elsewhere: in the same repository the signature is found by the image's digest
	b.fails(exitVerify, "is not signed", "pull", ref+"-not", "-o", got+"2", "--key", a+".pub")
	if _, err := os.Stat(got + "2"); err == nil {
		t.Error("something was written")
	}
}

// unpackLayers unpacks an image of skopeo like a container runtime.
func unpackLayers(t *testing.T, dir string) {
	var x struct{ Layers []struct{ Digest string } }
	testkit.Must(t, json.Unmarshal(must(os.ReadFile(filepath.Join(dir, "manifest.json"))), &x))
	testkit.Must(t, os.Mkdir(filepath.Join(dir, "files"), 0o755))
	for _, l := range x.Layers {
		testkit.Run(t, "tar", "-C", filepath.Join(dir, "files"), "-xf", filepath.Join(dir, strings.TrimPrefix(l.Digest, "sha256:")))
	}
}

// fails expects an exit status and one error, and nothing on stdout.
func (b *builder) fails(code int, says string, args ...string) {
	b.t.Helper()
	got := b.bare(map[string]string{cacheDirEnv: b.cache}, args...)
	text := b.stderr.String()
	if got != code || !strings.Contains(text, says) || strings.Count(text, "error: ") != 1 || strings.Count(text, "hint: ") != 1 || b.stdout.Len() > 0 {
		b.t.Errorf("%q: exit status %d, want %d and %q\n%s%s", args, got, code, says, b.stdout.String(), text)
	}
}

// TestPullLies: wrong answers of a registry are never written.
func TestPullLies(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	w := newWire(t, testkit.Registry(t, ""))
	b := m.builder(t)
	if code := b.iso(); code != exitOK {
		t.Fatal(b.stderr.String())
	}
	ref := w.host + "/razor/mk:1"
	put(t, b.out+".minisig", "a signature")
	pinned := b.ok("push", ref, b.out)
	digest := strings.TrimPrefix(pinned[strings.LastIndex(pinned, "@"):], "@")
	other := m.builder(t)
	if code := other.iso("--append", "quiet"); code != exitOK {
		t.Fatal(other.stderr.String())
	}
	moved := other.ok("push", w.host+"/razor/mk:2", other.out)
	flip := func(body []byte) []byte {
		body = bytes.Clone(body)
		body[len(body)/2] ^= 1
		return body
	}
	blobs := func(do func([]byte) []byte) func(string, http.Header, []byte) []byte {
		return func(path string, _ http.Header, body []byte) []byte {
			if strings.Contains(path, "/blobs/") {
				return do(body)
			}
			return body
		}
	}
	manifests := func(honest bool, old, new string) func(string, http.Header, []byte) []byte {
		return func(path string, h http.Header, body []byte) []byte {
			if !strings.Contains(path, "/manifests/") {
				return body
			}
			at := max(bytes.Index(body, []byte(`"layers"`)), 0) // earlier sizes are not those of layers
			if !bytes.Contains(body[at:], []byte(old)) {
				at = 0
			}
			body = slices.Concat(body[:at], bytes.Replace(body[at:], []byte(old), []byte(new), 1))
			if honest {
				h.Set("Docker-Content-Digest", fmt.Sprintf("sha256:%x", sha256.Sum256(body)))
			}
			return body
		}
	}
	for name, tt := range map[string]struct {
		ref  string
		lie  func(string, http.Header, []byte) []byte
		says string
	}{
		"a changed blob":       {ref, blobs(flip), "wrong sha256"},
		"a truncated blob":     {ref, blobs(func(b []byte) []byte { return b[:len(b)-1] }), "wrong sha256"},
		"a longer blob":        {ref, blobs(func(b []byte) []byte { return append(bytes.Clone(b), 0) }), "over the limit"},
		"another blob":         {ref, blobs(func([]byte) []byte { return []byte("{}") }), "wrong sha256"},
		"a changed manifest":   {ref, manifests(false, "mkbuild", "mkbiuld"), "wrong sha256"},
		"a pinned manifest":    {w.host + "/razor/mk@" + digest, manifests(true, "mkbuild", "mkbiuld"), "wrong sha256"},
		"another type":         {ref, manifests(true, "vnd.mkbuild.image.v1", "vnd.mkbuild.image.v2"), "artifact type"},
		"another config":       {ref, manifests(true, "mkbuild.config.v1+json", "mkbuild.config.v2+json"), "with a config of"},
		"another size":         {ref, manifests(true, `"size":`, `"size":1`), "descriptor says"},
		"no layout":            {ref, manifests(true, "layout.v2+json", "layout.v9+json"), "its first two layers are not"},
		"a tag that moved":     {w.host + "/razor/mk:2@" + digest, nil, "the tag has moved"},
		"a digest of another":  {w.host + "/razor/mk:1" + moved[strings.LastIndex(moved, "@"):], nil, "the tag has moved"},
		"a changed signature":  {ref, referrer(flip), "wrong sha256"},
		"a foreign signature":  {ref, manifests(true, "vnd.mkbuild.minisig.v1\",\"config", "vnd.mkbuild.minisig.v2\",\"config"), "wrong sha256"},
		"noise for a manifest": {ref, manifests(true, `{"schemaVersion":2`, "\x00\x01"), "not an image"},
	} {
		t.Run(name, func(t *testing.T) {
			w.reset()
			w.mu.Lock()
			w.lie = tt.lie
			w.mu.Unlock()
			p := m.builder(t)
			p.t = t
			p.fails(exitVerify, tt.says, "pull", tt.ref, "-o", p.out)
			if files := must(os.ReadDir(filepath.Dir(p.out))); len(files) > 0 {
				t.Errorf("left: %v", files)
			}
			w.reset()
			p.ok("pull", ref, "-o", p.out) // with the cache that the liar has filled
			if !bytes.Equal(must(os.ReadFile(p.out)), must(os.ReadFile(b.out))) {
				t.Error("another image")
			}
		})
	}
}

// referrer changes only the content of a signature.
func referrer(do func([]byte) []byte) func(string, http.Header, []byte) []byte {
	return func(_ string, _ http.Header, body []byte) []byte {
		if string(body) == "a signature" {
			return do(body)
		}
		return body
	}
}

// TestPullResumes: a pull that breaks off in every blob still succeeds, a stopped pull continues, and a second pull
// fetches only new content.
func TestPullResumes(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	w := newWire(t, testkit.Registry(t, ""))
	b, next := m.builder(t), m.builder(t)
	if b.iso() != exitOK || next.iso("--append", "quiet") != exitOK {
		t.Fatal(b.stderr.String() + next.stderr.String())
	}
	b.ok("push", w.host+"/mk:1", b.out)
	b.ok("push", w.host+"/mk:2", next.out)
	seen := map[string]int{}
	w.cut = func(r *http.Request) bool {
		seen[r.URL.Path]++
		return strings.Contains(r.URL.Path, "/blobs/") && seen[r.URL.Path] == 1
	}
	w.got = 0
	p := m.builder(t)
	p.ok("pull", w.host+"/mk:1", "-o", p.out)
	sameFiles(t, filepath.Dir(b.out), filepath.Dir(p.out))
	first := w.got
	w.reset()
	p.ok("pull", w.host+"/mk:2", "-o", p.out)
	sameFiles(t, filepath.Dir(next.out), filepath.Dir(p.out))
	if w.got == 0 || w.got > first/2 {
		t.Errorf("the second image cost %d bytes, the first %d", w.got, first)
	}
	w.reset()
	p.ok("pull", w.host+"/mk:1", "-o", p.out, "--offline")
	if len(w.sent) > 0 {
		t.Errorf("offline: %v", w.sent)
	}
	p.fails(exitNetwork, "offline", "pull", w.host+"/mk:3", "-o", p.out, "--offline")
}

// TestPullInterrupted: a stopped pull leaves only whole parts in the cache.
func TestPullInterrupted(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	w := newWire(t, testkit.Registry(t, ""))
	b := m.builder(t)
	if b.iso() != exitOK {
		t.Fatal(b.stderr.String())
	}
	b.ok("push", w.host+"/mk:1", b.out)
	ctx, stop := context.WithCancel(t.Context())
	blobs := 0
	w.cut = func(r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/blobs/") {
			blobs++
		}
		if blobs == 5 {
			stop()
		}
		return false
	}
	p := m.builder(t)
	pw := &world{stdout: &p.stdout, stderr: &p.stderr, getenv: func(string) string { return "" }, client: testClient, transfers: impatient()}
	if code := run(ctx, pw, []string{"pull", w.host + "/mk:1", "-o", p.out, "--cache-dir", p.cache}); code != exitInterrupted {
		t.Errorf("exit status %d\n%s", code, p.stderr.String())
	}
	if files := must(os.ReadDir(filepath.Dir(p.out))); len(files) > 0 {
		t.Errorf("left: %v", files)
	}
	testkit.CheckCache(t, p.cache)
	w.reset()
	p.ok("pull", w.host+"/mk:1", "-o", p.out)
	sameFiles(t, filepath.Dir(b.out), filepath.Dir(p.out))
}

// TestPullTogether: concurrent pulls with one cache and one output give the image.
func TestPullTogether(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	host := testkit.Registry(t, "")
	b := m.builder(t)
	if b.iso("--format", "iso,pxe") != exitOK {
		t.Fatal(b.stderr.String())
	}
	folder := strings.TrimSuffix(b.out, ".iso") + "-pxe"
	b.ok("push", host+"/mk:iso", b.out)
	b.ok("push", host+"/mk:pxe", folder)
	out, cache := filepath.Join(t.TempDir(), "x"), t.TempDir()
	var all sync.WaitGroup
	for n := range 8 {
		tag := []string{"iso", "pxe"}[n%2]
		one := m.builder(t)
		all.Go(func() {
			if code := one.bare(map[string]string{cacheDirEnv: cache}, "pull", host+"/mk:"+tag, "-o", out+"."+tag); code != exitOK {
				t.Errorf("%s: %d\n%s", tag, code, one.stderr.String())
			}
		})
	}
	all.Wait()
	sameFiles(t, folder, out+".pxe")
	if !bytes.Equal(must(os.ReadFile(out+".iso")), must(os.ReadFile(b.out))) {
		t.Error("another ISO")
	}
	if left := must(os.ReadDir(filepath.Dir(out))); len(left) != 3 {
		t.Errorf("left: %v", left)
	}
	testkit.CheckCache(t, cache)
}

// TestRegistryCredentials: from docker's configuration and from its helper; without them, the error gives the
// remedy, and no credential is printed.
func TestRegistryCredentials(t *testing.T) {
	t.Parallel()
	passwords := filepath.Join(t.TempDir(), "htpasswd") // bcrypt of "s3cret"
	put(t, passwords, "robot:"+string(must(bcrypt.GenerateFromPassword([]byte("s3cret"), bcrypt.MinCost)))+"\n")
	host := testkit.Registry(t, fmt.Sprintf("auth: {htpasswd: {realm: here, path: %s}}\n", passwords))
	m := newMirrors(t)
	b := m.builder(t)
	if b.iso() != exitOK {
		t.Fatal(b.stderr.String())
	}
	ref := host + "/mk:1"
	b.fails(exitNetwork, "refuses these credentials", "push", ref, b.out)
	if !strings.Contains(b.stderr.String(), "docker login") {
		t.Error(b.stderr.String())
	}
	b.fails(exitNetwork, "401", "pull", ref, "-o", b.out)
	login := func(name, config string) map[string]string {
		dir := filepath.Join(t.TempDir(), name)
		testkit.Must(t, os.Mkdir(dir, 0o755))
		put(t, filepath.Join(dir, "config.json"), config)
		return map[string]string{"DOCKER_CONFIG": dir, cacheDirEnv: filepath.Join(dir, "cache")}
	}
	good := login("good", `{"auths": {"`+host+`": {"auth": "cm9ib3Q6czNjcmV0"}}}`)
	for _, args := range [][]string{{"push", ref, b.out}, {"pull", ref, "-o", filepath.Join(t.TempDir(), "x.iso")}} {
		if code := b.bare(good, args...); code != exitOK || strings.Contains(b.stderr.String(), "s3cret") {
			t.Errorf("%q: %d\n%s", args, code, b.stderr.String())
		}
	}
	if code := b.bare(login("bad", `{"auths": {"`+host+`": {"auth": "cm9ib3Q6bm8="}}}`), "push", ref, b.out); code != exitNetwork {
		t.Errorf("a wrong password: %d\n%s", code, b.stderr.String())
	}
	if code := b.bare(login("none", `{"auths": 7}`), "push", ref, b.out); code != exitUsage {
		t.Errorf("a broken configuration: %d\n%s", code, b.stderr.String())
	}
	pipe := filepath.Join(t.TempDir(), "config.json")
	if exec.Command("mkfifo", pipe).Run() == nil {
		if code := b.bare(map[string]string{"DOCKER_CONFIG": filepath.Dir(pipe)}, "push", ref, b.out); code != exitUsage || !strings.Contains(b.stderr.String(), "it is a pipe") {
			t.Errorf("a pipe: %d\n%s", code, b.stderr.String())
		}
	}
}

// TestPushToDeadRegistry: one error, in time.
func TestPushToDeadRegistry(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	b := m.builder(t)
	if b.iso() != exitOK {
		t.Fatal(b.stderr.String())
	}
	begin := time.Now()
	b.fails(exitNetwork, "push", "push", fmt.Sprintf("127.0.0.1:%d/mk:1", testkit.FreePort(t)), b.out)
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(func() { silent.CloseClientConnections(); silent.Close() })
	b.fails(exitNetwork, "nothing received", "pull", strings.TrimPrefix(silent.URL, "http://")+"/mk:1", "-o", filepath.Join(t.TempDir(), "x.iso"))
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestSecondOpinion: skopeo copies the pushed image, for both architectures. The test assembles the ISO, the PXE
// folder and Razor's archive from the blobs with only the documented layout.
func TestSecondOpinion(t *testing.T) {
	t.Parallel()
	host := testkit.Registry(t, "")
	m := newMirrors(t)
	for arch, config := range map[string]string{"386": string(must(os.ReadFile(m.builder(t).config))), "amd64": modernConfig(t, m)} {
		t.Run(arch, func(t *testing.T) {
			b := m.images(t, config)
			folder, razor := strings.TrimSuffix(b.out, ".iso")+"-pxe", strings.TrimSuffix(b.out, ".iso")+".razor.tar"
			ref := host + "/razor/" + arch
			b.ok("push", ref+":iso", b.out)
			b.ok("push", ref+":pxe", folder)
			for tag, want := range map[string]map[string]string{"iso": {"": string(must(os.ReadFile(b.out)))}, "pxe": filesOf(t, folder)} {
				dir := filepath.Join(t.TempDir(), tag)
				testkit.Run(t, "skopeo", "copy", "--src-tls-verify=false", "docker://"+ref+":"+tag, "dir:"+dir)
				got := putTogether(t, dir)
				for name := range want {
					if got[name] != want[name] {
						t.Errorf("%s: %q has %d bytes, want %d", tag, name, len(got[name]), len(want[name]))
					}
				}
				if tag == "iso" {
					continue
				}
				for member, sum := range razorSums(t, razor) { // kernel and initrd equal the folder's
					if !slices.ContainsFunc(slices.Collect(maps.Values(got)), func(c string) bool { return fmt.Sprintf("%x", sha256.Sum256([]byte(c))) == sum }) {
						t.Errorf("Razor's %s is in no blob", member)
					}
				}
			}
			pulled := filepath.Join(t.TempDir(), "mk.tar")
			b.ok("pull", ref+":iso", "--format", "razor", "-o", pulled)
			if !bytes.Equal(must(os.ReadFile(pulled)), must(os.ReadFile(razor))) {
				t.Error("Razor's archive is another one")
			}
		})
	}
}

// filesOf returns the contents of a folder's files by path.
func filesOf(t *testing.T, dir string) map[string]string {
	out := map[string]string{}
	testkit.Must(t, fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			out[name] = string(must(os.ReadFile(filepath.Join(dir, name))))
		}
		return err
	}))
	return out
}

// putTogether reads an image as in docs/registry.md from a folder of skopeo.
func putTogether(t *testing.T, dir string) map[string]string {
	type object struct{ MediaType, Digest string }
	var x struct {
		ArtifactType string
		Config       object
		Layers       []object
	}
	testkit.Must(t, json.Unmarshal(must(os.ReadFile(filepath.Join(dir, "manifest.json"))), &x))
	open := func(digest string) []byte {
		return must(os.ReadFile(filepath.Join(dir, strings.TrimPrefix(digest, "sha256:"))))
	}
	var about struct{ Schema, Arch string }
	testkit.Must(t, json.Unmarshal(open(x.Config.Digest), &about))
	if x.ArtifactType != "application/vnd.mkbuild.image.v1" || about.Schema != "mkbuild.manifest/v1" {
		t.Errorf("an artifact %q with a config %+v", x.ArtifactType, about)
	}
	var layout struct {
		Files []struct {
			Path   string
			Pieces []struct {
				Blob string
				Rest int
			}
		}
	}
	var rest []byte
	for _, l := range x.Layers {
		switch l.MediaType {
		case "application/vnd.mkbuild.layout.v2+json":
			testkit.Must(t, json.Unmarshal(open(l.Digest), &layout))
		case "application/vnd.mkbuild.rest.v2+gzip":
			rest = must(io.ReadAll(must(gzip.NewReader(bytes.NewReader(open(l.Digest))))))
		}
	}
	out := map[string]string{}
	for _, f := range layout.Files {
		var content []byte
		for _, p := range f.Pieces {
			if p.Blob != "" {
				content = append(content, open(p.Blob)...)
				continue
			}
			content, rest = append(content, rest[:p.Rest]...), rest[p.Rest:]
		}
		out[f.Path] = string(content)
	}
	return out
}

// razorSums are the digests in Razor's archive.
func razorSums(t *testing.T, name string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(testkit.Run(t, "tar", "-xOf", name, "microkernel/SHA256SUM")) {
		sum, member, _ := strings.Cut(strings.TrimSpace(line), "  ")
		out[member] = sum
	}
	if len(out) != 2 {
		t.Errorf("Razor's archive has the sums %v", out)
	}
	return out
}

// TestReferrersAPI: if a registry has the API, an image's referrers are found through it, and no tag is made for
// them. More than a thousand objects are refused. Debian's registry lacks the API, so the test adds it in front.
func TestReferrersAPI(t *testing.T) {
	t.Parallel()
	w := newWire(t, testkit.Registry(t, ""))
	type object struct {
		MediaType    string `json:"mediaType"`
		Digest       string `json:"digest"`
		Size         int    `json:"size"`
		ArtifactType string `json:"artifactType"`
	}
	refer := map[string][]object{}
	asked := 0
	w.deny = func(rw http.ResponseWriter, r *http.Request) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		if _, of, ok := strings.Cut(r.URL.Path, "/referrers/"); ok {
			asked++
			rw.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			json.NewEncoder(rw).Encode(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": refer[of]})
			return true
		}
		if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		text, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(text))
		var m struct {
			MediaType, ArtifactType string
			Subject                 *object
		}
		if json.Unmarshal(text, &m) == nil && m.Subject != nil {
			refer[m.Subject.Digest] = append(refer[m.Subject.Digest], object{m.MediaType, fmt.Sprintf("sha256:%x", sha256.Sum256(text)), len(text), m.ArtifactType})
			rw.Header().Set("OCI-Subject", m.Subject.Digest)
		}
		return false
	}
	b := newMirrors(t).builder(t)
	if b.iso() != exitOK {
		t.Fatal(b.stderr.String())
	}
	for _, suffix := range []string{".spdx.json", ".minisig", ".intoto.jsonl"} {
		put(t, b.out+suffix, "of the image: "+suffix)
	}
	ref := w.host + "/razor/mk"
	b.ok("push", ref+":1", b.out)
	out := filepath.Join(t.TempDir(), "image.iso")
	b.ok("pull", ref+":1", "-o", out)
	sameFiles(t, filepath.Dir(b.out), filepath.Dir(out))
	if tags := testkit.Run(t, "skopeo", "list-tags", "--tls-verify=false", "docker://"+ref); asked == 0 || strings.Contains(tags, "sha256-") {
		t.Errorf("asked %d times, tags %s", asked, tags)
	}
	for of, some := range refer {
		refer[of] = slices.Repeat(some[:1], 1001)
	}
	b.fails(exitVerify, "1001 layers and images", "pull", ref+":1", "-o", filepath.Join(t.TempDir(), "image.iso"))
}

// TestCredentialHelper: the helper in docker's configuration, found on PATH, has the password.
func TestCredentialHelper(t *testing.T) {
	dir := t.TempDir()
	passwords := filepath.Join(dir, "htpasswd")
	put(t, passwords, "robot:"+string(must(bcrypt.GenerateFromPassword([]byte("s3cret"), bcrypt.MinCost)))+"\n")
	host := testkit.Registry(t, fmt.Sprintf("auth: {htpasswd: {realm: here, path: %s}}\n", passwords))
	testkit.WriteFile(t, filepath.Join(dir, "docker-credential-vault"), `#!/bin/sh
[ "$1" = get ] && host=$(cat) && echo "$host" >>`+dir+`/asked && echo '{"Username": "robot", "Secret": "s3cret"}'
`, 0o755)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	b := newMirrors(t).builder(t)
	if b.iso() != exitOK {
		t.Fatal(b.stderr.String())
	}
	for name, config := range map[string]string{"all": `{"credsStore": "vault"}`, "one": `{"credHelpers": {"` + host + `": "vault"}}`} {
		put(t, filepath.Join(dir, "config.json"), config)
		out := filepath.Join(t.TempDir(), "x.iso")
		for _, args := range [][]string{{"push", host + "/mk:" + name, b.out}, {"pull", host + "/mk:" + name, "-o", out}} {
			if code := b.bare(map[string]string{"DOCKER_CONFIG": dir, cacheDirEnv: t.TempDir()}, args...); code != exitOK || strings.Contains(b.stderr.String(), "s3cret") {
				t.Errorf("%s, %q: %d\n%s", name, args, code, b.stderr.String())
			}
		}
	}
	for line := range strings.Lines(string(must(os.ReadFile(filepath.Join(dir, "asked"))))) {
		if strings.TrimSpace(line) != host {
			t.Errorf("the helper was asked for %q", line)
		}
	}
	put(t, filepath.Join(dir, "config.json"), `{"credsStore": "gone"}`)
	if code := b.bare(map[string]string{"DOCKER_CONFIG": dir}, "push", host+"/mk:1", b.out); code != exitUsage || !strings.Contains(b.stderr.String(), "docker login") {
		t.Errorf("a helper that is not there: %d\n%s", code, b.stderr.String())
	}
}
