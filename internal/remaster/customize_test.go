package remaster

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/initrd"
	"mkbuild/internal/manifest"
	"mkbuild/internal/overlay"
)

// siteZip is an extension with one fact.
func siteZip(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	f, err := z.Create("facts.d/site.txt")
	if err == nil {
		_, err = io.WriteString(f, "site=ams1\n")
	}
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// customizedISO customizes an image that has to take it.
func customizedISO(t testing.TB, in string, c Custom) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "custom.iso")
	if err := Customize(t.Context(), in, out, c); err != nil {
		t.Fatal(err)
	}
	return out
}

// site asks for everything.
func site(t testing.TB) Custom {
	return Custom{Append: "site=ams1", Settings: map[string]string{"server": "razor.ams1:8150"},
		Keys: []string{strings.Replace(rsaKey, "a@b", "site@b", 1)}, Extension: siteZip(t)}
}

// TestCustomize: all bytes of the built initrd stay, one segment follows, and every copy of the menu,
// the metadata and the manifest agree with it.
func TestCustomize(t *testing.T) {
	t.Parallel()
	dir := mirror(t)
	publishUEFI(t, dir, efiImage(t, map[string]string{"EFI/BOOT/grub.cfg": grubMenu}), false, map[string]string{"boot/grub/grub.cfg": grubMenu})
	b, _ := builder(t, warm)
	built := build(t, b, plan(t, dir, profileOf("dev")))
	was, now := openISO(t, built), openISO(t, customizedISO(t, built, site(t)))
	old, _ := initrdOf(t, was)
	made, tree := initrdOf(t, now)
	if !bytes.HasPrefix(made, old) {
		t.Error("the initrd does not begin with its own bytes")
	}
	_, members, err := initrd.ReadMembers(bytes.NewReader(made[len(old):]), "segment", 0)
	if err != nil || len(members) != 1 {
		t.Errorf("behind them are %d members, %v", len(members), err)
	}
	if meta := string(content(t, now.Files.Get("iso-metadata.yaml"))); !strings.Contains(meta, fmt.Sprintf("initrd_hash: %x\n", sha256.Sum256(made))) {
		t.Errorf("metadata:\n%s", meta)
	}
	checkCustomTree(t, tree)
	for _, name := range []string{"boot/isolinux/isolinux.cfg", "boot/grub/grub.cfg"} {
		if got := string(content(t, now.Files.Get(name))); !strings.Contains(got, "quiet site=ams1\n") {
			t.Errorf("%s:\n%s", name, got)
		}
	}
	efi := filepath.Join(t.TempDir(), "efi.img")
	writeFile(t, efi, efiOf(t, now))
	if got := testkit.Run(t, "mtype", "-i", efi, "::/EFI/BOOT/grub.cfg"); !strings.Contains(got, "quiet site=ams1\n") {
		t.Errorf("grub.cfg in the EFI image:\n%s", got)
	}
	if now.VolumeID != was.VolumeID || now.Modified != was.Modified || now.Files.Len() != was.Files.Len() {
		t.Error("the volume is another one")
	}
}

// checkCustomTree looks for what the site asked for in the booted system.
func checkCustomTree(t *testing.T, tree *overlay.Tree) {
	t.Helper()
	if got := text(t, tree, clientConfig); !strings.Contains(got, `"server": "razor.ams1:8150"`) {
		t.Errorf("settings:\n%s", got)
	}
	if got := text(t, tree, "etc/mkbuild/authorized_keys"); strings.Count(got, "\n") != 2 || !strings.Contains(got, "a@b\n") || !strings.HasSuffix(got, "site@b\n") {
		t.Errorf("keys:\n%s", got)
	}
	if got := text(t, tree, customExtension); got != string(siteZip(t)) {
		t.Error("the extension is another one")
	}
	for name, want := range map[string]string{"etc": "d 0755 0:0", "etc/mkbuild": "d 0755 0:0", "usr/lib/mk-client": "d 0755 0:0", "tmp": "d 1777 0:0", "opt": "d 2775 0:50", clientConfig: "f 0644 0:0"} {
		if got := describe(tree.Get(name)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestCustomManifest: the manifest describes the customized image, and its record gives that of the
// build back.
func TestCustomManifest(t *testing.T) {
	t.Parallel()
	b, _ := builder(t, warm)
	built := build(t, b, plan(t, pristine, profileOf("dev")))
	c := site(t)
	c.Append = "razor.token=s3cret site=1"
	name := customizedISO(t, built, c)
	img := openISO(t, name)
	beside := readFile(t, ManifestName(name))
	if !bytes.Equal(beside, content(t, img.Files.Get(manifest.Name))) {
		t.Error("the manifest beside the image is not the one in it")
	}
	m, err := manifest.Parse(beside)
	if err != nil {
		t.Fatal(err)
	}
	made, tree := initrdOf(t, img)
	for _, f := range m.Boot {
		if at := img.Files.Get(f.Path); !f.InfoTable && f.SHA256 != fmt.Sprintf("%x", sha256.Sum256(content(t, at))) {
			t.Errorf("%s: another digest", f.Path)
		}
	}
	last := m.Segments[len(m.Segments)-1]
	if last.Offset+last.Size != int64(len(made)) || last.SHA256 != fmt.Sprintf("%x", sha256.Sum256(made[last.Offset:])) {
		t.Errorf("last segment %+v of %d bytes", last, len(made))
	}
	if len(m.Files) != tree.Len() {
		t.Errorf("%d files are described, the system has %d", len(m.Files), tree.Len())
	}
	for i, e := range tree.Entries() {
		if f := m.Files[i]; string(f.Path) != e.Path || !f.Secret && f.Size != e.Size {
			t.Fatalf("%+v is described as %+v", e, f)
		}
	}
	if text := string(beside); strings.Contains(text, "s3cret") || m.Customization.Append != "razor.token=REDACTED site=1" {
		t.Errorf("record %+v", m.Customization)
	}
	if back := customizedISO(t, customizedISO(t, name, Custom{Append: "x"}), Custom{}); !bytes.Equal(readFile(t, back), readFile(t, built)) {
		t.Error("the image as built does not come back")
	}
}

// TestCustomSegmentForTheKernel: GNU cpio reads the new segment as a whole archive.
func TestCustomSegmentForTheKernel(t *testing.T) {
	t.Parallel()
	b, _ := builder(t, warm)
	built := build(t, b, plan(t, pristine, profileOf("dev")))
	old, _ := initrdOf(t, openISO(t, built))
	made, _ := initrdOf(t, openISO(t, customizedISO(t, built, site(t))))
	if len(old)%4 != 0 {
		t.Fatalf("the initrd has %d bytes", len(old))
	}
	name := filepath.Join(t.TempDir(), "segment.gz")
	writeFile(t, name, made[len(old):])
	testkit.Tool(t, "cpio")
	out := testkit.Run(t, "sh", "-c", "gzip -dc <'"+name+"' 2>/dev/null | cpio -it")
	for _, want := range []string{customRecord, customExtension, "etc/razor-mk-client.conf", "etc/mkbuild/authorized_keys"} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("cpio does not list %s:\n%s", want, out)
		}
	}
}

// TestCustomizeRefusesArguments: what a build refuses, in every form of an image.
func TestCustomizeRefusesArguments(t *testing.T) {
	t.Parallel()
	paths := all(t, plan(t, pristine, profileOf("prod")), t.TempDir())
	for _, args := range []string{"a\nb", "-", "quiet initrd=/boot/other.gz", "rdinit=/bin/sh"} {
		for _, f := range []Form{FormISO, FormPXE} {
			out := t.TempDir()
			if err := Customize(t.Context(), paths[f], filepath.Join(out, "x"), Custom{Append: args}); err == nil {
				t.Errorf("%s takes %q", f, args)
			}
			checkEmpty(t, out)
		}
	}
}

// TestCustomizeForeignMetadata: Razor's metadata of another tool gets the digest of the new initrd in the
// form that it has, and an image whose metadata cannot follow is refused.
func TestCustomizeForeignMetadata(t *testing.T) {
	t.Parallel()
	old := strings.Repeat("Ab", 32)
	for line, want := range map[string]string{
		"initrd_hash: " + old + "\n":              "initrd_hash: %s\n",
		"initrd_hash:  '" + old + "'\r\nx: 1\r\n": "initrd_hash:  '%s'\r\nx: 1\r\n",
		"\"initrd_hash\": \"" + old + "\"\n":      "\"initrd_hash\": \"%s\"\n",
		"initrd_hash: " + old + old + "\n":        "", // SHA-512
		"kernel_hash: " + old + "\n":              "",
	} {
		name := filepath.Join(t.TempDir(), "foreign.iso")
		files := isoFiles(t)
		files[metadataName] = []byte(line)
		b, err := tinymirror.ISOWith(files)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, name, b)
		out := filepath.Join(t.TempDir(), "custom.iso")
		if err := Customize(t.Context(), name, out, Custom{Append: "site=1"}); (err == nil) != (want != "") {
			t.Errorf("%q: %v", line, err)
		}
		if want == "" {
			continue
		}
		img := openISO(t, out)
		rd, _ := initrdOf(t, img)
		if got := string(content(t, img.Files.Get(metadataName))); got != fmt.Sprintf(want, fmt.Sprintf("%x", sha256.Sum256(rd))) {
			t.Errorf("%q became %q", line, got)
		}
	}
}

// TestCustomizeSeveralInitrds: what the others hold counts, and only the last one changes.
func TestCustomizeSeveralInitrds(t *testing.T) {
	t.Parallel()
	dir := withMenu(t, "label a\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz,/boot/second.gz quiet\n", "boot/second.gz", append(second(t), 0, 0))
	paths := all(t, plan(t, dir, profileOf("dev")), t.TempDir())
	img := openISO(t, customizedISO(t, paths[FormISO], site(t)))
	was := openISO(t, paths[FormISO])
	if !bytes.Equal(content(t, img.Files.Get("boot/core.gz")), content(t, was.Files.Get("boot/core.gz"))) {
		t.Error("the first initrd has changed")
	}
	if made := content(t, img.Files.Get("boot/second.gz")); !bytes.HasPrefix(made, content(t, was.Files.Get("boot/second.gz"))) {
		t.Error("the second initrd does not begin with its own bytes")
	}
	out := filepath.Join(t.TempDir(), "pxe")
	if err := Customize(t.Context(), paths[FormPXE], out, site(t)); err != nil {
		t.Fatal(err)
	}
	files := folder(t, out)
	if !bytes.Equal(files["core.gz"], content(t, img.Files.Get("boot/core.gz"))) || !bytes.Equal(files["second.gz"], content(t, img.Files.Get("boot/second.gz"))) {
		t.Error("the PXE folder's initrds are not those of the ISO")
	}
}

// TestRecordInABuild: an image whose own files hold a record, because somebody has built it out of a
// customized one's, loses none of them.
func TestRecordInABuild(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, customRecord), []byte("{\"append\": \"quiet\"}\n"))
	writeFile(t, filepath.Join(dir, "etc/mine"), []byte("mine\n"))
	b, _ := builder(t, warm)
	built := build(t, b, plan(t, pristine, func(c *config.Config) {
		c.Overlay = append(c.Overlay, config.UserFiles{Source: dir, Target: "/"})
	}))
	old, _ := initrdOf(t, openISO(t, built))
	made, tree := initrdOf(t, openISO(t, customizedISO(t, built, Custom{Append: "site=1"})))
	if !bytes.HasPrefix(made, old) || text(t, tree, "etc/mine") != "mine\n" {
		t.Error("a part of the build is gone")
	}
}

func TestCustomizeInterrupted(t *testing.T) {
	t.Parallel()
	paths := all(t, plan(t, pristine, profileOf("dev")), t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, f := range []Form{FormISO, FormPXE} {
		out := t.TempDir()
		if err := Customize(ctx, paths[f], filepath.Join(out, "x"), site(t)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", f, err)
		}
		checkEmpty(t, out)
	}
}
