package customize

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/fetch"
	"mkbuild/internal/initrd"
	"mkbuild/internal/inputs"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/profile"
	"mkbuild/internal/remaster"
	"mkbuild/internal/store"
	"mkbuild/internal/ui"
	"mkbuild/internal/wholefile"
)

const rsaKey = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQClVzJ0W09R7/CXlUlXBLKJgIMGdLubx+xZnBO7fWA9Rb0oVwgDT0J8XyvNtJTzbrNGvMYr3zoc52YhJQ982Pz6wWiv8ck8a1VQKt7D8DMt3zmzVJUcUkTogWKSe18kZeK3ax6f1O7I2V8srs+EdrfQmCT+sXmGYOTw1GDFi4b5CQ== a@b"

// built writes an image of a profile as an ISO and as a PXE folder.
func built(t *testing.T, profile string) (iso, pxe string) {
	t.Helper()
	dir := t.TempDir()
	testkit.Must(t, tinymirror.Make(dir))
	c, err := config.Parse(filepath.Join(dir, "mkbuild.yaml"), []byte(tinymirror.Config))
	testkit.Must(t, err)
	c.Profile = profile
	p, err := inputs.NewPlan(c)
	testkit.Must(t, err)
	b := &remaster.Builder{
		Inputs: inputs.Options{Fetch: &fetch.Client{Store: &store.Store{Dir: filepath.Join(dir, "cache")}, Sink: ui.Discard{}}, Sink: ui.Discard{}},
		Keys:   []string{rsaKey},
		Client: func(string) (*io.SectionReader, error) { return testkit.Section("mk-client"), nil },
	}
	s, err := b.Stage(t.Context(), p)
	testkit.Must(t, err)
	iso, pxe = filepath.Join(dir, "built.iso"), filepath.Join(dir, "built-pxe")
	testkit.Must(t, b.Write(t.Context(), s, []remaster.Output{{Form: remaster.FormISO, Path: iso}, {Form: remaster.FormPXE, Path: pxe}}))
	return iso, pxe
}

// run customizes an image, which must succeed, and returns the name of the copy.
func run(t testing.TB, in string, c Changes) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "custom.iso")
	testkit.Must(t, Run(t.Context(), in, wholefile.Output{Name: out}, c))
	return out
}

// open reads an image back.
func open(t testing.TB, name string) *medium.Medium {
	t.Helper()
	m, err := medium.Open(name)
	testkit.Must(t, err)
	t.Cleanup(func() { m.Close() })
	return m
}

func content(t testing.TB, m *medium.Medium, name string) []byte {
	t.Helper()
	e := m.Files.Get(name)
	if e == nil {
		t.Fatalf("%s has no %s", m.Name, name)
	}
	b, err := e.Content(1 << 26)
	testkit.Must(t, err)
	return b
}

// everything requests all changes at once.
func everything(t testing.TB) Changes {
	return Changes{Append: "site=ams1", Settings: map[string]string{"server": "razor.ams1:8150"},
		Keys: []string{strings.Replace(rsaKey, "a@b", "site@b", 1)}, Extension: siteZip(t)}
}

// siteZip is an extension with one fact.
func siteZip(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	f, err := z.Create("facts.d/site.txt")
	testkit.Must(t, err)
	_, err = io.WriteString(f, "site=ams1\n")
	testkit.Must(t, errors.Join(err, z.Close()))
	return out.Bytes()
}

// TestRun: all bytes of the built initrd stay, one segment follows, and menu and metadata match it. GNU cpio reads
// the segment as a whole archive.
func TestRun(t *testing.T) {
	t.Parallel()
	iso, _ := built(t, "dev")
	was, now := open(t, iso), open(t, run(t, iso, everything(t)))
	old, made := content(t, was, "boot/core.gz"), content(t, now, "boot/core.gz")
	if !bytes.HasPrefix(made, old) || len(old)%4 != 0 {
		t.Fatalf("the initrd of %d bytes does not begin with its own %d bytes", len(made), len(old))
	}
	if meta := string(content(t, now, medium.RazorMetadata)); !strings.Contains(meta, fmt.Sprintf("initrd_hash: %x\n", sha256.Sum256(made))) {
		t.Errorf("metadata:\n%s", meta)
	}
	if got := string(content(t, now, "boot/isolinux/isolinux.cfg")); !strings.Contains(got, "quiet site=ams1\n") {
		t.Errorf("menu:\n%s", got)
	}
	if now.ISO.VolumeID != was.ISO.VolumeID || now.ISO.Modified != was.ISO.Modified || now.Files.Len() != was.Files.Len() {
		t.Error("the volume is another one")
	}
	tree, err := now.Tree()
	testkit.Must(t, err)
	checkTree(t, tree)
	name := filepath.Join(t.TempDir(), "segment.gz")
	testkit.Must(t, os.WriteFile(name, made[len(old):], 0o600))
	testkit.Tool(t, "cpio")
	out := testkit.Run(t, "sh", "-c", "gzip -dc <'"+name+"' 2>/dev/null | cpio -it")
	for _, want := range []string{recordPath, extensionPath, profile.ClientConfig, profile.KeyFile} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("cpio does not list %s:\n%s", want, out)
		}
	}
}

// checkTree checks the booted system for the changes of everything.
func checkTree(t *testing.T, tree *overlay.Tree) {
	t.Helper()
	text := func(name string) string {
		b, err := tree.Get(name).Content(1 << 20)
		testkit.Must(t, err)
		return string(b)
	}
	if got := text(profile.ClientConfig); !strings.Contains(got, `"server": "razor.ams1:8150"`) {
		t.Errorf("settings:\n%s", got)
	}
	if got := text(profile.KeyFile); strings.Count(got, "\n") != 2 || !strings.Contains(got, "a@b\n") || !strings.HasSuffix(got, "site@b\n") {
		t.Errorf("keys:\n%s", got)
	}
	if text(extensionPath) != string(siteZip(t)) {
		t.Error("the extension is another one")
	}
	for name, want := range map[string]string{"etc": "040755 0:0", "etc/mkbuild": "040755 0:0", "usr/lib/mk-client": "040755 0:0", "tmp": "041777 0:0", "opt": "042775 0:50", profile.ClientConfig: "0100644 0:0"} {
		if e := tree.Get(name); fmt.Sprintf("%#o %d:%d", e.Mode, e.UID, e.GID) != want {
			t.Errorf("%s: %#o %d:%d, want %s", name, e.Mode, e.UID, e.GID, want)
		}
	}
}

// TestManifest: the manifest describes the customized image, and its record restores the build's manifest.
func TestManifest(t *testing.T) {
	t.Parallel()
	iso, _ := built(t, "dev")
	c := everything(t)
	c.Append = "razor.token=s3cret site=1"
	name := run(t, iso, c)
	img, text := open(t, name), testkit.Read(t, manifest.Beside(name))
	if !bytes.Equal(text, content(t, img, manifest.Name)) {
		t.Error("the manifest next to the image is not the one in it")
	}
	m, err := manifest.Parse(text)
	testkit.Must(t, err)
	for _, f := range m.Boot {
		if sum, err := img.Sum(f.Path); err != nil || !f.InfoTable && f.SHA256 != sum {
			t.Errorf("%s: another digest, %v", f.Path, err)
		}
	}
	made, last := content(t, img, "boot/core.gz"), m.Segments[len(m.Segments)-1]
	if last.Offset+last.Size != int64(len(made)) || last.SHA256 != fmt.Sprintf("%x", sha256.Sum256(made[last.Offset:])) {
		t.Errorf("last segment %+v of %d bytes", last, len(made))
	}
	tree, err := img.Tree()
	testkit.Must(t, err)
	if len(m.Files) != tree.Len() {
		t.Errorf("%d files are described, the system has %d", len(m.Files), tree.Len())
	}
	for i, e := range tree.Entries() {
		if f := m.Files[i]; string(f.Path) != e.Path || !f.Secret && f.Size != e.Size {
			t.Fatalf("%+v is described as %+v", e, f)
		}
	}
	if bytes.Contains(text, []byte("s3cret")) || m.Customization.Append != "razor.token=REDACTED site=1" {
		t.Errorf("record %+v", m.Customization)
	}
	if back := run(t, run(t, name, Changes{Append: "x"}), Changes{}); !bytes.Equal(testkit.Read(t, back), testkit.Read(t, iso)) {
		t.Error("the image as built does not come back")
	}
}

// TestRefusedArguments: every form refuses arguments that a build refuses, and an interrupted run leaves nothing.
func TestRefusedArguments(t *testing.T) {
	t.Parallel()
	iso, pxe := built(t, "prod")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, in := range []string{iso, pxe} {
		out := filepath.Join(t.TempDir(), "x")
		for _, args := range []string{"a\nb", "-", "quiet initrd=/boot/other.gz", "rdinit=/bin/sh"} {
			if err := Run(t.Context(), in, wholefile.Output{Name: out}, Changes{Append: args}); err == nil {
				t.Errorf("%s takes %q", in, args)
			}
		}
		if err := Run(cancelled, in, wholefile.Output{Name: out}, Changes{Append: "razor.fact.site=1"}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", in, err)
		}
		if left, err := os.ReadDir(filepath.Dir(out)); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v, %v", in, left, err)
		}
	}
}

// isoWith writes an ISO that was not made by a build.
func isoWith(t *testing.T, files map[string][]byte) string {
	t.Helper()
	all := map[string][]byte{"boot/vmlinuz": tinymirror.VMLinuz(tinymirror.Kernel), "boot/core.gz": archive(t, tinymirror.Base()),
		"boot/isolinux/isolinux.bin": bytes.Repeat([]byte("isolinux"), 512), "boot/isolinux/isolinux.cfg": []byte("label a\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz quiet\n")}
	for name, b := range files {
		all[name] = b
	}
	b, err := tinymirror.ISOWith(all)
	testkit.Must(t, err)
	name := filepath.Join(t.TempDir(), "foreign.iso")
	testkit.Must(t, os.WriteFile(name, b, 0o600))
	return name
}

func archive(t *testing.T, tree *overlay.Tree) []byte {
	t.Helper()
	var out bytes.Buffer
	testkit.Must(t, initrd.WriteSegment(&out, tree, initrd.SegmentOptions{}))
	return out.Bytes()
}

func treeOf(t *testing.T, files ...overlay.Entry) *overlay.Tree {
	t.Helper()
	tree := &overlay.Tree{}
	for _, e := range files {
		testkit.Must(t, tree.Put(e))
	}
	return tree
}

// TestProdStaysClosed: a site's additions must keep the promise of a prod image; otherwise nothing is written.
func TestProdStaysClosed(t *testing.T) {
	iso, _ := built(t, "prod")
	out := filepath.Join(t.TempDir(), "custom.iso")
	for name, want := range map[string]string{"bin/sshd": "/bin/sshd", "lib/../bin/in.telnetd": "", "facts.d/a.sh": ""} {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		h := &zip.FileHeader{Name: name}
		h.SetMode(0o755)
		_, err := z.CreateHeader(h)
		testkit.Must(t, err)
		testkit.Must(t, z.Close())
		err = Run(t.Context(), iso, wholefile.Output{Name: out}, Changes{Extension: b.Bytes()})
		_, wrote := os.Stat(out)
		switch {
		case name == "facts.d/a.sh":
			testkit.Must(t, err)
		case err == nil || wrote == nil || !strings.Contains(err.Error(), want) || want != "" && !errors.Is(err, profile.ErrOpen):
			t.Errorf("%s: %v", name, err)
		}
		os.Remove(out)
	}
}

// TestForeignMetadata: Razor's metadata of another tool gets the digest of the new initrd in its existing form. An
// image whose metadata cannot be updated is refused.
func TestForeignMetadata(t *testing.T) {
	t.Parallel()
	old := strings.Repeat("Ab", 32)
	for line, want := range map[string]string{
		"initrd_hash: " + old + "\n":              "initrd_hash: %s\n",
		"initrd_hash:  '" + old + "'\r\nx: 1\r\n": "initrd_hash:  '%s'\r\nx: 1\r\n",
		"\"initrd_hash\": \"" + old + "\"\n":      "\"initrd_hash\": \"%s\"\n",
		"initrd_hash: " + old + old + "\n":        "", // SHA-512
		"kernel_hash: " + old + "\n":              "",
	} {
		out := filepath.Join(t.TempDir(), "custom.iso")
		if err := Run(t.Context(), isoWith(t, map[string][]byte{medium.RazorMetadata: []byte(line)}), wholefile.Output{Name: out}, Changes{Append: "razor.fact.site=1"}); (err == nil) != (want != "") {
			t.Errorf("%q: %v", line, err)
		}
		if want == "" {
			continue
		}
		m := open(t, out)
		sum, err := m.Sum("boot/core.gz")
		testkit.Must(t, err)
		if got := string(content(t, m, medium.RazorMetadata)); got != fmt.Sprintf(want, sum) {
			t.Errorf("%q became %q", line, got)
		}
	}
}

// TestSeveralInitrds: only the last initrd changes, in every form in the same way.
func TestSeveralInitrds(t *testing.T) {
	t.Parallel()
	two := append(archive(t, treeOf(t, overlay.Dir("etc", 0o755), overlay.File("etc/two", 0o644, []byte("two")))), 0, 0)
	iso := isoWith(t, map[string][]byte{"boot/two.gz": two, "boot/isolinux/isolinux.cfg": []byte("label a\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz,/boot/two.gz quiet\n")})
	was := open(t, iso)
	now := open(t, run(t, iso, Changes{Append: "razor.fact.site=1"}))
	if !bytes.Equal(content(t, was, "boot/core.gz"), content(t, now, "boot/core.gz")) {
		t.Error("the first initrd has changed")
	}
	made := content(t, now, "boot/two.gz")
	if !bytes.HasPrefix(made, two) || len(made) == len(two) {
		t.Error("the last initrd does not begin with its own bytes")
	}
	tree, err := now.Tree()
	testkit.Must(t, err)
	if tree.Get("etc/two") == nil || tree.Get(recordPath) == nil || tree.Get("etc/inittab") == nil {
		t.Error("a part of the system is gone")
	}
	folder, err := medium.NewFolder(*was.Files.Get("boot/vmlinuz"), []overlay.Entry{*was.Files.Get("boot/core.gz"), *was.Files.Get("boot/two.gz")}, "quiet")
	testkit.Must(t, err)
	in, out := filepath.Join(t.TempDir(), "in"), filepath.Join(t.TempDir(), "out")
	testkit.Must(t, folder.Write(t.Context(), wholefile.Output{Name: in}))
	testkit.Must(t, Run(t.Context(), in, wholefile.Output{Name: out}, Changes{Append: "razor.fact.site=1"}))
	if pxe := open(t, out); !bytes.Equal(content(t, pxe, "core.gz"), content(t, now, "boot/core.gz")) || len(content(t, pxe, "two.gz")) != len(made) {
		t.Error("the PXE folder's initrds are not those of the ISO")
	}
}

// TestRecordInABuild: an image built from a customized one's files has a record among its own files, and loses none
// of them.
func TestRecordInABuild(t *testing.T) {
	t.Parallel()
	mine := archive(t, treeOf(t, overlay.Dir("etc", 0o755), overlay.Dir("etc/mkbuild", 0o755),
		overlay.File(recordPath, 0o644, []byte("{\"append\": \"quiet\"}\n")), overlay.File("etc/mine", 0o644, []byte("mine\n"))))
	old := append(archive(t, tinymirror.Base()), mine...)
	m := open(t, run(t, isoWith(t, map[string][]byte{"boot/core.gz": old}), Changes{Append: "razor.fact.site=1"}))
	tree, err := m.Tree()
	testkit.Must(t, err)
	if !bytes.HasPrefix(content(t, m, "boot/core.gz"), old) || tree.Get("etc/mine") == nil {
		t.Error("a part of the build is gone")
	}
}
