package medium

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/e2e/testkit/tinymirror"
	"mkbuild/e2e/vfat"
	"mkbuild/internal/bootmenu"
	"mkbuild/internal/fail"
	"mkbuild/internal/fat"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/overlay"
	"mkbuild/internal/wholefile"
)

// efiOf returns a FAT file system with files and some free bytes.
func efiOf(t testing.TB, files map[string]string, spare int) string {
	t.Helper()
	contents := map[string][]byte{}
	for name, text := range files {
		contents[name] = []byte(text)
	}
	b, err := vfat.Image(contents, spare)
	testkit.Must(t, err)
	return string(b)
}

// hidden removes the name of an ISO's EFI image.
func hidden(t testing.TB, m *Medium) *Medium {
	t.Helper()
	e := &m.ISO.Boot[1]
	image := []byte(textOf(t, m, e.Path))
	m.Files.Remove(e.Path)
	e.Path, e.Size, e.Open = "", int64(len(image)), overlay.Bytes(image)
	return written(t, m)
}

// written writes an ISO and reads it back.
func written(t testing.TB, m *Medium) *Medium {
	t.Helper()
	var out bytes.Buffer
	testkit.Must(t, m.ISO.Write(&out))
	return readBytes(t, out.Bytes())
}

// efiFile returns the content of a file in an ISO's EFI image.
func efiFile(t testing.TB, m *Medium, name string) string {
	t.Helper()
	b, err := m.ISO.BootImage(&m.ISO.Boot[1]).Content(1 << 26)
	testkit.Must(t, err)
	fs, err := fat.Open(b)
	testkit.Must(t, err)
	text, err := fs.ReadFile(name, 1<<20)
	testkit.Must(t, err)
	return string(text)
}

// TestEveryCopyOfEveryMenu: arguments and timeout change in isolinux.cfg and its includes, in grub.cfg on the ISO
// and its further menus, and in the copy inside the EFI image.
func TestEveryCopyOfEveryMenu(t *testing.T) {
	named := isoWith(t, map[string]string{
		tinymirror.EFIImage:      efiOf(t, map[string]string{"EFI/BOOT/GRUB.CFG": grubCfg + "source $prefix/more.cfg\n. ($root)/boot/grub/grub.cfg\n", "EFI/BOOT/MORE.CFG": "linux /boot/vmlinuz\ninitrd /boot/core.gz\n", "EFI/BOOT/BOOTX64.EFI": "loader"}, 4096),
		"boot/grub/grub.cfg":     "set root=(cd0)\n" + grubCfg + "source /boot/grub/more.cfg\n",
		"boot/grub/more.cfg":     "menuentry more { linux /boot/vmlinuz; initrd /boot/core.gz; }\n",
		cfg:                      "default more\ninclude menu.cfg\ntimeout 300\n",
		"boot/isolinux/menu.cfg": "label more\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz one=1\n",
	})
	for _, m := range []*Medium{named, hidden(t, written(t, named))} {
		made, err := m.Edit(bootmenu.Edit{Append: "console=ttyS0 mk=1", TimeoutTenths: 110}, 1)
		testkit.Must(t, err)
		if made.Arguments != "one=1 console=ttyS0 mk=1" || m.Arguments != "one=1" {
			t.Errorf("arguments %q, were %q", made.Arguments, m.Arguments)
		}
		if boots, menu := made.BootsUEFI(); !boots || !menu {
			t.Errorf("boots by UEFI: %v, with a menu: %v", boots, menu)
		}
		back := written(t, made)
		for file, want := range map[string]string{
			"boot/grub/grub.cfg":     "linux /boot/vmlinuz quiet console=ttyS0 mk=1\n",
			"boot/grub/more.cfg":     "linux /boot/vmlinuz console=ttyS0 mk=1;",
			"boot/isolinux/menu.cfg": "append initrd=/boot/core.gz one=1 console=ttyS0 mk=1\n",
			cfg:                      "timeout 110\n",
		} {
			if got := textOf(t, back, file); !strings.Contains(got, want) || got == textOf(t, m, file) {
				t.Errorf("%s:\n%s", file, got)
			}
		}
		if got := efiFile(t, back, "EFI/BOOT/GRUB.CFG"); !strings.Contains(got, "quiet console=ttyS0 mk=1\n") || !strings.Contains(got, "timeout=11\n") || !strings.HasPrefix(efiFile(t, m, "EFI/BOOT/GRUB.CFG"), grubCfg) {
			t.Errorf("grub.cfg in the EFI image:\n%s", got)
		}
		if got := efiFile(t, back, "EFI/BOOT/MORE.CFG"); got != "linux /boot/vmlinuz console=ttyS0 mk=1\ninitrd /boot/core.gz\n" {
			t.Errorf("what it sources there:\n%s", got)
		}
		if got := textOf(t, back, "boot/grub/grub.cfg"); !strings.Contains(got, "timeout=11\n") {
			t.Errorf("a menu that is part of another has lost its timeout:\n%s", got)
		}
		if got := efiFile(t, back, "EFI/BOOT/BOOTX64.EFI"); got != "loader" {
			t.Errorf("the loader is %q", got)
		}
		again, err := made.Edit(bootmenu.Edit{Remove: "console=ttyS0 mk=1"}, 1)
		testkit.Must(t, err)
		if again.Arguments != "one=1" || !strings.Contains(efiFile(t, again, "EFI/BOOT/GRUB.CFG"), "quiet\n") {
			t.Errorf("removed, the arguments are %q", again.Arguments)
		}
	}
}

// TestXorrisoSeesBothEntries: another reader finds both boot entries in our output.
func TestXorrisoSeesBothEntries(t *testing.T) {
	m := isoWith(t, map[string]string{tinymirror.EFIImage: efiOf(t, map[string]string{"EFI/BOOT/GRUB.CFG": grubCfg}, 4096)})
	made, err := m.Edit(bootmenu.Edit{Append: "mk=1"}, 1)
	testkit.Must(t, err)
	name := filepath.Join(t.TempDir(), "x.iso")
	testkit.Must(t, made.Write(t.Context(), wholefile.Output{Name: name}))
	testkit.Contains(t, testkit.Run(t, "xorriso", "-indev", "stdio:"+name, "-report_el_torito", "plain"), "BIOS", "UEFI", "/"+tinymirror.EFIImage)
}

// TestEFIMenusThatBootSomethingElse: an EFI image may contain a kernel, an initrd, or an unknown name.
func TestEFIMenusThatBootSomethingElse(t *testing.T) {
	const other = "menuentry other {\n linux /boot/vmlinuz\n initrd /boot/modules.gz\n}\n"
	for name, files := range map[string]map[string]string{
		"another initrd":          {"EFI/BOOT/GRUB.CFG": grubCfg + other},
		"its own initrd":          {"EFI/BOOT/GRUB.CFG": strings.ReplaceAll(grubCfg, "core {", "other {"), "BOOT/CORE.GZ": "x"},
		"its own kernel":          {"EFI/BOOT/GRUB.CFG": strings.ReplaceAll(grubCfg, "core {", "other {"), "BOOT/VMLINUZ": "x"},
		"one that cannot be told": {"EFI/BOOT/GRUB.CFG": grubCfg + "menuentry other { linux $where/vmlinuz\n}\n"},
	} {
		m := isoWith(t, map[string]string{tinymirror.EFIImage: efiOf(t, files, 0)})
		if got := othersOf(m); !strings.HasPrefix(got, "label other boots") || m.Kernel != "boot/vmlinuz" {
			t.Errorf("%s: others %q, kernel %s", name, got, m.Kernel)
		}
	}
}

func TestEFIWithoutAMenu(t *testing.T) {
	for _, efi := range []string{strings.Repeat("no FAT ", 1000), efiOf(t, map[string]string{"BOOTX64.EFI": "loader"}, 0)} {
		m := isoWith(t, map[string]string{tinymirror.EFIImage: efi})
		made, err := m.Edit(bootmenu.Edit{Append: "x"}, 1)
		testkit.Must(t, err)
		if boots, menu := made.BootsUEFI(); !boots || menu || textOf(t, made, tinymirror.EFIImage) != efi {
			t.Errorf("boots by UEFI: %v, with a menu: %v; or the image has changed", boots, menu)
		}
	}
	m := isoWith(t, map[string]string{cfg: "", "EFI/BOOT/grub.cfg": grubCfg})
	if boots, menu := m.BootsUEFI(); boots || !menu || m.Arguments != "quiet" {
		t.Errorf("grub.cfg alone: arguments %q, boots by UEFI: %v, with a menu: %v", m.Arguments, boots, menu)
	}
}

func TestNoRoomInTheEFIImage(t *testing.T) {
	m := isoWith(t, map[string]string{tinymirror.EFIImage: efiOf(t, map[string]string{"GRUB.CFG": grubCfg}, 0)})
	if _, err := m.Edit(bootmenu.Edit{Append: strings.Repeat("x", 100_000)}, 1); fail.ClassOf(err) != fail.Usage || !strings.Contains(err.Error(), "boot.append: edit GRUB.CFG in "+tinymirror.EFIImage) {
		t.Errorf("got %v", err)
	}
}

// onDisk opens an ISO with a boot menu, and returns its bytes, too.
func onDisk(t *testing.T, menu string) (*Medium, []byte) {
	t.Helper()
	b := isoBytes(t, map[string]string{cfg: menu})
	name := filepath.Join(t.TempDir(), "x.iso")
	testkit.Put(t, name, b)
	m, err := OpenISO(name)
	testkit.Must(t, err)
	t.Cleanup(func() { m.Close() })
	return m, b
}

func TestWriteForOneBoot(t *testing.T) {
	edited := strings.Replace(stock, "quiet", "quiet console=ttyS0 a=b", 1)
	for _, tt := range []struct{ name, menu, want string }{
		{"arguments", stock, edited},
		{"a menu that waits", "timeout 300\n" + stock, "timeout 10\n" + edited},
		{"a menu that waits forever", "TIMEOUT 0\r\n" + stock, "TIMEOUT 0\r\n" + edited},
		{"no initrd", "label a\n kernel /boot/vmlinuz\n", "label a\n kernel /boot/vmlinuz\n append console=ttyS0 a=b\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, image := onDisk(t, tt.menu)
			var out bytes.Buffer
			testkit.Must(t, m.WriteForOneBoot(t.Context(), &out, "console=ttyS0 a=b"))
			if got := textOf(t, readBytes(t, out.Bytes()), cfg); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			differ := 0
			for i := range image {
				if image[i] != out.Bytes()[i] {
					differ++
				}
			}
			if differ > 32 {
				t.Errorf("%d bytes of the image differ, want the places in two directory records", differ)
			}
		})
	}
	m, _ := onDisk(t, "label a\n localboot 0x80\n")
	if err := m.WriteForOneBoot(t.Context(), &bytes.Buffer{}, "a"); !errors.Is(err, ErrNoMenu) {
		t.Errorf("no kernel in the menu: %v", err)
	}
	m, _ = onDisk(t, stock)
	if err := m.WriteForOneBoot(t.Context(), &bytes.Buffer{}, "a\nb"); err == nil {
		t.Error("an argument with a line break was taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.WriteForOneBoot(ctx, &bytes.Buffer{}, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// use reads and rewrites an ISO like a build. It fails the test on everything except an error of a known class that
// names the ISO, including a recovered panic.
func use(t testing.TB, b []byte) error {
	t.Helper()
	m, err := ReadISO(bytes.NewReader(b), int64(len(b)), "core.iso")
	if err == nil {
		_, err = m.KernelRelease()
	}
	if err == nil {
		_, err = m.Tree()
	}
	if err == nil {
		m, err = m.Edit(bootmenu.Edit{Append: "x"}, 0)
	}
	if err == nil {
		err = m.ISO.Write(io.Discard)
	}
	switch {
	case err == nil:
	case strings.Contains(err.Error(), "gave up"):
		t.Errorf("a parser panicked: %v", err)
	case fail.ClassOf(err) != fail.Verification && !errors.Is(err, iso9660.ErrInvalid) && !errors.Is(err, iso9660.ErrTooLarge) && !strings.Contains(err.Error(), "core.iso"):
		t.Errorf("an error that names nothing: %v", err)
	}
	return err
}
