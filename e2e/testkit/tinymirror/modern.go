package tinymirror

import (
	"bytes"
	"maps"
	"strings"

	"mkbuild/e2e/testkit/sqfs"
	"mkbuild/e2e/vfat"
	"mkbuild/internal/initrd"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/overlay"
)

// The second series: x86_64 in today's layout. Its kernel, initrd and boot menu have other names. It has several
// labels and a GRUB in an EFI image.
const (
	Kernel64  = "6.6.8-tinycore64"
	Release64 = "15.0"
)

// Config64 is a mkbuild.yaml for the second series, with the release's own extensions and gems.
const Config64 = `release: 15.0
arch: x86_64
mirrors: [.]
gems: {source: archives}
`

// ISOLinuxCfg64 is in the style of later releases: upper case, a menu, INITRD, several labels.
const ISOLinuxCfg64 = `UI menu.c32
PROMPT 0
TIMEOUT 300
MENU TITLE Core
ONTIMEOUT core

LABEL core
	MENU DEFAULT
	MENU LABEL Boot Core
	KERNEL /boot/vmlinuz64
	INITRD /boot/corepure64.gz
	APPEND loglevel=3

LABEL noswap
	MENU LABEL Boot Core without compressed swap
	KERNEL /boot/vmlinuz64
	INITRD /boot/corepure64.gz
	APPEND loglevel=3 nozswap

LABEL local
	MENU LABEL Boot from the first disk
	COM32 chain.c32
	APPEND hd0
`

// GrubCfg64 is the menu for UEFI machines: /EFI/BOOT/GRUB.CFG of the EFI image and, with the same content,
// /EFI/BOOT/grub.cfg of the ISO.
const GrubCfg64 = `set timeout=30
search --no-floppy --set=root --fs-uuid 2012-09-24-15-20-00-00
menuentry "Core" {
	linux /boot/vmlinuz64 loglevel=3
	initrd /boot/corepure64.gz
}
menuentry "Core without compressed swap" {
	linux /boot/vmlinuz64 loglevel=3 nozswap
	initrd /boot/corepure64.gz
}
`

// EFIImage is the path of the EFI image in the second series' ISO.
const EFIImage = "EFI/BOOT/efiboot.img"

// modern returns the files of the second series.
func modern() (map[string][]byte, error) {
	iso, err := ISO64()
	if err != nil {
		return nil, err
	}
	const tcz = "15.x/x86_64/tcz/"
	files := map[string][]byte{
		"15.x/x86_64/release/CorePure64-15.0.iso":    iso,
		"15.x/x86_64/release/CorePure64-current.iso": iso,
		"archives/hocon-1.3.1.gem":                   Gem("hocon", "1.3.1", nil),
		"archives/thor-1.2.1.gem":                    Gem("thor", "1.2.1", nil),
		"archives/facter-4.10.0.gem":                 Gem("facter", "4.10.0", []string{"facter"}),
		"mkbuild64.yaml":                             []byte(Config64),
		tcz + "bash.tcz.dep":                         []byte("readline.tcz\n"),
		tcz + "readline.tcz.dep":                     []byte("ncursesw.tcz\n"),
		tcz + "util-linux.tcz.dep":                   []byte("readline.tcz\nudev-lib.tcz\n"),
		tcz + "ruby.tcz.dep":                         []byte("gmp.tcz\nopenssl.tcz\nreadline.tcz\n"),
		tcz + "openssh.tcz.dep":                      []byte("openssl.tcz\n"),
		tcz + "scsi-" + Kernel64 + ".tcz.dep":        []byte("raid-dm-KERNEL.tcz\n"),
		tcz + "firmware-broadcom_bnx2.tcz.dep":       []byte("\n"),
	}
	for name, fs := range extensions64() {
		files[tcz+name+".tcz"] = sqfs.Image(fs)
	}
	return files, nil
}

const rbconfig64 = `module RbConfig
  RUBY_VERSION.start_with?("3.3.") or
    raise "ruby lib version (3.3.0) doesn't match executable version (#{RUBY_VERSION})"
  TOPDIR = File.dirname(__FILE__).chomp!("/lib/ruby/3.3.0/x86_64-linux")
  DESTDIR = '' unless defined? DESTDIR
  CONFIG = {}
  CONFIG["DESTDIR"] = DESTDIR
  CONFIG["prefix"] = (TOPDIR || DESTDIR + "/usr/local")
  CONFIG["ruby_install_name"] = "$(RUBY_BASE_NAME)"
  CONFIG["RUBY_BASE_NAME"] = "ruby"
  CONFIG["EXEEXT"] = ""
  CONFIG["exec_prefix"] = "$(prefix)"
  CONFIG["bindir"] = "$(exec_prefix)/bin"
  CONFIG["libdir"] = "$(exec_prefix)/lib"
  CONFIG["rubylibprefix"] = "$(libdir)/$(RUBY_BASE_NAME)"
  CONFIG["ruby_version"] = "3.3.0"
  CONFIG["sitedir"] = "$(rubylibprefix)/site_ruby"
  CONFIG["sitelibdir"] = "$(sitedir)/$(ruby_version)"
end
`

// Ruby returns an extension's Ruby of a release, such as "2.5.3"; 1.8 is the Ruby of the first series.
func Ruby(release string) []sqfs.File {
	if strings.HasPrefix(release, "1.8") {
		return extensions()["ruby"]
	}
	dir := "usr/local/lib/ruby/" + release + "/x86_64-linux"
	return []sqfs.File{
		sqfs.Reg("usr/local/bin/ruby", 0o755, "ruby\n"), sqfs.Reg("usr/local/bin/gem", 0o755, "#!/usr/local/bin/ruby\n"),
		sqfs.Reg(dir+"/rbconfig.rb", 0o644, strings.ReplaceAll(rbconfig64, "3.3.0", release)),
		sqfs.Reg("usr/local/lib/ruby/gems/"+release+"/specifications/default/json-2.7.1.gemspec", 0o644, "# json\n"),
	}
}

func extensions64() map[string][]sqfs.File {
	reg := sqfs.Reg
	lib := func(name string) []sqfs.File { return []sqfs.File{reg("usr/local/lib/"+name, 0o755, name+"\n")} }
	module := func(name string) []sqfs.File {
		return []sqfs.File{reg("usr/local/lib/modules/"+Kernel64+"/kernel/drivers/"+name+".ko.gz", 0o644, "ko\n")}
	}
	return map[string][]sqfs.File{
		"ruby":                    Ruby("3.3.0"),
		"bash":                    append(installed("bash"), reg("usr/local/bin/bash", 0o755, "bash\n")),
		"readline":                lib("libreadline.so.8"),
		"ncursesw":                lib("libncursesw.so.6"),
		"gmp":                     lib("libgmp.so.10"),
		"udev-lib":                lib("libudev.so.0"),
		"openssl":                 lib("libcrypto.so.3"),
		"dmidecode":               {reg("usr/local/sbin/dmidecode", 0o755, "dmidecode\n")},
		"util-linux":              {reg("usr/local/bin/lscpu", 0o755, "lscpu\n"), reg("usr/local/sbin/sfdisk", 0o755, "sfdisk\n"), reg("usr/local/lib/libsmartcols.so.1", 0o755, "lib\n")},
		"scsi-" + Kernel64:        module("scsi/x"),
		"raid-dm-" + Kernel64:     module("md/y"),
		"firmware-broadcom_bnx2":  {reg("usr/local/lib/firmware/bnx2/x.fw", 0o644, "fw\n")},
		"firmware-broadcom_bnx2x": {reg("usr/local/lib/firmware/bnx2x/x.fw", 0o644, "fw\n")},
		"openssh":                 {reg("usr/local/sbin/sshd", 0o755, "sshd\n"), reg("usr/local/bin/ssh-keygen", 0o755, "k\n"), reg("usr/local/etc/ssh/sshd_config.orig", 0o644, "\n")},
	}
}

// Base64 is the second series' root file system: other modules, and a separate set-uid program.
func Base64() *overlay.Tree {
	t := &overlay.Tree{}
	for _, e := range base(Kernel64).Entries() {
		put(t, *e)
	}
	busybox := overlay.File("bin/busybox", 0o755, []byte("busybox\n"))
	put(t, busybox)
	put(t, overlay.File("bin/busybox.suid", 0o4755, []byte("busybox\n")))
	put(t, overlay.File("etc/os-release", 0o644, []byte("NAME=TinyCore\nVERSION=\""+Release64+"\"\nID=tinycore\n")))
	return t
}

// Files64 returns the files of the second series' ISO, for tests that change one.
func Files64() (map[string][]byte, error) {
	var core bytes.Buffer
	if err := initrd.WriteSegment(&core, Base64(), initrd.SegmentOptions{ModTime: Time}); err != nil {
		return nil, err
	}
	loader := bytes.Repeat([]byte("GRUB"), 4096)
	efi, err := vfat.Image(map[string][]byte{"EFI/BOOT/BOOTX64.EFI": loader, "EFI/BOOT/GRUB.CFG": []byte(GrubCfg64)}, 32<<10)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		"boot/vmlinuz64":             VMLinuz(Kernel64),
		"boot/corepure64.gz":         core.Bytes(),
		"boot/isolinux/isolinux.bin": bytes.Repeat([]byte("isolinux"), 512),
		"boot/isolinux/isolinux.cfg": []byte(ISOLinuxCfg64),
		"boot/isolinux/menu.c32":     []byte("menu\n"),
		"boot/isolinux/chain.c32":    []byte("chain\n"),
		"EFI/BOOT/BOOTX64.EFI":       loader,
		"EFI/BOOT/grub.cfg":          []byte(GrubCfg64),
		EFIImage:                     efi,
	}, nil
}

// ISO64 is the second series' source image.
func ISO64() ([]byte, error) {
	files, err := Files64()
	if err != nil {
		return nil, err
	}
	return ISOWith(maps.Clone(files))
}

// bootEntries returns the El Torito entries for the files of an image.
func bootEntries(files map[string][]byte) []iso9660.BootEntry {
	var out []iso9660.BootEntry
	if files["boot/isolinux/isolinux.bin"] != nil {
		out = append(out, iso9660.BootEntry{Platform: iso9660.PlatformBIOS, Bootable: true, LoadSectors: 4, Path: "boot/isolinux/isolinux.bin", InfoTable: true})
	}
	if efi := files[EFIImage]; efi != nil {
		out = append(out, iso9660.BootEntry{Platform: iso9660.PlatformUEFI, Bootable: true, LoadSectors: uint16(len(efi) / 512), Path: EFIImage})
	}
	return out
}
