package main

import (
	"slices"
	"strings"
)

// platform is a Debian architecture whose packages replace Tiny Core's files.
type platform struct {
	debian  string // "i386"
	triplet string // of Debian's library folders and of Ruby's
	loader  string // soname of the dynamic linker
	kernel  string // metapackage that names the newest kernel
	work    string // folder of --work for its packages
}

func i386() platform {
	return platform{"i386", "i386-linux-gnu", "ld-linux.so.2", "linux-image-686", "apt"}
}

func amd64() platform {
	return platform{"amd64", "x86_64-linux-gnu", "ld-linux-x86-64.so.2", "linux-image-amd64", "apt-amd64"}
}

// series is one release series that the mirror imitates. All differences are values here; code never asks which
// series it builds.
type series struct {
	release    string
	older      string // an earlier point release, for archive/
	arch       string // a mirror's folder
	config     string // the mkbuild.yaml for it
	edition    string // of the ISO: "Core"
	vmlinuz    string // names in boot/
	initrd     string
	menu       string   // folder of files/ with isolinux' configuration
	c32        []string // isolinux' modules next to it
	platform   platform
	others     []platform // kernels with modules on the mirror, too: the ISO has the kernel of platform
	extensions []extension
	plus       []string // extensions on the CD of CorePlus; none: no such ISO
	// uefi adds a GRUB for UEFI machines and makes the ISO bootable from disks.
	uefi bool
	// suid is the program with the set-uid bit: since 5.2 not busybox itself.
	suid string
	// rubyGems is true if Ruby includes RubyGems, as since 1.9.
	rubyGems bool
	// libraries of the base that mkbuild's picks need: in 4.x, whose base has them, it takes only lscpu and sfdisk
	// from util-linux.
	libraries []string
	// Groups of /tmp and /usr/local/tce.installed in the base's initrd.
	tmpGID, installedGID uint32
}

// allSeries lists the stand-ins: the release of the microkernel's documents, one whose mirror lacks mkbuild's first
// choices, and one in today's layout.
func allSeries() []series {
	return []series{
		{
			release: "4.5.2", older: "4.5.1", arch: "x86", config: "mkbuild.yaml", edition: "Core", vmlinuz: "vmlinuz", initrd: "core.gz",
			menu: "isolinux", platform: i386(), extensions: extensions4(), plus: []string{"bash", "dmidecode", "scsi-KERNEL"},
			suid: "busybox", installedGID: gidStaff,
			libraries: []string{"libsmartcols.so.1", "libfdisk.so.1", "libblkid.so.1", "libuuid.so.1", "libreadline.so.8", "libtinfo.so.6"},
		},
		{
			release: "8.2", older: "8.1", arch: "x86", config: "mkbuild-8.x.yaml", edition: "Core", vmlinuz: "vmlinuz", initrd: "core.gz",
			menu: "isolinux8", c32: []string{"menu.c32", "libutil.c32"}, platform: i386(), others: []platform{amd64()}, extensions: extensions8(),
			suid: "busybox.suid", rubyGems: true, tmpGID: gidStaff,
		},
		{
			release: "15.0", older: "15.0.0", arch: "x86_64", config: "mkbuild-x86_64.yaml", edition: "CorePure64", vmlinuz: "vmlinuz64", initrd: "corepure64.gz",
			menu: "isolinux64", c32: []string{"menu.c32", "libutil.c32"}, platform: amd64(), extensions: extensions15(), uefi: true,
			suid: "busybox.suid", rubyGems: true, installedGID: gidStaff,
		},
	}
}

// folder returns the series' name and folder on the mirror: "4.x".
func (s series) folder() string {
	major, _, _ := strings.Cut(s.release, ".")
	return major + ".x"
}

// matching returns the series of a name ("4.x") or an architecture; "" means all.
func matching(name string) []series {
	return slices.DeleteFunc(allSeries(), func(s series) bool {
		return name != "" && name != s.folder() && name != s.arch
	})
}

// staff is a common owner in TCZs.
func staff() owner { return owner{uid: uidTC, gid: gidStaff} }

// extensions4 are the names of 4.x x86. As in the other tables, extensions follow their dependencies, and the .dep
// texts have the quirks of the real mirrors on purpose: empty lines, trailing blanks, no final newline, a name
// twice, a cycle (ncurses and ncurses-common), -KERNEL.
func extensions4() []extension {
	return []extension{
		{name: "ncurses-common", holds: "terminfo", dep: "ncurses.tcz\n"},
		{name: "ncurses", dep: "\nncurses-common.tcz\n", root: staff()},
		{name: "libedit", dep: "ncurses.tcz\n\n"},
		{name: "gcc_libs", root: staff()},
		{name: "libssl-0.9.8", holds: "libssl"},
		{name: "openssl-1.0.0", holds: "openssl", dep: "libssl-0.9.8.tcz\n \n"},
		{name: "raid-dm-KERNEL"},
		{name: "bash", dep: "ncurses.tcz \n", root: owner{uidTC, gidStaff, 0o777}},
		{name: "ruby", dep: "libssl-0.9.8.tcz\nlibedit.tcz", root: staff()},
		{name: "dmidecode"},
		{name: "lshw", dep: "\ngcc_libs.tcz\n", root: owner{uid: 1000, gid: 1000}},
		{name: "util-linux", dep: "ncurses.tcz\nncurses-common.tcz\n", root: staff()},
		{name: "scsi-KERNEL", dep: "raid-dm-KERNEL.tcz\n"},
		{name: "firmware-bnx2", holds: "firmware"},
		{name: "openssh", dep: "openssl-1.0.0.tcz\ngcc_libs.tcz\nopenssl-1.0.0.tcz\nlibedit.tcz\n"},
	}
}

// extensions8 are names of 8.x x86: no ruby but four older names for it, modules for two kernels, and libraries
// without an extension, inside the extensions that need them.
func extensions8() []extension {
	out := []extension{
		{name: "ncurses", holds: "ncurses+terminfo"},
		{name: "readline", dep: "ncurses.tcz\n"},
		{name: "gcc_libs", root: staff()},
		{name: "udev-lib"},
		{name: "openssl", holds: "openssl+libssl"},
		{name: "raid-dm-KERNEL"},
		{name: "bash", dep: "readline.tcz \n", root: staff()},
		{name: "dmidecode"},
		{name: "lshw", dep: "gcc_libs.tcz", root: owner{uid: 1000, gid: 1000}},
		{name: "util-linux", dep: "ncurses.tcz\nreadline.tcz\nudev-lib.tcz\n", root: staff()},
		{name: "scsi-KERNEL", dep: "raid-dm-KERNEL.tcz\n"},
		{name: "firmware-broadcom_bnx2", holds: "firmware keyspan_pda"},
		{name: "firmware-broadcom_bnx2x", holds: "firmware cis"},
		{name: "openssh", dep: "openssl.tcz\n\n"},
	}
	for _, version := range []string{"1.9", "2.0", "2.1", "2.2"} {
		out = append(out, extension{name: "ruby-" + version, holds: "ruby", dep: "openssl.tcz\nreadline.tcz\n", root: staff()})
	}
	return out
}

// extensions15 are names of 15.x x86_64.
func extensions15() []extension {
	return []extension{
		{name: "ncursesw", holds: "ncurses+terminfo"},
		{name: "readline", dep: "ncursesw.tcz\n"},
		{name: "libedit", dep: "ncursesw.tcz"},
		{name: "gmp", root: staff()},
		{name: "udev-lib"},
		{name: "gcc_libs"},
		{name: "openssl", holds: "openssl+libssl"},
		{name: "raid-dm-KERNEL"},
		{name: "bash", dep: "readline.tcz \n", root: staff()},
		{name: "ruby", dep: "gmp.tcz\nopenssl.tcz\nreadline.tcz\nlibedit.tcz\n"},
		{name: "dmidecode"},
		{name: "util-linux", dep: "readline.tcz\nudev-lib.tcz", root: staff()},
		{name: "scsi-KERNEL", dep: "raid-dm-KERNEL.tcz\n"},
		{name: "firmware-broadcom_bnx2", holds: "firmware keyspan_pda"},
		{name: "firmware-broadcom_bnx2x", holds: "firmware cis"},
		{name: "openssh", dep: "openssl.tcz\nlibedit.tcz\n"},
	}
}
