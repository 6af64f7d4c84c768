package main

import (
	"path"
	"strings"

	"mkbuild/internal/overlay"
)

// content is the content of an extension, whatever its name in a series.
type content struct {
	title  string
	about  string // its source, for .info
	from   string // package that determines its version
	script bool   // whether files/tce has a startup script of the extension's name
	// fill adds the files; modules are patterns of kernel modules instead.
	fill    func(*builder, *mirror)
	modules []string
}

// contents lists them by the names that the tables of series use.
func contents() map[string]content {
	const noFirmware = "Debian has no free firmware for Broadcom's cards; these are files of firmware-linux-free."
	return map[string]content{
		"terminfo":         {title: "terminal descriptions", from: "ncurses-base", fill: fillTerminfo},
		"ncurses":          {title: "ncurses libraries", from: "libncurses6", fill: fillNcurses},
		"ncurses+terminfo": {title: "ncurses libraries and terminals", from: "libncursesw6", fill: both(fillTerminfo, fillNcurses)},
		"readline":         {title: "line editing library", from: "libreadline8", fill: libraries("libreadline.so.8")},
		"libedit":          {title: "line editing library", from: "libedit2", fill: libraries("libedit.so.2")},
		"gmp":              {title: "arithmetic library", from: "libgmp10", fill: libraries("libgmp.so.10")},
		"udev-lib":         {title: "device library", from: "libudev1", fill: libraries("libudev.so.1")},
		"gcc_libs":         {title: "runtime libraries of the compiler", from: "libstdc++6", fill: libraries("libstdc++.so.6", "libgcc_s.so.1")},
		"libssl": {
			title: "ssl libraries", from: "libssl3", fill: libraries("libssl.so.3", "libcrypto.so.3"),
			about: "Holds OpenSSL 3 (libssl.so.3, libcrypto.so.3), not 0.9.8.",
		},
		"openssl": {
			title: "openssl command", from: "openssl", fill: fillOpenssl,
			about: "Holds the openssl 3 program; the libraries are those of libssl-0.9.8.tcz.",
		},
		"openssl+libssl": {
			title: "ssl libraries and command", from: "openssl",
			fill: both(libraries("libssl.so.3", "libcrypto.so.3"), fillOpenssl),
		},
		// A selection of each, because depmod reads them all in every boot.
		"raid-dm-KERNEL": {title: "raid and device mapper modules", modules: []string{"dm_mod", "dm_mirror", "dm_snapshot", "dm_crypt", "raid0", "raid1", "raid10", "raid456"}},
		"scsi-KERNEL":    {title: "scsi modules", modules: []string{"kernel/drivers/message/fusion/", "megaraid_sas", "mpt3sas", "mpi3mr", "hpsa", "aacraid", "smartpqi"}},
		"bash":           {title: "GNU Bourne Again SHell", from: "bash", fill: fillBash, script: true},
		"ruby": {
			title: "Ruby interpreter", from: "ruby3.1", fill: fillRuby,
			about: "Ruby 3.1, whatever the name says, in the places of Tiny Core's; without Bundler.",
		},
		"dmidecode": {title: "hardware as the BIOS describes it", from: "dmidecode", fill: fillDmidecode},
		"lshw":      {title: "hardware lister", from: "lshw", fill: fillLshw},
		"util-linux": {
			title: "system utilities", from: "util-linux", fill: fillUtilLinux,
			about: "The libraries of lscpu and sfdisk are inside, unless core.gz has them.",
		},
		"firmware":             {title: "firmware", from: "firmware-linux-free", fill: firmware(""), about: noFirmware, script: true},
		"firmware keyspan_pda": {title: "firmware", from: "firmware-linux-free", fill: firmware("keyspan_pda"), about: noFirmware},
		"firmware cis":         {title: "firmware", from: "firmware-linux-free", fill: firmware("cis"), about: noFirmware},
		"openssh": {
			title: "ssh server and client", from: "openssh-server", fill: fillOpenssh,
			about: "Debian's sshd reads /etc/ssh; the init script points it at /usr/local/etc/ssh.",
		},
	}
}

// both fills an extension in two ways.
func both(one, other func(*builder, *mirror)) func(*builder, *mirror) {
	return func(b *builder, m *mirror) {
		one(b, m)
		other(b, m)
	}
}

// libraries fills an extension with libraries and their dependencies.
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

func fillDmidecode(b *builder, _ *mirror) {
	b.take("dmidecode", "usr/sbin/dmidecode", "usr/local/sbin/dmidecode", 0o755)
}

// fillLshw adds lshw with the entries of common vendors in pci.ids.
func fillLshw(b *builder, _ *mirror) {
	b.take("lshw", "usr/bin/lshw", "usr/local/sbin/lshw", 0o755)
	b.edit("pci.ids", "usr/share/misc/pci.ids", "usr/local/share/pci.ids", 0o644, func(ids string) (string, error) {
		return reducePCIIDs(ids, "1000", "1022", "1033", "10de", "10ec", "1234", "14e4", "15ad", "1af4", "1b36", "8086"), nil
	})
}

// reducePCIIDs keeps the vendors with the given numbers and the device classes. In pci.ids a vendor starts at the
// beginning of a line and its devices are indented; classes start with "C ".
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

// firmware fills an extension with one folder of firmware, or with all.
func firmware(dir string) func(*builder, *mirror) {
	return func(b *builder, _ *mirror) {
		b.takeTree("firmware-linux-free", path.Join("lib/firmware", dir), path.Join("usr/local/lib/firmware", dir), nil)
	}
}

// fillOpenssh adds sshd, the client programs and a new init script.
func fillOpenssh(b *builder, _ *mirror) {
	b.take("openssh-server", "usr/sbin/sshd", "usr/local/sbin/sshd", 0o755)
	for _, n := range []string{"scp", "sftp", "ssh", "ssh-add", "ssh-agent", "ssh-keygen", "ssh-keyscan"} {
		b.take("openssh-client", "usr/bin/"+n, "usr/local/bin/"+n, 0o755)
	}
	b.take("openssh-sftp-server", "usr/lib/openssh/sftp-server", "usr/local/lib/openssh/sftp-server", 0o755)
	b.embedded("files/openssh/openssh", "usr/local/etc/init.d/openssh", 0o755)
	for _, name := range []string{"sshd_config.example", "ssh_config.example"} {
		b.embedded("files/openssh/"+name, "usr/local/etc/ssh/"+name, 0o644)
	}
}
