package remaster

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/sqfs"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/initrd"
	"mkbuild/internal/overlay"
	"mkbuild/internal/ui"
)

// initrdWritten makes an initrd and also returns its bytes.
func initrdWritten(t testing.TB, b *Builder, s *Staged) (*Initrd, []byte) {
	t.Helper()
	rd, err := makeInitrd(t.Context(), b.store(), s)
	testkit.Must(t, err)
	t.Cleanup(func() { rd.Close() })
	r, err := rd.Open()
	testkit.Must(t, err)
	defer r.Close()
	made, err := io.ReadAll(r)
	testkit.Must(t, err)
	return rd, made
}

// TestInitrdDescribesItself: sizes, offsets and digests match the bytes, and each single segment is a whole
// archive.
func TestInitrdDescribesItself(t *testing.T) {
	t.Parallel()
	for _, layout := range []string{"append", "merged"} {
		b, s, _ := staged(t, plan(t, pristine, func(c *config.Config) { c.Initrd.Layout = layout }))
		rd, made := initrdWritten(t, b, s)
		if int64(len(made)) != rd.Size || fmt.Sprintf("%x", sha256.Sum256(made)) != rd.SHA256 {
			t.Errorf("%s: %d bytes, said %d; or another digest", layout, len(made), rd.Size)
		}
		end := int64(0)
		for _, g := range rd.Segments {
			if g.Size%4 != 0 {
				t.Errorf("%s has %d bytes", g.Name, g.Size)
			}
			own := made[end : end+g.Size]
			if fmt.Sprintf("%x", sha256.Sum256(own)) != g.SHA256 {
				t.Errorf("%s: another digest", g.Name)
			}
			if _, err := initrd.Read(bytes.NewReader(own), g.Name, 0); err != nil {
				t.Errorf("%s alone: %v", g.Name, err)
			}
			end += g.Size
		}
		if end != rd.Size {
			t.Errorf("%s: segments of %d bytes in an initrd of %d", layout, end, rd.Size)
		}
		checkFileDigests(t, rd, s.layers.Merged())
	}
}

// checkFileDigests compares the digests of all files of the booted tree with their contents.
func checkFileDigests(t *testing.T, rd *Initrd, tree *overlay.Tree) {
	t.Helper()
	for _, e := range tree.Entries() {
		want := ""
		if e.IsRegular() {
			want = fmt.Sprintf("%x", sha256.Sum256([]byte(text(t, tree, e.Path))))
		}
		if got := rd.sums[e.Path]; got != want {
			t.Errorf("/%s: digest %q, want %q", e.Path, got, want)
		}
	}
}

// TestKernelSeesTheMergedTree: the kernel's tree of base and segments, one after the other, equals the staged tree,
// whatever the layer of an entry.
func TestKernelSeesTheMergedTree(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	publishTCZ(t, dir, "bash", // shares names with others, and has its own hard links
		sqfs.Reg("usr/local/bin/bash", 0o755, "b"), sqfs.Reg("usr/local/sbin/dmidecode", 0o755, "not this one"))
	b, s, _ := staged(t, plan(t, dir))
	testkit.Must(t, putLast(s, overlay.File("usr/local/bin/bash", 0o755, []byte("the user's"))))
	_, made := initrdWritten(t, b, s)
	tree, err := initrd.Read(bytes.NewReader(made), "x", 0)
	testkit.Must(t, err)
	want := s.layers.Merged()
	for _, e := range want.Entries() {
		if got := tree.Get(e.Path); describe(got) != describe(e) {
			t.Errorf("/%s: %s, want %s", e.Path, describe(got), describe(e))
		} else if e.IsRegular() && text(t, tree, e.Path) != text(t, want, e.Path) {
			t.Errorf("/%s has another content", e.Path)
		}
	}
	if tree.Len() != want.Len() {
		t.Errorf("%d entries, want %d", tree.Len(), want.Len())
	}
}

// TestOnlyTheChangedSegmentIsMadeAgain reads the cache: another value of server.cfg adds nothing to it, another
// extension adds one segment.
func TestOnlyTheChangedSegmentIsMadeAgain(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	dir := tinymirror.New(t)
	count := func(edits ...func(*config.Config)) int {
		b, _ := builder(t, cache)
		build(t, b, plan(t, dir, edits...))
		es, err := filepath.Glob(filepath.Join(cache, "index", "segment", "*", "*.json"))
		testkit.Must(t, err)
		return len(es)
	}
	first := count()
	if first < 10 {
		t.Errorf("%d segments are kept", first)
	}
	if n := count(serverValue(t, "plugin.stomp.host: 10.0.0.1")); n != first {
		t.Errorf("a value of server.cfg: %d more segments in the cache", n-first)
	}
	publishTCZ(t, dir, "lshw", sqfs.Reg("usr/local/bin/lshw", 0o755, "another"))
	if n := count(); n != first+1 {
		t.Errorf("another extension: %d more segments", n-first)
	}
	if n := count(func(c *config.Config) { c.Initrd.Level = 1 }); n != 2*first+1 {
		t.Errorf("another level: %d more segments", n-first-1)
	}
}

// serverValue sets a value of server.cfg, given as YAML.
func serverValue(t *testing.T, yaml string) func(*config.Config) {
	t.Helper()
	given, err := config.Parse("x.yaml", []byte("mcollective: {server: {"+yaml+"}}"))
	testkit.Must(t, err)
	return func(c *config.Config) { c.MCollective.Server = given.MCollective.Server }
}

// TestSecretsStayOutOfTheCache searches for secrets in all files of a build in its cache.
func TestSecretsStayOutOfTheCache(t *testing.T) {
	t.Parallel()
	cache, own := t.TempDir(), t.TempDir()
	private, public, closed := filepath.Join(own, "private"), filepath.Join(own, "public"), filepath.Join(own, "tree/closed")
	testkit.Put(t, private, []byte("private-marker"))
	testkit.Put(t, public, []byte("public-marker"))
	testkit.Put(t, filepath.Join(closed, "file"), []byte("closed-marker"))
	for name, mode := range map[string]os.FileMode{private: 0o600, closed: 0o700} {
		testkit.Must(t, os.Chmod(name, mode))
	}
	b, _ := builder(t, cache)
	b.Secrets.Getenv = func(string) string { return "secret-marker" }
	build(t, b, plan(t, pristine, func(c *config.Config) {
		c.Overlay = []config.UserFiles{{Source: private, Target: "/root/a"}, {Source: public, Target: "/root/b"}, {Source: filepath.Dir(closed), Target: "/root/c"}}
	}, serverValue(t, "plugin.psk: {env: X}")))
	found := map[string]bool{}
	for _, plain := range keptContents(t, cache) {
		for _, marker := range []string{"secret-marker", "private-marker", "closed-marker", "public-marker"} {
			found[marker] = found[marker] || strings.Contains(plain, marker)
		}
	}
	if found["secret-marker"] || found["private-marker"] || found["closed-marker"] {
		t.Errorf("found in the cache: %v", found)
	}
	if !found["public-marker"] {
		t.Error("not even public files are found: this test cannot fail")
	}
}

// keptContents unpacks all segment blobs of a cache.
func keptContents(t *testing.T, cache string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(filepath.Join(cache, "sha256"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b := testkit.Read(t, p)
		out = append(out, string(b))
		tree, err := initrd.Read(bytes.NewReader(b), p, 0)
		if err != nil && tree == nil {
			tree, _ = initrd.Read(bytes.NewReader(b[:max(0, len(b)-trailerOf(b))]), p, 0)
		}
		if tree != nil {
			for _, e := range tree.Entries() {
				if e.IsRegular() {
					out = append(out, text(t, tree, e.Path))
				}
			}
		}
		return nil
	})
	testkit.Must(t, err)
	return out
}

// trailerOf returns the length of a kept segment's trailer.
func trailerOf(b []byte) int {
	i := bytes.LastIndex(b, []byte(`{"sha256":`))
	if i < 0 {
		return 0
	}
	return len(b) - i
}

// TestDamagedSegmentIsMadeAgain: whatever the damage to the cache, the image is the same.
func TestDamagedSegmentIsMadeAgain(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	b, _ := builder(t, cache)
	want := testkit.Read(t, build(t, b, plan(t, pristine)))
	blobs, err := filepath.Glob(filepath.Join(cache, "sha256", "*", "*"))
	if err != nil || len(blobs) < 20 {
		t.Fatalf("%d blobs, %v", len(blobs), err)
	}
	for i, name := range blobs { // a third cut off, a third changed, a third left
		b := testkit.Read(t, name)
		switch {
		case i%3 == 0:
			testkit.Put(t, name, b[:len(b)/2])
		case i%3 == 1 && len(b) > 0:
			b[len(b)/2] ^= 1
			testkit.Put(t, name, b)
		}
	}
	b, rec := builder(t, cache)
	if !bytes.Equal(want, testkit.Read(t, build(t, b, plan(t, pristine)))) {
		t.Error("a damaged cache gives other bytes")
	}
	if !strings.Contains(rec.Texts(ui.Warning), "damaged") {
		t.Errorf("no word of the damage: %s", rec.Texts(ui.Warning))
	}
	testkit.CheckCache(t, cache)
}

// TestWarmBuildsSayTheSame: a warm build prints the same warnings and notes as a cold build.
func TestWarmBuildsSayTheSame(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	dir := tinymirror.New(t)
	publishTCZ(t, dir, "bash", sqfs.Reg("usr/local/bin/bash", 0o755, "b"), sqfs.Reg("usr/local/bin/ruby", 0o755, "not this one"))
	said := func() string {
		b, rec := builder(t, cache)
		b.Inputs.Fetch.Sink = nil // it tells of transfers
		build(t, b, plan(t, dir))
		return rec.Texts(ui.Warning) + rec.Texts(ui.Info)
	}
	cold := said()
	if !strings.Contains(cold, "conflict") || !strings.Contains(cold, "server.cfg") {
		t.Errorf("a cold build says\n%s", cold)
	}
	if warm := said(); warm != cold {
		t.Errorf("a warm build says\n%s\nwant\n%s", warm, cold)
	}
}

// TestSegmentKey: the key changes exactly with the segment's bytes.
func TestSegmentKey(t *testing.T) {
	t.Parallel()
	tree := func(edits ...func(*overlay.Entry)) *overlay.Tree {
		out := &overlay.Tree{}
		a, b := overlay.File("a", 0o644, []byte("x")), overlay.File("b", 0o644, []byte("x"))
		a.MTime, a.HardLink, b.HardLink = 5, "3/g", "3/g"
		for _, edit := range edits {
			edit(&a)
		}
		testkit.Must(t, putAll(out, a, b))
		return out
	}
	key := func(t *testing.T, tree *overlay.Tree, o initrd.SegmentOptions) string {
		k, err := segmentKey(tree, o)
		testkit.Must(t, err)
		return k
	}
	o := initrd.SegmentOptions{Level: 6, ModTime: 7}
	seen := map[string]string{key(t, tree(), o): "the reference"}
	for name, edit := range map[string]func(*overlay.Entry){
		"path": func(e *overlay.Entry) { e.Path = "aa" }, "name in Latin-1": func(e *overlay.Entry) { e.Path = "\xe8" },
		"name in Latin-1, and another": func(e *overlay.Entry) { e.Path = "\xe9" }, "mode": func(e *overlay.Entry) { e.Mode |= 0o111 },
		"uid": func(e *overlay.Entry) { e.UID = 1 }, "gid": func(e *overlay.Entry) { e.GID = 1 },
		"time": func(e *overlay.Entry) { e.MTime = 6 }, "content": func(e *overlay.Entry) { e.Open = overlay.Bytes([]byte("y")) },
		"id": func(e *overlay.Entry) { e.ID = "z" }, "hard link": func(e *overlay.Entry) { e.HardLink = "" },
		"type": func(e *overlay.Entry) { *e = overlay.Symlink("a", "b") }, "target": func(e *overlay.Entry) { *e = overlay.Symlink("a", "c") },
		"target in Latin-1": func(e *overlay.Entry) { *e = overlay.Symlink("a", "\xe8") }, "target in Latin-1, and another": func(e *overlay.Entry) { *e = overlay.Symlink("a", "\xe9") },
		"device": func(e *overlay.Entry) { e.Mode, e.Major, e.Size = overlay.TypeChar, 1, 0 },
	} {
		k := key(t, tree(edit), o)
		if seen[k] != "" {
			t.Errorf("another %s has the key of %s", name, seen[k])
		}
		seen[k] = name
	}
	for name, other := range map[string]initrd.SegmentOptions{"level": {Level: 7, ModTime: 7}, "image's time": {Level: 6, ModTime: 8}} {
		if k := key(t, tree(), other); seen[k] != "" {
			t.Errorf("another %s has the key of %s", name, seen[k])
		}
	}
	same := func(e *overlay.Entry) { e.Origin = "elsewhere" }
	if seen[key(t, tree(same), o)] != "the reference" {
		t.Error("where an entry came from changes the key")
	}
	timed := &overlay.Tree{}
	e := overlay.File("a", 0o644, nil)
	e.MTime = 5
	if err := putAll(timed, e); err != nil || key(t, timed, o) != key(t, timed, initrd.SegmentOptions{Level: 6, ModTime: 9}) {
		t.Errorf("the image's time counts where all entries have their own: %v", err)
	}
}

// TestFileThatChangesIsNotKept: a user's file that is written between its digest and its compression must not stay
// in the cache under its old key.
func TestFileThatChangesIsNotKept(t *testing.T) {
	t.Parallel()
	b, _ := builder(t, t.TempDir())
	kept := func(contents ...string) (string, error) {
		e := overlay.File("a", 0o644, []byte(contents[0]))
		e.Open = func() (io.ReadCloser, error) {
			now := contents[0]
			contents = contents[min(1, len(contents)-1):]
			return io.NopCloser(strings.NewReader(now)), nil
		}
		tree := &overlay.Tree{}
		testkit.Must(t, tree.Put(e))
		p, err := keptSegment(t.Context(), b.store(), "x", tree, initrd.SegmentOptions{})
		if err != nil {
			return "", err
		}
		var made bytes.Buffer
		if _, err := copySegment(&made, p.bytes); err != nil {
			t.Fatal(err)
		}
		got, err := initrd.Read(&made, "x", 0)
		testkit.Must(t, err)
		return text(t, got, "a"), nil
	}
	if got, err := kept("old", "new"); err == nil {
		t.Errorf("the segment of a file that changed is taken, with %q", got)
	}
	if got, err := kept("old"); got != "old" || err != nil {
		t.Errorf("got %q, %v: want the file as it is", got, err)
	}
}

// TestKeptTree: a tree is unchanged after the cache.
func TestKeptTree(t *testing.T) {
	t.Parallel()
	_, s, _ := staged(t, plan(t, pristine))
	want, err := s.base.Tree()
	testkit.Must(t, err)
	for i, name := range []string{"bin/linked", "bin/zz-linked"} {
		e := overlay.File(name, 0o755, []byte("linked"))
		e.HardLink, e.MTime = "cpio:99", int64(i+1)
		testkit.Must(t, want.Put(e))
	}
	// Names are bytes: two names that are invalid UTF-8 are two files, and two groups of hard links.
	for _, name := range []string{"caf\xe9", "caf\xe8"} {
		e, link := overlay.File(name, 0o644, []byte(name)), overlay.Symlink("to-"+name, name)
		e.HardLink = name
		testkit.Must(t, putAll(want, e, link))
	}
	var file bytes.Buffer
	kept, err := keepTree(&file, want)
	testkit.Must(t, err)
	about, err := json.Marshal(kept)
	testkit.Must(t, err)
	got, err := openTree(bytes.NewReader(file.Bytes()), int64(file.Len()), entriesOf(t, string(about)), s.base.Name)
	testkit.Must(t, err)
	for _, e := range want.Entries() {
		g := got.Get(e.Path)
		if describe(g) != describe(e) || g.MTime != e.MTime || g.HardLink != e.HardLink || g.Size != e.Size {
			t.Errorf("/%s came back as %+v, was %+v", e.Path, g, e)
		} else if e.IsRegular() && (text(t, got, e.Path) != text(t, want, e.Path) || g.ID != idPrefix+fmt.Sprintf("%x", sha256.Sum256([]byte(text(t, want, e.Path))))) {
			t.Errorf("/%s: another content or digest", e.Path)
		}
	}
	if got.Len() != want.Len() {
		t.Errorf("%d entries, want %d", got.Len(), want.Len())
	}
}

// entriesOf reads the description of a kept tree.
func entriesOf(t *testing.T, about string) *keptEntries {
	t.Helper()
	var kept keptEntries
	testkit.Must(t, json.Unmarshal([]byte(about), &kept))
	return &kept
}

// TestOpenTreeRefuses files outside the content.
func TestOpenTreeRefuses(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{`"offset":3,"size":2`, `"offset":-1`, `"size":-1`, `"offset":5`, `"offset":9223372036854775807,"size":9223372036854775807`} {
		kept := entriesOf(t, `{"entries":[{"path":"YQ==","mode":33188,`+entry+`}]}`)
		if _, err := openTree(strings.NewReader("1234"), 4, kept, "x"); !errors.Is(err, errOutside) {
			t.Errorf("%s is taken", entry)
		}
	}
}

// TestClientProgram: packed or not, the image gets the program; a packed program is detected by its packing.
func TestClientProgram(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, "the program")
	z.Close()
	for _, given := range []string{"the program", packed.String()} {
		e, err := clientProgram(testkit.Section(given))
		testkit.Must(t, err)
		if got, err := e.Content(100); string(got) != "the program" || err != nil || e.Perm() != 0o755 {
			t.Errorf("%q, %v", got, err)
		}
		if packed := given[0] == 0x1f; packed != (e.ID != "") {
			t.Errorf("packed %v has the ID %q", packed, e.ID)
		}
	}
	for name, given := range map[string]string{"cut off": packed.String()[:packed.Len()-9], "only begun": packed.String()[:5]} {
		e, err := clientProgram(testkit.Section(given))
		if err == nil {
			_, err = e.Content(1 << 32)
		}
		if err == nil {
			t.Errorf("a program that is %s is taken", name)
		}
	}
}
