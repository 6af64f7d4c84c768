package remaster

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/inputs"
	"mkbuild/internal/medium"
	"mkbuild/internal/ui"
)

// all writes every form of a plan into dir and returns their paths.
func all(t *testing.T, p *inputs.Plan, dir string) map[Form]string {
	t.Helper()
	b, s, _ := staged(t, p)
	paths := map[Form]string{}
	var outputs []Output
	for _, f := range Forms() {
		paths[f] = OutputPath(f, filepath.Join(dir, "x.iso"))
		outputs = append(outputs, Output{Form: f, Path: paths[f]})
	}
	testkit.Must(t, b.Write(t.Context(), s, outputs))
	return paths
}

// folder returns the files of a folder by their paths.
func folder(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		out[filepath.ToSlash(rel)] = testkit.Read(t, p)
		return err
	})
	testkit.Must(t, err)
	return out
}

// TestFormsOfSeveralInitrds: a PXE folder has them one by one in order, Razor's archive has room for only one, and
// both equal the ISO's initrds.
func TestFormsOfSeveralInitrds(t *testing.T) {
	t.Parallel()
	dir := withMenu(t, "label a\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz,/boot/second.gz quiet\n", "boot/second.gz", second(t))
	paths := all(t, plan(t, dir, func(c *config.Config) { c.Boot.Append = "razor.mk=1" }), t.TempDir())
	img, pxe := openISO(t, paths[FormISO]), folder(t, paths[FormPXE])
	one, two := content(t, img.Files.Get("boot/core.gz")), content(t, img.Files.Get("boot/second.gz"))
	if !bytes.Equal(pxe["core.gz"], one) || !bytes.Equal(pxe["second.gz"], two) {
		t.Error("the folder's initrds are not those of the ISO")
	}
	m, err := medium.OpenFolder(paths[FormPXE])
	if err != nil || m.Kernel != "vmlinuz" || !slices.Equal(m.Initrds, []string{"core.gz", "second.gz"}) || m.Arguments != "quiet razor.mk=1" {
		t.Errorf("it boots %+v, %v", m, err)
	}
	script := string(pxe["boot.ipxe"])
	if !strings.Contains(script, "kernel vmlinuz initrd=core.gz initrd=second.gz quiet razor.mk=1 |") || !strings.Contains(script, "initrd core.gz || goto error\ninitrd second.gz |") {
		t.Errorf("boot.ipxe:\n%s", script)
	}
	want := append(append(one, make([]byte, -len(one)&3)...), two...)
	got := members(t, paths[FormRazor])
	if initrd := got["microkernel/initrd0.img"]; !bytes.HasPrefix(initrd, want) || len(initrd)-len(want) > 3 {
		t.Errorf("initrd0.img has %d bytes, want %d", len(initrd), len(want))
	}
	if sums := string(got["microkernel/SHA256SUM"]); !strings.Contains(sums, fmt.Sprintf("%x  initrd0.img\n", sha256.Sum256(got["microkernel/initrd0.img"]))) {
		t.Errorf("SHA256SUM:\n%s", sums)
	}
}

// members returns the files of a tar archive, which all have the same owner.
func members(t *testing.T, name string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	r := tar.NewReader(bytes.NewReader(testkit.Read(t, name)))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		testkit.Must(t, err)
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.ModTime.Unix() == 0 {
			t.Errorf("%s: owner %d:%d %q, time %v", h.Name, h.Uid, h.Gid, h.Uname, h.ModTime)
		}
		b, err := io.ReadAll(r)
		testkit.Must(t, err)
		out[h.Name] = b
	}
}

// TestFormsAreTheSameAgain: byte for byte, whatever existed before.
func TestFormsAreTheSameAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := all(t, plan(t, pristine), dir)
	again := all(t, plan(t, pristine), t.TempDir())
	all(t, plan(t, pristine, profileOf("dev")), dir)
	over := all(t, plan(t, pristine), dir)
	for _, f := range []Form{FormISO, FormRazor, FormTar} {
		if !bytes.Equal(testkit.Read(t, first[f]), testkit.Read(t, again[f])) || !bytes.Equal(testkit.Read(t, over[f]), testkit.Read(t, again[f])) {
			t.Errorf("%s differs", f)
		}
	}
	a, b := folder(t, over[FormPXE]), folder(t, again[FormPXE])
	for name := range a {
		if len(a) != len(b) || !bytes.Equal(a[name], b[name]) {
			t.Errorf("%s differs in the PXE folder", name)
		}
	}
	testkit.Run(t, "sh", "-c", "cd '"+again[FormPXE]+"' && sha256sum -c --strict SHA256SUMS")
}

// TestInterruptedForms leaves nothing, and existing files stay.
func TestInterruptedForms(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"pxe", "razor"} {
		out := t.TempDir()
		b, s, _ := staged(t, plan(t, pristine))
		form := Form(at)
		name := OutputPath(form, filepath.Join(out, "x.iso"))
		ctx, cancel := context.WithCancel(t.Context())
		b.Inputs.Step = func(step string) func() {
			if step == at {
				cancel()
			}
			return func() {}
		}
		if err := b.Write(ctx, s, []Output{{Form: form, Path: name}}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", at, err)
		}
		checkEmpty(t, out)
	}
}

// TestUSBNote: a hybrid source gives a hybrid image without a note; otherwise a note is printed.
func TestUSBNote(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	hybrid := filepath.Join(t.TempDir(), "hybrid.iso")
	tree := t.TempDir()
	for name, b := range isoFiles(t) {
		testkit.Put(t, filepath.Join(tree, name), b)
	}
	const lib = "/usr/lib/ISOLINUX/"
	if _, err := os.Stat(lib + "isohdpfx.bin"); err != nil {
		testkit.Tool(t, lib+"isohdpfx.bin")
	}
	testkit.Put(t, filepath.Join(tree, "boot/isolinux/isolinux.bin"), testkit.Read(t, lib+"isolinux.bin"))
	testkit.Run(t, "xorriso", "-as", "mkisofs", "-quiet", "-R", "-J", "-o", "stdio:"+hybrid, "-b", "boot/isolinux/isolinux.bin", "-c", "boot/isolinux/boot.cat",
		"-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "-isohybrid-mbr", lib+"isohdpfx.bin", tree)
	tinymirror.Publish(t, dir, isoPath, testkit.Read(t, hybrid))
	b, rec := builder(t, warm)
	name := build(t, b, plan(t, dir))
	if i := rec.Texts(ui.Info); strings.Contains(i, "hybrid") {
		t.Errorf("a hybrid image is said to be none:\n%s", i)
	}
	if out := testkit.Run(t, "xorriso", "-indev", "stdio:"+name, "-report_system_area", "plain"); !strings.Contains(out, "isohybrid") {
		t.Errorf("xorriso sees no hybrid image:\n%s", out)
	}
	b, rec = builder(t, warm)
	build(t, b, plan(t, pristine))
	if i := rec.Texts(ui.Info); !strings.Contains(i, "not a hybrid image") {
		t.Errorf("info:\n%s", i)
	}
}
