package main

import (
	"path"
	"strings"

	"mkbuild/internal/overlay"
)

// table lists the extensions of the line, those that others need first.
func (m *mirror) table() []*extension {
	if m.port.modern {
		return modernTable()
	}
	return extensionTable()
}

// extensionTable lists the extensions of 4.x. The .dep texts have the
// quirks of the real mirrors on purpose: empty lines, trailing blanks, no final newline, a name
// twice, a cycle (ncurses and ncurses-common), -KERNEL.
func extensionTable() []*extension {
	return append(baseExtensions(), topExtensions()...)
}

// baseExtensions are libraries and modules that others depend on.
func baseExtensions() []*extension {
	return []*extension{
		{
			name: "ncurses-common", title: "terminal descriptions", from: "ncurses-base",
			dep: "ncurses.tcz\n", fill: fillTerminfo,
		},
		{
			name: "ncurses", title: "ncurses libraries", from: "libncurses6",
			dep: "\nncurses-common.tcz\n", fill: fillNcurses, rootUID: uidTC, rootGID: gidStaff,
		},
		{
			name: "libedit", title: "line editing library", from: "libedit2",
			dep: "ncurses.tcz\n\n", fill: libraries("libedit.so.2"),
		},
		{
			name: "gcc_libs", title: "runtime libraries of the compiler", from: "libstdc++6",
			fill: libraries("libstdc++.so.6", "libgcc_s.so.1"), rootUID: uidTC, rootGID: gidStaff,
		},
		{
			name: "libssl-0.9.8", title: "ssl libraries", from: "libssl3",
			about: "Holds OpenSSL 3 (libssl.so.3, libcrypto.so.3), not 0.9.8.",
			fill:  libraries("libssl.so.3", "libcrypto.so.3"),
		},
		{
			name: "openssl-1.0.0", title: "openssl command", from: "openssl",
			about: "Holds the openssl 3 program; the libraries are those of libssl-0.9.8.tcz.",
			dep:   "libssl-0.9.8.tcz\n \n", fill: fillOpenssl,
		},
		{
			name: "raid-dm-KERNEL", title: "raid and device mapper modules", from: "",
			fill: func(b *builder, m *mirror) { m.fillModules(b, raidModules()) },
		},
	}
}

// topExtensions are those that mkbuild's defaults name, and util-linux.
func topExtensions() []*extension {
	return []*extension{
		{
			name: "bash", title: "GNU Bourne Again SHell", from: "bash",
			dep: "ncurses.tcz \n", fill: fillBash, script: "bash", rootUID: uidTC, rootGID: gidStaff, rootMode: 0o777,
		},
		{
			name: "ruby", title: "Ruby interpreter", from: "ruby3.1",
			about: "Ruby 3.1 without RubyGems, laid out as Tiny Core's ruby 1.8.",
			dep:   "libssl-0.9.8.tcz\nlibedit.tcz", fill: fillRuby, rootUID: uidTC, rootGID: gidStaff,
		},
		{
			name: "dmidecode", title: "hardware as the BIOS describes it", from: "dmidecode",
			fill: func(b *builder, _ *mirror) {
				b.take("dmidecode", "usr/sbin/dmidecode", "usr/local/sbin/dmidecode", 0o755)
			},
		},
		{
			name: "lshw", title: "hardware lister", from: "lshw",
			dep: "\ngcc_libs.tcz\n", fill: fillLshw, rootUID: 1000, rootGID: 1000,
		},
		{
			name: "util-linux", title: "system utilities", from: "util-linux",
			about: "The libraries of lscpu and sfdisk are in core.gz, as on Tiny Core.",
			dep:   "ncurses.tcz\nncurses-common.tcz\n", fill: fillUtilLinux, rootUID: uidTC, rootGID: gidStaff,
		},
		{
			name: "scsi-KERNEL", title: "scsi modules", from: "",
			dep: "raid-dm-KERNEL.tcz\n", fill: func(b *builder, m *mirror) { m.fillModules(b, scsiModules()) },
		},
		{
			name: "firmware-bnx2", title: "firmware", from: "firmware-linux-free",
			about: "Debian has no free firmware for bnx2; these are the files of firmware-linux-free.",
			fill:  fillFirmware, script: "firmware-bnx2",
		},
		{
			name: "openssh", title: "ssh server and client", from: "openssh-server",
			about: "Debian's sshd reads /etc/ssh; the init script points it at /usr/local/etc/ssh.",
			dep:   "openssl-1.0.0.tcz\ngcc_libs.tcz\nopenssl-1.0.0.tcz\nlibedit.tcz\n", fill: fillOpenssh,
		},
	}
}

// libraries fills an extension with libraries and what they need.
func libraries(sonames ...string) func(*builder, *mirror) {
	return func(b *builder, _ *mirror) {
		for _, soname := range sonames {
			if b.err == nil {
				b.fail(b.pool.addLibrary(b.tree, "usr/local/lib", soname))
			}
		}
	}
}

// fillTerminfo adds the common terminals.
func fillTerminfo(b *builder, _ *mirror) {
	b.takeTree("ncurses-base", "lib/terminfo", "usr/local/share/terminfo", func(name string) bool {
		switch path.Base(name) {
		case "linux", "vt100", "vt102", "vt220", "xterm", "xterm-256color", "screen", "ansi", "dumb", "rxvt":
			return true
		}
		return false
	})
	b.put(overlay.Symlink("usr/share/terminfo", "/usr/local/share/terminfo"))
}

func fillNcurses(b *builder, m *mirror) {
	libraries("libtinfo.so.6", "libncurses.so.6", "libncursesw.so.6")(b, m)
	b.take("ncurses-bin", "usr/bin/tput", "usr/local/bin/tput", 0o755)
	b.take("ncurses-bin", "usr/bin/clear", "usr/local/bin/clear", 0o755)
}

func fillBash(b *builder, _ *mirror) {
	b.take("bash", "bin/bash", "usr/local/bin/bash", 0o755)
	b.text("usr/local/share/bash/files/.bashrc", 0o644, "# Settings of interactive bash shells.\nPS1='\\u@\\h:\\w\\$ '\n")
}

func fillOpenssl(b *builder, _ *mirror) {
	b.take("openssl", "usr/bin/openssl", "usr/local/bin/openssl", 0o755)
	b.take("openssl", "etc/ssl/openssl.cnf", "usr/local/etc/ssl/openssl.cnf", 0o644)
}

// fillModules adds kernel modules that core.gz does not have, with those that they need.
func (m *mirror) fillModules(b *builder, patterns []string) {
	selected, err := m.mods.selectModules(patterns)
	if err != nil {
		b.fail(err)
		return
	}
	for _, mod := range selected {
		if m.shipped[mod.name] {
			continue
		}
		m.shipped[mod.name] = true
		e, err := mod.entry(path.Join("usr/local/lib/modules", m.mods.kernel))
		if err != nil {
			b.fail(err)
			return
		}
		b.put(e)
	}
}

// fillLshw adds lshw with the part of pci.ids that names common vendors.
func fillLshw(b *builder, _ *mirror) {
	b.take("lshw", "usr/bin/lshw", "usr/local/sbin/lshw", 0o755)
	e, err := b.pool.file("pci.ids", "usr/share/misc/pci.ids", "usr/local/share/pci.ids", 0o644)
	if err != nil {
		b.fail(err)
		return
	}
	ids, err := e.Content(8 << 20)
	if err != nil {
		b.fail(err)
		return
	}
	b.text(e.Path, 0o644, reducePCIIDs(string(ids), "1000", "1022", "1033", "10de", "10ec", "1234", "14e4", "15ad", "1af4", "1b36", "8086"))
}

// reducePCIIDs keeps the vendors with the given numbers and the device classes. In pci.ids a
// vendor starts at the beginning of a line, its devices are indented; classes start with "C ".
func reducePCIIDs(text string, vendors ...string) string {
	var out strings.Builder
	out.WriteString("# A part of pci.ids, chosen by mkmirror.\n")
	keep := false
	for _, line := range strings.SplitAfter(text, "\n") {
		if line == "" || line[0] == '#' || line[0] == '\n' {
			continue
		}
		if line[0] != '\t' {
			id, _, _ := strings.Cut(line, " ")
			keep = id == "C"
			for _, v := range vendors {
				keep = keep || id == v
			}
		}
		if keep {
			out.WriteString(line)
		}
	}
	return out.String()
}

// fillUtilLinux adds a good part of util-linux. Some of its programs shadow busybox's, as in the
// real extension.
func fillUtilLinux(b *builder, _ *mirror) {
	for pkg, dirs := range map[string]map[string][]string{
		"util-linux": {
			"bin":      {"dmesg", "findmnt", "lsblk", "more", "mountpoint"},
			"usr/bin":  {"chrt", "fallocate", "flock", "getopt", "ionice", "ipcs", "lscpu", "lsipc", "lslocks", "lsmem", "lsns", "namei", "nsenter", "partx", "prlimit", "setarch", "setsid", "taskset", "unshare", "whereis"},
			"sbin":     {"blkid", "blkdiscard", "blockdev", "findfs", "fsfreeze", "fstrim", "mkswap", "pivot_root", "swaplabel", "switch_root", "wipefs", "zramctl"},
			"usr/sbin": {"readprofile"},
		},
		"mount": {"bin": {"mount", "umount"}, "sbin": {"losetup", "swapon", "swapoff"}},
		"fdisk": {"sbin": {"cfdisk", "fdisk", "sfdisk"}},
	} {
		for dir, names := range dirs {
			for _, n := range names {
				b.take(pkg, path.Join(dir, n), path.Join("usr/local", path.Base(dir), n), 0o755)
			}
		}
	}
}

func fillFirmware(b *builder, _ *mirror) {
	b.takeTree("firmware-linux-free", "lib/firmware", "usr/local/lib/firmware", nil)
}

// fillOpenssh adds sshd, the client programs and an init script of our own.
func fillOpenssh(b *builder, _ *mirror) {
	b.take("openssh-server", "usr/sbin/sshd", "usr/local/sbin/sshd", 0o755)
	for _, n := range []string{"scp", "sftp", "ssh", "ssh-add", "ssh-agent", "ssh-keygen", "ssh-keyscan"} {
		b.take("openssh-client", "usr/bin/"+n, "usr/local/bin/"+n, 0o755)
	}
	b.take("openssh-sftp-server", "usr/lib/openssh/sftp-server", "usr/local/lib/openssh/sftp-server", 0o755)
	for name, file := range map[string]string{
		"openssh": "usr/local/etc/init.d/openssh", "sshd_config.example": "usr/local/etc/ssh/sshd_config.example", "ssh_config.example": "usr/local/etc/ssh/ssh_config.example",
	} {
		text, err := embedded.ReadFile(path.Join("files/openssh", name))
		if err != nil {
			b.fail(err)
			return
		}
		perm := uint32(0o644)
		if name == "openssh" {
			perm = 0o755
		}
		b.text(file, perm, string(text))
	}
}
