package remaster

import (
	"bytes"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/e2e/vfat"
	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/initrd"
	"mkbuild/internal/overlay"
	"mkbuild/internal/profile"
	"mkbuild/internal/ui"
)

// withMenu is a mirror whose ISO has another isolinux.cfg and another file.
func withMenu(t *testing.T, menu, name string, b []byte) string {
	t.Helper()
	dir := tinymirror.New(t)
	files := isoFiles(t)
	files["boot/isolinux/isolinux.cfg"] = []byte(menu)
	if name != "" {
		files[name] = b
	}
	publishISO(t, dir, files)
	return dir
}

// second is an initrd that adds a file to the first.
func second(t *testing.T) []byte {
	t.Helper()
	tree := &overlay.Tree{}
	testkit.Must(t, putAll(tree, overlay.Dir("etc", 0o755), overlay.File("etc/second", 0o644, []byte("second\n"))))
	var out bytes.Buffer
	testkit.Must(t, initrd.WriteSegment(&out, tree, initrd.SegmentOptions{}))
	return out.Bytes()
}

// TestSeveralInitrds: the base is the result of all initrds; the last is remade, and the others stay unchanged.
func TestSeveralInitrds(t *testing.T) {
	t.Parallel()
	dir := withMenu(t, "label a\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz,/boot/second.gz quiet\n", "boot/second.gz", second(t))
	b, _ := builder(t, warm)
	img := openISO(t, build(t, b, plan(t, dir)))
	if !bytes.Equal(content(t, img.Files.Get("boot/core.gz")), isoFiles(t)["boot/core.gz"]) {
		t.Error("the first initrd has changed")
	}
	made := content(t, img.Files.Get("boot/second.gz"))
	if !bytes.HasPrefix(made, second(t)) {
		t.Error("the second initrd does not begin with its own bytes")
	}
	tree, err := initrd.Read(bytes.NewReader(made), "second.gz", 0)
	testkit.Must(t, err)
	if tree.Get("etc/second") == nil || text(t, tree, "etc/shadow") == "" || tree.Get("bin/busybox") != nil {
		t.Error("the second initrd is not its own content with the additions")
	}
	if meta := string(content(t, img.Files.Get("iso-metadata.yaml"))); !strings.Contains(meta, "initrd: boot/second.gz\n") {
		t.Errorf("metadata:\n%s", meta)
	}
	failCleanly(t, plan(t, dir, func(c *config.Config) { c.Initrd.Layout = "merged" }), ofClass(fail.Usage), "initrd.layout", "boot/second.gz")
}

// TestLabelThatBootsStockTinyCore: a menu entry without the remade initrd is a way into a prod image.
func TestLabelThatBootsStockTinyCore(t *testing.T) {
	t.Parallel()
	dir := withMenu(t, "label mk\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz\nlabel stock\nkernel /boot/vmlinuz\nappend initrd=/boot/stock.gz\n", "boot/stock.gz", second(t))
	failCleanly(t, plan(t, dir), is(profile.ErrOpen), "isolinux.cfg:4: label stock boots /boot/vmlinuz with /boot/stock.gz")
	_, _, rec := staged(t, plan(t, dir, profileOf("dev")))
	if w := rec.Texts(ui.Warning); !strings.Contains(w, "stock") {
		t.Errorf("warnings:\n%s", w)
	}
	// The same initrd with other arguments is not another way.
	staged(t, plan(t, withMenu(t, "label mk\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz\nlabel vga\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz vga=normal\nlabel local\nlocalboot 0x80\n", "", nil)))
}

// TestFirmwareIsSaid: a note names firmware that cannot boot the image, and boots without the boot arguments.
func TestFirmwareIsSaid(t *testing.T) {
	t.Parallel()
	efi, err := vfat.Image(map[string][]byte{"EFI/BOOT/GRUB.CFG": []byte(tinymirror.GrubCfg64)}, 4096)
	testkit.Must(t, err)
	for _, tt := range []struct {
		name, efi, info, warning string
	}{
		{"no UEFI entry", "", "BIOS only", ""},
		{"an entry without a menu", strings.Repeat("no FAT ", 1000), "", "only to BIOS boots"},
		{"an entry with a menu", string(efi), "", ""},
	} {
		dir, files := tinymirror.New(t), isoFiles(t)
		if tt.efi != "" {
			files[tinymirror.EFIImage] = []byte(tt.efi)
		}
		publishISO(t, dir, files)
		_, _, rec := staged(t, plan(t, dir, profileOf("dev"), func(c *config.Config) { c.Boot.Append = "mk=1" }))
		info, warnings := rec.Texts(ui.Info), rec.Texts(ui.Warning)
		if strings.Contains(info, "BIOS only") != (tt.info != "") || strings.Contains(warnings, "only to BIOS boots") != (tt.warning != "") {
			t.Errorf("%s:\n%s\n%s", tt.name, info, warnings)
		}
	}
}

func TestNoWarningOfModulesWithNozswap(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"menu", "config"} {
		args := map[string]string{"menu": " nozswap"}[how]
		dir := tinymirror.New(t)
		files := isoFiles(t)
		files["boot/isolinux/isolinux.cfg"] = []byte("label a\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz" + args + "\n")
		tree := baseWithout(t, "lib/modules")
		files["boot/core.gz"] = tree
		publishISO(t, dir, files)
		_, _, rec := staged(t, plan(t, dir, func(c *config.Config) {
			if how == "config" {
				c.Boot.Append = "quiet nozswap"
			}
		}))
		if w := rec.Texts(ui.Warning); strings.Contains(w, "zram") {
			t.Errorf("in the %s: %s", how, w)
		}
	}
}
