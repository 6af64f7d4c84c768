package medium

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
	"mkbuild/internal/bootmenu"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/overlay"
)

// good is a menu that boots only the image.
const good = "default core\nlabel core\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz quiet\n"

// isoOf returns an ISO with a good isolinux.cfg, further text in it, and further files. boot/modules.gz is a second
// initrd.
func isoOf(t *testing.T, more string, files map[string]string) *Medium {
	t.Helper()
	all := map[string]string{cfg: good + more, "boot/isolinux/menu.c32": "x"}
	maps.Copy(all, files)
	return isoWith(t, all)
}

const (
	other    = "label other\nkernel /boot/vmlinuz\nappend initrd=/boot/modules.gz\n"
	grubGood = "menuentry core {\nlinux /boot/vmlinuz quiet\ninitrd /boot/core.gz\n}\n"
	grubBad  = "menuentry other {\nlinux /boot/vmlinuz\ninitrd /boot/modules.gz\n}\n"
)

// TestWaysIn: menus with which a prod image would boot something else are found, with file and line.
func TestWaysIn(t *testing.T) {
	t.Parallel()
	type files = map[string]string
	more := files{"boot/isolinux/more.cfg": other}
	for name, tt := range map[string]struct {
		more  string
		files files
		want  string
	}{
		"label":                      {other, nil, "isolinux.cfg:5: label other boots /boot/vmlinuz with /boot/modules.gz"},
		"menu.c32":                   {"label more\nkernel menu.c32\nappend more.cfg\n", more, "more.cfg:1: label other"},
		"vesamenu.c32 in a folder":   {"label more\nkernel /boot/isolinux/vesamenu.c32\nappend ~ more.cfg\n", more, "more.cfg:1: "},
		"com32":                      {"label more\ncom32 menu.c32\nappend more.cfg\n", more, "more.cfg:1: "},
		"menu without extension":     {"label more\nkernel menu\nappend more.cfg\n", more, "isolinux.cfg:5: label more starts menu"},
		"config":                     {"label more\nconfig more.cfg\n", more, "more.cfg:1: "},
		"config and a folder":        {"label more\nconfig /boot/isolinux/more.cfg /boot\n", more, "more.cfg:1: "},
		"ui":                         {"ui menu.c32 more.cfg\n", more, "more.cfg:1: "},
		"default with a file":        {"default menu.c32 more.cfg\n", more, "more.cfg:1: "},
		"include":                    {"include more.cfg\n", more, "more.cfg:1: "},
		"menu include":               {"menu include more.cfg title\n", more, "more.cfg:1: "},
		"menu of a menu":             {"label more\nkernel menu.c32\nappend a.cfg\n", files{"boot/isolinux/a.cfg": "label b\nconfig more.cfg\n", "boot/isolinux/more.cfg": other}, "more.cfg:1: "},
		"ontimeout":                  {"ontimeout /boot/vmlinuz initrd=/boot/core.gz rdinit=/bin/sh\n", nil, "isolinux.cfg:5: label ontimeout has the kernel argument rdinit=/bin/sh"},
		"onerror":                    {"onerror /boot/vmlinuz initrd=/boot/modules.gz\n", nil, "isolinux.cfg:5: label onerror boots"},
		"default, a label with more": {"default core rdinit=/bin/sh\n", nil, "isolinux.cfg:5: label core has the kernel argument rdinit=/bin/sh"},
		"default, other initrd":      {"default core initrd=/boot/modules.gz\n", nil, "isolinux.cfg:2: label core boots"},
		"label is the kernel":        {"label /boot/vmlinuz\nappend initrd=/boot/modules.gz\n", nil, "isolinux.cfg:5: label /boot/vmlinuz boots"},
		"a list elsewhere":           {"label x\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz lst=../mnt/sda1/x.lst\n", nil, "isolinux.cfg:5: label x has the kernel argument lst=../mnt/sda1/x.lst"},
		"a list on the medium":       {"label x\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz lst=x.lst\n", files{"cde/optional/openssh.tcz": "x"}, "isolinux.cfg:5: label x has the kernel argument lst=x.lst"},
		"extensions on the medium":   {"label x\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz cde\n", files{"cde/optional/openssh.tcz": "x"}, "isolinux.cfg:5: label x has the kernel argument cde"},
		"label alone":                {"label /boot/vmlinuz\n", nil, "isolinux.cfg:5: label /boot/vmlinuz boots /boot/vmlinuz with no initrd"},
		"one more initrd":            {"label x\nkernel /boot/vmlinuz\ninitrd /boot/core.gz,/boot/modules.gz\n", nil, "isolinux.cfg:5: label x boots"},
		"arguments on KERNEL":        {"label x\nkernel /boot/vmlinuz rdinit=/bin/sh\ninitrd /boot/core.gz\n", nil, "isolinux.cfg:5: label x has the kernel argument rdinit=/bin/sh"},
		"quoted":                     {"label x\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz \"rdinit=/bin/sh\"\n", nil, "isolinux.cfg:5: label x has the kernel argument \"rdinit=/bin/sh\""},
		"behind --":                  {"label x\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz -- rdinit=/bin/sh\n", nil, "isolinux.cfg:5: label x has the"},
		"boot sector":                {"label x\nboot other.bin\n", nil, "isolinux.cfg:5: label x starts the boot sector other.bin"},
		"memdisk":                    {"label x\nkernel memdisk\nappend initrd=/boot/modules.gz\n", files{"boot/isolinux/memdisk": "x"}, "isolinux.cfg:5: label x boots memdisk"},
		"linux.c32":                  {"label x\nkernel linux.c32\nappend /boot/vmlinuz initrd=/boot/modules.gz\n", nil, "isolinux.cfg:5: label x starts linux.c32"},
		"chain.c32 with a file":      {"label x\nkernel chain.c32\nappend hd0 file=/boot/x\n", nil, "isolinux.cfg:5: label x starts chain.c32"},
		"a name in capitals":         {"", files{"boot/CORE.GZ": "x"}, "boot/core.gz: some boot loaders take boot/CORE.GZ for it"},
		"the menu's name twice":      {"config more.cfg\n", files{"boot/isolinux/more.cfg": "", "boot/isolinux/More.cfg": other}, "some boot loaders take boot/isolinux/More.cfg"},
		"a plain name":               {"label x\nkernel /boot/VMLINU_1\nappend initrd=/boot/modules.gz\n", files{"boot/vmlinu+1": "x"}, "isolinux.cfg:5: label x boots /boot/VMLINU_1"},
		"a plain name of a menu":     {"include /boot/more_.cfg\n", files{"boot/more~.cfg": other}, "label other boots"},
		"a dot behind the name":      {"label x\nkernel /boot/vmlinuz.\nappend initrd=/boot/modules.gz\n", nil, "isolinux.cfg:5: label x boots"},
		"user of the base":           {"label x\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz user=bob\n", nil, "user=bob"},

		"grub":                             {"", files{"boot/grub/grub.cfg": grubGood + grubBad}, "grub.cfg:6: label other boots"},
		"grub, source":                     {"", files{"boot/grub/grub.cfg": grubGood + "source ${prefix}/extra.cfg\n", "boot/grub/extra.cfg": grubBad}, "extra.cfg:2: label other boots"},
		"grub, configfile":                 {"", files{"boot/grub/grub.cfg": "configfile ($root)/boot/extra.cfg\n", "boot/extra.cfg": grubBad}, "extra.cfg:2: "},
		"grub, normal":                     {"", files{"boot/grub/grub.cfg": "normal $prefix/extra.cfg\n", "boot/grub/extra.cfg": grubBad}, "extra.cfg:2: "},
		"grub, parentheses":                {"", files{"boot/grub/grub.cfg": "set root='(hd0,msdos1)'\nlinux ($root)/boot/vmlinuz\ninitrd ($root)/boot/modules.gz\n"}, "grub.cfg:2: the entry without a name boots /boot/vmlinuz with /boot/modules.gz"},
		"grub, variable":                   {"", files{"boot/grub/grub.cfg": "set i=/boot/modules.gz\nlinux /boot/vmlinuz\ninitrd $i\n"}, "grub.cfg:2: "},
		"grub, variable twice":             {"", files{"boot/grub/grub.cfg": "set i=/boot/core.gz\nif true; then set i=/boot/modules.gz; fi\nlinux /boot/vmlinuz\ninitrd $i\n"}, "grub.cfg:3: "},
		"grub, variable elsewhere":         {"", files{"boot/grub/grub.cfg": "set i=/boot/core.gz\nsource /boot/grub/v.cfg\nlinux /boot/vmlinuz\ninitrd $i\n", "boot/grub/v.cfg": "set i=/boot/modules.gz\n"}, "grub.cfg:3: "},
		"grub, regexp --set":               {"", files{"boot/grub/grub.cfg": "set i=/boot/core.gz\nregexp --set=1:i '(.*)' /boot/modules.gz\nlinux /boot/vmlinuz\ninitrd $i\n"}, "grub.cfg:3: "},
		"grub, for":                        {"", files{"boot/grub/grub.cfg": "for i in /boot/modules.gz; do\nlinux /boot/vmlinuz\ninitrd $i\ndone\n"}, "grub.cfg:2: "},
		"grub, function":                   {"", files{"boot/grub/grub.cfg": "function b {\nlinux /boot/vmlinuz $2\ninitrd $1\n}\nmenuentry x { b /boot/core.gz rdinit=/bin/sh; }\n"}, "rdinit=/bin/sh"},
		"grub, function's initrd":          {"", files{"boot/grub/grub.cfg": "function b {\nlinux /boot/vmlinuz\ninitrd $1\n}\nb /boot/modules.gz\n"}, "grub.cfg:2: "},
		"grub, unknown arguments":          {"", files{"boot/grub/grub.cfg": "linux /boot/vmlinuz $args\ninitrd /boot/core.gz\n"}, "$args"},
		"grub, chainloader":                {"", files{"boot/grub/grub.cfg": "chainloader /EFI/other.efi\n"}, "grub.cfg:1: the command chainloader"},
		"grub, loopback":                   {"", files{"boot/grub/grub.cfg": "loopback loop /x.iso\nlinux (loop)/boot/vmlinuz\ninitrd (loop)/boot/core.gz\n"}, "grub.cfg:1: the command loopback"},
		"grub, multiboot":                  {"", files{"boot/grub/grub.cfg": "multiboot /boot/x\n"}, "grub.cfg:1: the command multiboot"},
		"grub, eval":                       {"", files{"boot/grub/grub.cfg": "eval \"$x\"\n"}, "grub.cfg:1: the command eval"},
		"grub, unknown source":             {"", files{"boot/grub/grub.cfg": "source $x/more.cfg\n"}, "grub.cfg:1: the menu $x/more.cfg"},
		"grub, network":                    {"", files{"boot/grub/grub.cfg": "set root=(tftp,1.2.3.4)\nlinux /boot/vmlinuz\ninitrd /boot/core.gz\n"}, "grub.cfg:1: the device"},
		"grub, network, without set":       {"", files{"boot/grub/grub.cfg": "root=tftp,1.2.3.4\nlinux /boot/vmlinuz\ninitrd /boot/core.gz\n"}, "grub.cfg:1: the device"},
		"grub, network, by for":            {"", files{"boot/grub/grub.cfg": "for root in tftp,1.2.3.4; do\nlinux /boot/vmlinuz\ninitrd /boot/core.gz\ndone\n"}, "grub.cfg:1: the device"},
		"grub, device of two":              {"", files{"boot/grub/grub.cfg": "x=hd0\nx=tftp,1.2.3.4\nlinux ($x)/boot/vmlinuz\ninitrd ($x)/boot/core.gz\n"}, "grub.cfg:3: the device"},
		"grub, shift":                      {"", files{"boot/grub/grub.cfg": "function b {\nshift\nlinux /boot/vmlinuz $1\ninitrd /boot/core.gz\n}\nb quiet rdinit=/bin/sh\n"}, "the command shift"},
		"grub, arguments of the entry":     {"", files{"boot/grub/grub.cfg": "function b {\nmenuentry rdinit=/bin/sh {\nlinux /boot/vmlinuz $1\ninitrd /boot/core.gz\n}\n}\nb quiet\n"}, "grub.cfg:3: label rdinit=/bin/sh has the kernel argument $1"},
		"grub, prefix for another menu":    {"", files{"boot/grub/grub.cfg": "set prefix=/evil\nconfigfile /boot/b.cfg\n", "boot/b.cfg": "source $prefix/x.cfg\n", "evil/x.cfg": grubBad}, "evil/x.cfg:2: label other"},
		"grub, prefix of the loader":       {"", files{"boot/grub/grub.cfg": "configfile /boot/b.cfg\n", "boot/b.cfg": "source $prefix/x.cfg\n", "boot/grub/x.cfg": grubBad}, "x.cfg:2: label other"},
		"grub, prefix that nobody knows":   {"", files{"boot/grub/grub.cfg": "set prefix=$x\nconfigfile /boot/b.cfg\n", "boot/b.cfg": "source $prefix/x.cfg\n", "evil/x.cfg": grubBad}, "grub.cfg:2: the prefix of another menu"},
		"grub, variable for normal":        {"", files{"boot/grub/grub.cfg": "set i=/boot/modules.gz\nnormal /boot/b.cfg\n", "boot/b.cfg": "if [ -z $i ]; then set i=/boot/core.gz; fi\nlinux /boot/vmlinuz\ninitrd $i\n"}, "b.cfg:2: "},
		"grub, normal with more":           {"", files{"boot/grub/grub.cfg": "normal /boot/b.cfg x\n", "boot/b.cfg": grubBad}, "grub.cfg:1: the command normal"},
		"grub, function for a command":     {"", files{"boot/grub/grub.cfg": "function echo {\nlinux /boot/vmlinuz\ninitrd /boot/modules.gz\n}\nconfigfile /boot/b.cfg\n", "boot/b.cfg": "echo\n"}, "grub.cfg:2: the function echo"},
		"grub, entry in an option":         {"", files{"boot/grub/grub.cfg": "menuentry x --source 'linux /boot/vmlinuz; initrd /boot/modules.gz'\n"}, "grub.cfg:1: the option --source"},
		"grub, option in a variable":       {"", files{"boot/grub/grub.cfg": "set o=--source\nmenuentry x $o 'linux /boot/vmlinuz'\n"}, "grub.cfg:2: the option --source"},
		"grub, pattern":                    {"", files{"boot/grub/grub.cfg": "linux /boot/vmlinu*\ninitrd /boot/modules.gz\n"}, "grub.cfg:1: the pattern /boot/vmlinu*"},
		"grub, -s among others":            {"", files{"boot/grub/grub.cfg": "set i=/boot/core.gz\nregexp -ss 1:i '(.*)' /boot/modules.gz\nlinux /boot/vmlinuz\ninitrd $i\n"}, "grub.cfg:3: "},
		"grub, variable for another menu":  {"", files{"boot/grub/grub.cfg": "set i=/boot/modules.gz\nexport i\nconfigfile /boot/b.cfg\n", "boot/b.cfg": "if [ -z $i ]; then set i=/boot/core.gz; fi\nlinux /boot/vmlinuz\ninitrd $i\n"}, "grub.cfg:3: the variable i"},
		"grub, blocks":                     {"", files{"boot/grub/grub.cfg": "linux (hd0)2048+500\ninitrd /boot/core.gz\n"}, "grub.cfg:1: the blocks (hd0)2048+500"},
		"systemd-boot":                     {"", files{"loader/entries/core.conf": "title x\nlinux /boot/vmlinuz\ninitrd /boot/modules.gz\n"}, "core.conf:2: label x boots"},
		"systemd-boot, options":            {"", files{"loader/entries/core.conf": "linux /boot/vmlinuz\ninitrd /boot/core.gz\noptions quiet\noptions rdinit=/bin/sh\n"}, "core.conf:1: "},
		"systemd-boot, initrd= in options": {"", files{"loader/entries/core.conf": "linux /boot/vmlinuz\ninitrd /boot/core.gz\noptions initrd=\\boot\\modules.gz\n"}, "core.conf:1: "},
		"systemd-boot, efi":                {"", files{"loader/entries/x.conf": "efi /shell.efi\n"}, "x.conf:1: it starts /shell.efi"},
		"unified kernel":                   {"", files{"EFI/Linux/x.efi": "MZ"}, "EFI/Linux/x.efi: "},
		"rEFInd":                           {"", files{"EFI/BOOT/refind.conf": "x"}, "refind.conf: "},
		"GRUB legacy":                      {"", files{"boot/grub/menu.lst": "x"}, "menu.lst: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := isoOf(t, tt.more, tt.files)
			got := ways(m)
			if !strings.Contains(got, tt.want) {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
}

// ways returns the ways into a medium, one a line.
func ways(m *Medium) string {
	var out strings.Builder
	for _, w := range m.WaysIn(nil) {
		fmt.Fprintln(&out, w.String())
	}
	return out.String()
}

// TestLinks: GRUB follows symlinks, to a menu and inside names.
func TestLinks(t *testing.T) {
	t.Parallel()
	for name, menu := range map[string]string{"grub.cfg:1": "linux /b/vmlinuz\ninitrd /b/modules.gz\n", "x.cfg:2": "source /b/x.cfg\n", "notes.txt:2": ""} {
		m := isoOf(t, "", map[string]string{"boot/notes.txt": grubBad, "boot/x.cfg": grubBad})
		put := overlay.File("boot/grub/grub.cfg", 0o444, []byte(menu))
		if menu == "" {
			put = overlay.Symlink("boot/grub/grub.cfg", "/boot/notes.txt")
		}
		testkit.Must(t, m.Files.Put(put))
		testkit.Must(t, m.Files.Put(overlay.Symlink("b", "boot")))
		testkit.Must(t, m.readMenus())
		if got := ways(m); !strings.Contains(got, name) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestBootEntries: firmware targets other than a loader with a menu are doubts.
func TestBootEntries(t *testing.T) {
	t.Parallel()
	hidden := func(platform, media byte) iso9660.BootEntry {
		return iso9660.BootEntry{Platform: platform, Media: media, Bootable: true, Size: 4, Open: overlay.Bytes([]byte("boot"))}
	}
	for name, tt := range map[string]struct {
		entry iso9660.BootEntry
		want  string
	}{
		"a floppy":                  {hidden(iso9660.PlatformBIOS, 2), "boot entry 2: it starts an emulated disk"},
		"an EFI image without FAT":  {hidden(iso9660.PlatformUEFI, iso9660.MediaNone), "boot entry 2: mkbuild cannot read its EFI boot image"},
		"a machine of another kind": {hidden(1, iso9660.MediaNone), "boot entry 2: it is for another platform"},
	} {
		m := isoOf(t, "", nil)
		m.ISO.Boot = append(m.ISO.Boot, tt.entry)
		testkit.Must(t, m.readMenus())
		if got := ways(m); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestNoWayIn tests menus that boot the image, the local disk, or nothing.
func TestNoWayIn(t *testing.T) {
	t.Parallel()
	type files = map[string]string
	for name, tt := range map[string]struct {
		more  string
		files files
	}{
		"nothing more":           {"", nil},
		"lists of cde, and none": {"label x\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz cde lst=xbase.lst base\n", nil},
		"cde, and no folder cde": {"label x\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz cde\n", nil},
		"local disk":             {"label hd\nlocalboot 0x80\nlabel c\nkernel chain.c32\nappend hd0\nlabel off\nkernel poweroff.c32\nlabel r\ncom32 reboot.c32\n", nil},
		"menu":                   {"ui menu.c32\nmenu title x\nlabel -\nmenu separator\nmenu begin\nlabel a\nlinux /boot/vmlinuz\ninitrd /boot/core.gz\nappend nozswap\nmenu end\n", nil},
		"other menus":            {"label m\nkernel menu.c32\nappend more.cfg\n", files{"boot/isolinux/more.cfg": good}},
		"command line":           {"ontimeout /boot/vmlinuz initrd=/boot/core.gz\nonerror core\n", nil},
		"grub":                   {"", files{"boot/grub/grub.cfg": "insmod all_video\nset timeout=5\nif loadfont x; then set gfxmode=auto; fi\nset root='(hd0,msdos1)'\nmenuentry a {\nlinux ($root)/boot/vmlinuz quiet\ninitrd ($root)/boot/core.gz\n}\nif [ -f $prefix/custom.cfg ]; then source $prefix/custom.cfg; fi\nmenuentry disk { set root=(hd0); chainloader +1; }\nmenuentry off { halt; }\n"}},
		"grub, functions":        {"", files{"boot/grub/grub.cfg": "set d=/boot\nset k=$d/vmlinuz\nfunction b {\nlinux $k quiet\ninitrd $1\n}\nsubmenu s { menuentry a { b /boot/core.gz; } }\n"}},
		"grub, as Debian has it": {"", files{"EFI/BOOT/grub.cfg": "search --file --set=root /boot/core.gz\nset prefix=($root)'/boot/grub'\nconfigfile $prefix/grub.cfg\n", "boot/grub/grub.cfg": "function load_video {\ninsmod all_video\n}\nset lang=C\nexport lang\nload_video\nmenuentry 'Core' --class x $menuentry_id_option 'core' {\nlinux /boot/vmlinuz quiet\ninitrd /boot/core.gz\n}\nsource $prefix/more.cfg\n", "boot/grub/more.cfg": grubGood}},
		"systemd-boot":           {"", files{"loader/loader.conf": "timeout 3\n", "loader/entries/core.conf": "title Core\nlinux /boot/vmlinuz\ninitrd /boot/core.gz\noptions quiet\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := isoOf(t, tt.more, tt.files).WaysIn(nil); len(got) > 0 {
				t.Errorf("found %v", got)
			}
		})
	}
}

// TestEditReachesEveryMenu: arguments get into menus in other files, and before a --.
func TestEditReachesEveryMenu(t *testing.T) {
	t.Parallel()
	another := "label b\nkernel /boot/vmlinuz\nappend initrd=/boot/core.gz -- x\n"
	for name, more := range map[string]string{
		"ui": "ui menu.c32 more.cfg\n", "default": "default vesamenu.c32 more.cfg\n", "config": "label c\nconfig more.cfg\n", "kernel": "label c\nkernel menu.c32\nappend more.cfg\n", "include": "include more.cfg\n",
		"ontimeout": "ontimeout /boot/vmlinuz initrd=/boot/core.gz\ninclude more.cfg\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := isoOf(t, more, map[string]string{"boot/isolinux/more.cfg": another, "loader/entries/core.conf": "linux /boot/vmlinuz\ninitrd /boot/core.gz\n"})
			edited, err := m.Edit(bootmenu.Edit{Append: "razor.x=1"}, 0)
			if err != nil {
				t.Fatal(err)
			}
			if len(edited.Entries) < 3 {
				t.Errorf("%d entries", len(edited.Entries))
			}
			for _, e := range edited.Entries {
				if want := " razor.x=1"; !strings.HasSuffix(" "+e.Append, want) && !strings.HasSuffix(e.Append, want+" -- x") {
					t.Errorf("%s:%d: %q", e.Menu, e.Line, e.Append)
				}
			}
			back, err := edited.Edit(bootmenu.Edit{Remove: "razor.x=1"}, 0)
			if err != nil {
				t.Fatal(err)
			}
			if text, err := back.text("boot/isolinux/more.cfg"); err != nil || string(text) != another {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
}

// TestMissingInitrd: the error names the label and the file.
func TestMissingInitrd(t *testing.T) {
	t.Parallel()
	m := isoWith(t, map[string]string{cfg: "label tc\nkernel /boot/vmlinuz\ninitrd /boot/core.gz,/boot/gone.gz\n"})
	if err := m.Bootable(); err == nil || !strings.Contains(err.Error(), "isolinux.cfg:1: label tc names /boot/gone.gz") {
		t.Error(err)
	}
}

// TestTooLong: 1951 bytes of arguments boot, more hang ISOLINUX; only the kernel limits GRUB.
func TestTooLong(t *testing.T) {
	t.Parallel()
	m := isoOf(t, "", nil)
	fill := func(n int) string {
		return "razor.x=" + strings.Repeat("y", n-len("initrd=/boot/core.gz quiet razor.x="))
	}
	if _, err := m.Edit(bootmenu.Edit{Append: fill(1951)}, 0); err != nil {
		t.Error(err)
	}
	if _, err := m.Edit(bootmenu.Edit{Append: fill(1952)}, 0); err == nil || !strings.Contains(err.Error(), "label core has 1952 bytes") {
		t.Error(err)
	}
	for n, want := range map[int]int{2000: 0, 2047: 1} {
		grub := isoOf(t, "", map[string]string{"boot/grub/grub.cfg": fmt.Sprintf("linux /boot/vmlinuz %s\ninitrd /boot/core.gz\n", strings.Repeat("y", n))})
		if got := TooLong(grub); len(got) != want {
			t.Errorf("%d: %v", n, got)
		}
	}
	folder, err := NewFolder(*m.Files.Get("boot/vmlinuz"), nil, strings.Repeat("y", 2050))
	if err == nil {
		t.Errorf("a PXE folder boots %s", folder.Arguments)
	}
}
