package remaster

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/profile"
	"mkbuild/internal/ui"
)

const grubMenu = "set timeout=5\nmenuentry \"core\" {\n  linux /boot/vmlinuz quiet\n  initrd /boot/core.gz\n}\n"

// efiImage is a FAT file system with the files of a UEFI loader, made by mkfs.fat and mtools.
func efiImage(t testing.TB, files map[string]string) []byte {
	t.Helper()
	mkfs := testkit.Tool(t, "mkfs.fat")
	dir := t.TempDir()
	name := filepath.Join(dir, "efi.img")
	testkit.Put(t, name, make([]byte, 1440<<10))
	testkit.Run(t, mkfs, "-i", "12345678", name)
	testkit.Run(t, "mmd", "-i", name, "::/EFI", "::/EFI/BOOT", "::/boot")
	for to, text := range files {
		from := filepath.Join(dir, "x")
		testkit.Put(t, from, []byte(text))
		testkit.Run(t, "mcopy", "-o", "-i", name, from, "::/"+to)
	}
	return testkit.Read(t, name)
}

// publishUEFI replaces the mirror's source image by one that boots by UEFI, too; hidden means
// that no file of the ISO is the boot image.
func publishUEFI(t testing.TB, dir string, efi []byte, hidden bool, more map[string]string) {
	t.Helper()
	files := isoFiles(t)
	for n, text := range more {
		files[n] = []byte(text)
	}
	if !hidden {
		files["EFI/BOOT/efiboot.img"] = efi
	}
	b, err := tinymirror.ISOWith(files)
	testkit.Must(t, err)
	img, err := iso9660.Open(bytes.NewReader(b), int64(len(b)))
	testkit.Must(t, err)
	e := iso9660.BootEntry{Platform: iso9660.PlatformUEFI, Bootable: true, Path: "EFI/BOOT/efiboot.img"}
	if hidden {
		e.Path, e.Size, e.Open = "", int64(len(efi)), overlay.Bytes(efi)
	}
	img.Boot = append(img.Boot, e)
	var out bytes.Buffer
	testkit.Must(t, img.Write(&out))
	tinymirror.Publish(t, dir, isoPath, out.Bytes())
}

// efiOf returns the boot image of an ISO's UEFI entry.
func efiOf(t testing.TB, img *iso9660.Image) []byte {
	t.Helper()
	return content(t, img.BootImage(&img.Boot[1]))
}

// edited sets the boot arguments that the tests look for.
func edited(c *config.Config) {
	timeout := 110
	c.Boot = config.Boot{Append: "console=ttyS0 mk=1", Timeout: &timeout}
}

// TestEveryCopyOfEveryMenu: arguments and timeout change in isolinux.cfg and what it includes, in
// grub.cfg on the ISO, and in the one inside of the EFI image.
func TestEveryCopyOfEveryMenu(t *testing.T) {
	t.Parallel()
	for _, hidden := range []bool{false, true} {
		dir := tinymirror.New(t)
		efi := efiImage(t, map[string]string{"EFI/BOOT/grub.cfg": grubMenu, "EFI/BOOT/BOOTX64.EFI": "loader"})
		publishUEFI(t, dir, efi, hidden, map[string]string{
			"boot/grub/grub.cfg":         grubMenu + "source /boot/grub/more.cfg\n",
			"boot/grub/more.cfg":         "menuentry more { linux /boot/vmlinuz; initrd /boot/core.gz; }\n",
			"boot/isolinux/isolinux.cfg": "default more\ninclude menu.cfg\ntimeout 300\n",
			"boot/isolinux/menu.cfg":     "label more\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz one=1\n",
		})
		b, rec := builder(t, warm)
		name := build(t, b, plan(t, dir, edited))
		img := openISO(t, name)
		for file, want := range map[string]string{
			"boot/grub/grub.cfg":         "linux /boot/vmlinuz quiet console=ttyS0 mk=1\n",
			"boot/grub/more.cfg":         "linux /boot/vmlinuz console=ttyS0 mk=1;",
			"boot/isolinux/menu.cfg":     "append initrd=/boot/core.gz one=1 console=ttyS0 mk=1\n",
			"boot/isolinux/isolinux.cfg": "timeout 110\n",
		} {
			if got := string(content(t, img.Files.Get(file))); !strings.Contains(got, want) {
				t.Errorf("%s:\n%s", file, got)
			}
		}
		checkEFI(t, efiOf(t, img), len(efi))
		if w := rec.Texts(ui.Warning); strings.Contains(w, "UEFI") {
			t.Errorf("warnings:\n%s", w)
		}
		if i := rec.Texts(ui.Info); strings.Contains(i, "BIOS only") {
			t.Errorf("an image that boots by UEFI is said not to:\n%s", i)
		}
		if again := build(t, b, plan(t, dir, edited)); !bytes.Equal(testkit.Read(t, name), testkit.Read(t, again)) {
			t.Error("two builds differ")
		}
	}
}

// checkEFI holds an edited EFI image against mtools and fsck.fat.
func checkEFI(t *testing.T, efi []byte, size int) {
	t.Helper()
	if len(efi) != size {
		t.Errorf("the EFI image has %d bytes, had %d", len(efi), size)
	}
	name := filepath.Join(t.TempDir(), "efi.img")
	testkit.Put(t, name, efi)
	testkit.Run(t, "fsck.fat", "-n", name)
	got := testkit.Run(t, "mtype", "-i", name, "::/EFI/BOOT/grub.cfg")
	if !strings.Contains(got, "quiet console=ttyS0 mk=1\n") || !strings.Contains(got, "timeout=11\n") {
		t.Errorf("grub.cfg in the EFI image:\n%s", got)
	}
	if got := testkit.Run(t, "mtype", "-i", name, "::/EFI/BOOT/BOOTX64.EFI"); got != "loader" {
		t.Errorf("the loader is %q", got)
	}
}

// TestXorrisoSeesBothEntries: another reader finds both boot entries in what we write.
func TestXorrisoSeesBothEntries(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	publishUEFI(t, dir, efiImage(t, map[string]string{"EFI/BOOT/grub.cfg": grubMenu}), false, nil)
	b, _ := builder(t, warm)
	out := testkit.Run(t, "xorriso", "-indev", build(t, b, plan(t, dir, edited)), "-report_el_torito", "plain")
	for _, want := range []string{"BIOS", "UEFI", "/EFI/BOOT/efiboot.img"} {
		if !strings.Contains(out, want) {
			t.Errorf("xorriso does not report %s:\n%s", want, out)
		}
	}
}

// TestUEFIMenuThatBootsStockTinyCore is a way into a prod image like one of isolinux.
func TestUEFIMenuThatBootsStockTinyCore(t *testing.T) {
	t.Parallel()
	stock := strings.ReplaceAll(strings.ReplaceAll(grubMenu, "core.gz", "stock.gz"), `"core"`, "stock")
	for name, efi := range map[string]map[string]string{
		"another initrd":          {"EFI/BOOT/grub.cfg": grubMenu + stock},
		"its own initrd":          {"EFI/BOOT/grub.cfg": strings.ReplaceAll(grubMenu, `"core"`, "stock"), "boot/core.gz": "stock"},
		"its own kernel":          {"EFI/BOOT/grub.cfg": strings.ReplaceAll(grubMenu, `"core"`, "stock"), "boot/vmlinuz": "stock"},
		"one that cannot be told": {"EFI/BOOT/grub.cfg": grubMenu + "menuentry stock { linux $where/vmlinuz\n}\n"},
	} {
		dir := tinymirror.New(t)
		publishUEFI(t, dir, efiImage(t, efi), false, map[string]string{"boot/stock.gz": "stock"})
		t.Run(name, func(t *testing.T) {
			failCleanly(t, plan(t, dir), is(profile.ErrOpen), "stock", "boot/core.gz")
			_, _, rec := staged(t, plan(t, dir, profileOf("dev")))
			if w := rec.Texts(ui.Warning); !strings.Contains(w, "stock") {
				t.Errorf("warnings:\n%s", w)
			}
		})
	}
}

func TestUEFIWithoutAMenu(t *testing.T) {
	t.Parallel()
	for _, efi := range [][]byte{[]byte(strings.Repeat("no FAT ", 1000)), efiImage(t, map[string]string{"EFI/BOOT/BOOTX64.EFI": "loader"})} {
		dir := tinymirror.New(t)
		publishUEFI(t, dir, efi, false, nil)
		b, rec := builder(t, warm)
		img := openISO(t, build(t, b, plan(t, dir, edited)))
		if !bytes.Equal(efiOf(t, img), efi) {
			t.Error("the EFI image has changed")
		}
		if w := rec.Texts(ui.Warning); !strings.Contains(w, "BIOS boots alone") {
			t.Errorf("warnings:\n%s", w)
		}
	}
}

func TestBIOSOnlyIsSaid(t *testing.T) {
	t.Parallel()
	_, _, rec := staged(t, plan(t, pristine))
	if i := rec.Texts(ui.Info); !strings.Contains(i, "BIOS only") {
		t.Errorf("info:\n%s", i)
	}
}

// TestUEFIAlone: a source without isolinux boots what grub.cfg says.
func TestUEFIAlone(t *testing.T) {
	t.Parallel()
	files := isoFiles(t)
	delete(files, "boot/isolinux/isolinux.cfg")
	files["EFI/BOOT/grub.cfg"] = []byte(grubMenu)
	dir := tinymirror.New(t)
	publishISO(t, dir, files)
	f, err := medium.OpenISO(filepath.Join(dir, isoPath))
	testkit.Must(t, err)
	defer f.Close()
	if f.Arguments != "quiet" {
		t.Errorf("arguments %q", f.Arguments)
	}
}

func TestNoRoomInTheEFIImage(t *testing.T) {
	t.Parallel()
	dir := tinymirror.New(t)
	efi := efiImage(t, map[string]string{"EFI/BOOT/grub.cfg": grubMenu, "EFI/BOOT/BOOTX64.EFI": strings.Repeat("filler ", 200_000)})
	publishUEFI(t, dir, efi, false, nil)
	failCleanly(t, plan(t, dir, func(c *config.Config) { c.Boot.Append = strings.Repeat("x", 100_000) }), ofClass(fail.Usage), "boot.append", "EFI/BOOT/efiboot.img")
}
