package remaster

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/manifest"
	"mkbuild/internal/overlay"
)

// manifestOf reads the manifest in an image, and checks that the manifest next to it is the same.
func manifestOf(t *testing.T, name string) (*manifest.Manifest, string) {
	t.Helper()
	text := content(t, openISO(t, name).Files.Get(manifest.Name))
	if !bytes.Equal(text, testkit.Read(t, manifest.Beside(name))) {
		t.Error("the manifest next to the image is another")
	}
	m, err := manifest.Parse(text)
	testkit.Must(t, err)
	return m, string(text)
}

// TestManifestTellsTheTruth compares every line of a manifest with the image.
func TestManifestTellsTheTruth(t *testing.T) {
	t.Parallel()
	for _, layout := range []string{"append", "merged"} {
		b, _ := builder(t, warm)
		b.Version = "v1.2.3"
		name := build(t, b, plan(t, pristine, func(c *config.Config) { c.Initrd.Layout = layout }))
		m, _ := manifestOf(t, name)
		img := openISO(t, name)
		if m.Mkbuild != "v1.2.3" || m.Kernel != "3.0.21-tinycore" || m.Profile != "prod" || m.Plan != m.PlanDigest() || len(m.Inputs) < 10 {
			t.Errorf("%s %s %s %s %d inputs", m.Mkbuild, m.Kernel, m.Profile, m.Plan, len(m.Inputs))
		}
		for _, f := range m.Boot {
			b, err := img.WithoutTables(img.Files.Get(f.Path))
			if err != nil || int64(len(b)) != f.Size || fmt.Sprintf("%x", sha256.Sum256(b)) != f.SHA256 {
				t.Errorf("%s: %s, %v", layout, f.Path, err)
			}
		}
		if n := len(m.Boot); n != 6 { // kernel, initrd, isolinux' three, metadata
			t.Errorf("%s: %d boot files: %+v", layout, n, m.Boot)
		}
		rd, tree := initrdOf(t, img)
		checkSegments(t, m, rd)
		checkRecords(t, m, tree)
	}
}

func checkSegments(t *testing.T, m *manifest.Manifest, rd []byte) {
	t.Helper()
	var end int64
	for _, s := range m.Segments {
		if s.Offset != end || fmt.Sprintf("%x", sha256.Sum256(rd[s.Offset:s.Offset+s.Size])) != s.SHA256 {
			t.Errorf("segment %+v", s)
		}
		end = s.Offset + s.Size
	}
	if end != int64(len(rd)) {
		t.Errorf("segments end at %d of %d", end, len(rd))
	}
}

func checkRecords(t *testing.T, m *manifest.Manifest, tree *overlay.Tree) {
	t.Helper()
	if len(m.Files) != tree.Len() {
		t.Errorf("%d files, the image has %d", len(m.Files), tree.Len())
	}
	for _, f := range m.Files {
		e := tree.Get(string(f.Path))
		if e == nil {
			t.Errorf("%s is not in the image", f.Path)
			continue
		}
		sum := ""
		if b, err := e.Content(1 << 30); err == nil && !f.Secret {
			sum = fmt.Sprintf("%x", sha256.Sum256(b))
		}
		e.Origin = f.Origin
		if got := manifest.Describe(e, sum); got != f {
			t.Errorf("manifest: %+v\nimage:    %+v", f, got)
		}
	}
}

// TestManifestHasNoSecrets puts secrets into every possible place of a configuration, and searches for them, their
// digests and their lengths.
func TestManifestHasNoSecrets(t *testing.T) {
	t.Parallel()
	b, _ := builder(t, warm)
	b.Secrets = config.Sources{Getenv: func(string) string { return "hunter2-env" }, ReadFile: os.ReadFile}
	own := t.TempDir()
	testkit.Put(t, filepath.Join(own, "private"), []byte("hunter2-own"))
	testkit.Put(t, filepath.Join(own, "shadow"), []byte("root:hunter2-hash:1::::::\n"))
	testkit.Must(t, os.Chmod(filepath.Join(own, "private"), 0o600))
	testkit.Must(t, os.Mkdir(filepath.Join(own, "folder"), 0o755))
	testkit.Put(t, filepath.Join(own, "folder", "motd"), []byte("public"))
	file := filepath.Join(own, "pw")
	testkit.Put(t, file, []byte("hunter2-file\n"))
	p := planOf(t, filepath.Join(pristine, "mkbuild.yaml"), strings.Replace(`mirrors: [.]
profile: dev
rubygems: null
gems: {install: []}
extensions: [ruby]
mcollective: {version: 1.2.1, url: archives/mcollective-1.2.1.tgz, server: {plugin.psk: hunter2-psk, plugin.stomp.password: {env: X}, plugin.stomp.user: {file: FILE}}}
client: {settings: {register: "http://u:hunter2-url@razor/svc/checkin/1"}}
boot: {append: razor.token=hunter2-arg}
`, "FILE", file, 1), func(c *config.Config) {
		c.Overlay = []config.UserFiles{{Source: filepath.Join(own, "private"), Target: "/srv/private"}, {Source: filepath.Join(own, "shadow"), Target: "/etc/shadow"}, {Source: filepath.Join(own, "folder"), Target: "/srv/folder"}}
	})
	b.Keys = []string{rsaKey}
	b.Client = func(string) (*io.SectionReader, error) { return testkit.Section("client"), nil }
	name := build(t, b, p)
	m, text := manifestOf(t, name)
	for _, bad := range []string{"hunter2", own, pristine, "http", "archives", rsaKey[8:40]} {
		if strings.Contains(text, bad) {
			t.Errorf("%q is in the manifest", bad)
		}
	}
	secret := map[string]bool{}
	for _, f := range m.Files {
		if secret[string(f.Path)] = f.Secret; f.Secret && (f.SHA256 != "" || f.Size != 0) {
			t.Errorf("%+v", f)
		}
	}
	for _, path := range []string{"usr/local/etc/mcollective/server.cfg", "etc/razor-mk-client.conf", "srv/private", "etc/shadow"} {
		if !secret[path] {
			t.Errorf("%s has a digest", path)
		}
	}
}

// TestManifestIsTheSameEverywhere: two mirrors in different places and two caches give one manifest.
func TestManifestIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	var texts []string
	for _, dir := range []string{pristine, tinymirror.New(t)} {
		b, _ := builder(t, t.TempDir())
		name := build(t, b, plan(t, dir))
		_, text := manifestOf(t, name)
		texts = append(texts, text)
		if m := regexp.MustCompile(`https?://|file:|\.md5\.txt`).FindString(text); m != "" {
			t.Errorf("%q is in the manifest", m)
		}
	}
	if texts[0] != texts[1] {
		t.Error("the manifests differ")
	}
}
