package main

import "path"

// modernTable lists the extensions of the 64-bit line, by the names and with the dependencies that
// they have there today. The .dep texts are as untidy as those of 4.x.
func modernTable() []*extension {
	return append(modernBase(), modernTop()...)
}

// modernBase are libraries and modules that others depend on.
func modernBase() []*extension {
	return []*extension{
		{name: "ncursesw", title: "ncurses libraries and terminals", from: "libncursesw6", fill: func(b *builder, m *mirror) {
			fillTerminfo(b, m)
			fillNcurses(b, m)
		}},
		{name: "readline", title: "line editing library", from: "libreadline8", dep: "ncursesw.tcz\n", fill: libraries("libreadline.so.8")},
		{name: "libedit", title: "line editing library", from: "libedit2", dep: "ncursesw.tcz", fill: libraries("libedit.so.2")},
		{name: "gmp", title: "arithmetic library", from: "libgmp10", fill: libraries("libgmp.so.10"), rootUID: uidTC, rootGID: gidStaff},
		{name: "udev-lib", title: "device library", from: "libudev1", fill: libraries("libudev.so.1")},
		{name: "gcc_libs", title: "runtime libraries of the compiler", from: "libstdc++6", fill: libraries("libstdc++.so.6", "libgcc_s.so.1")},
		{name: "openssl", title: "ssl libraries and command", from: "openssl", fill: func(b *builder, m *mirror) {
			libraries("libssl.so.3", "libcrypto.so.3")(b, m)
			fillOpenssl(b, m)
		}},
		{name: "raid-dm-KERNEL", title: "raid and device mapper modules", fill: func(b *builder, m *mirror) { m.fillModules(b, raidModules()) }},
	}
}

// modernTop are those that mkbuild's defaults for the line name, and openssh.
func modernTop() []*extension {
	return []*extension{
		{
			name: "bash", title: "GNU Bourne Again SHell", from: "bash",
			dep: "readline.tcz \n", fill: fillBash, script: "bash", rootUID: uidTC, rootGID: gidStaff,
		},
		{
			name: "ruby", title: "Ruby interpreter", from: "ruby3.1",
			about: "Ruby 3.1 with RubyGems and without Bundler, laid out below /usr/local.",
			dep:   "gmp.tcz\nopenssl.tcz\nreadline.tcz\nlibedit.tcz\n", fill: fillRuby,
		},
		{
			name: "dmidecode", title: "hardware as the BIOS describes it", from: "dmidecode",
			fill: func(b *builder, _ *mirror) {
				b.take("dmidecode", "usr/sbin/dmidecode", "usr/local/sbin/dmidecode", 0o755)
			},
		},
		{
			name: "util-linux", title: "system utilities", from: "util-linux",
			about: "With the libraries of lscpu and sfdisk.",
			dep:   "readline.tcz\nudev-lib.tcz", fill: fillUtilLinux, rootUID: uidTC, rootGID: gidStaff,
		},
		{
			name: "scsi-KERNEL", title: "scsi modules", dep: "raid-dm-KERNEL.tcz\n",
			fill: func(b *builder, m *mirror) { m.fillModules(b, scsiModules()) },
		},
		{
			name: "firmware-broadcom_bnx2", title: "firmware", from: "firmware-linux-free",
			about: "Debian has no free firmware for bnx2; these are files of firmware-linux-free.", fill: firmware("keyspan_pda"),
		},
		{
			name: "firmware-broadcom_bnx2x", title: "firmware", from: "firmware-linux-free",
			about: "Debian has no free firmware for bnx2x; these are files of firmware-linux-free.", fill: firmware("cis"),
		},
		{
			name: "openssh", title: "ssh server and client", from: "openssh-server",
			about: "Debian's sshd reads /etc/ssh; the init script points it at /usr/local/etc/ssh.",
			dep:   "openssl.tcz\nlibedit.tcz\n", fill: fillOpenssh,
		},
	}
}

// firmware fills an extension with one folder of firmware.
func firmware(dir string) func(*builder, *mirror) {
	return func(b *builder, _ *mirror) {
		b.takeTree("firmware-linux-free", path.Join("lib/firmware", dir), path.Join("usr/local/lib/firmware", dir), nil)
	}
}
