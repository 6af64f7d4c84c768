package main

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"mkbuild/internal/overlay"
)

//go:embed all:files
var embedded embed.FS

// Owners of Tiny Core Linux: the user tc and the group staff.
const (
	uidTC    = 1001
	gidStaff = 50
)

// releaseText is the image's release text.
func releaseText(release, kernel string) string {
	return release + "\n\nSTAND-IN for Tiny Core Linux " + release + ", made by mkmirror out of Debian packages (kernel " + kernel +
		").\nIt is not Tiny Core Linux: use it to develop and test, never to judge Tiny Core Linux.\n"
}

// osRelease is /etc/os-release. Without it Facter 4 has no name for the system and fails. Tiny Core 4.x has an
// older Facter and no such file.
func osRelease(release string) string {
	return "NAME=\"TinyCoreStandIn\"\nID=tinycore-stand-in\nVERSION=\"" + release + "\"\nVERSION_ID=" + release +
		"\nPRETTY_NAME=\"Stand-in for Tiny Core Linux " + release + ", made of Debian packages\"\n"
}

// buildCore makes the tree of the initrd.
func (m *mirror) buildCore() error {
	b := newBuilder(m.pool)
	coreDirs(b, m.series)
	coreFiles(b)
	coreDevices(b)
	b.text("usr/share/doc/tc/release.txt", 0o644, releaseText(m.series.release, m.kernels[0].release))
	b.text("etc/os-release", 0o644, osRelease(m.series.release))
	coreBusybox(b, m.series.suid)
	coreLibraries(b, m.series.libraries)
	coreKernel(b, m.kernels[0])
	t, err := b.done()
	if err != nil {
		return fmt.Errorf("make core.gz: %w", err)
	}
	if lost, asker, err := missing(t); err != nil {
		return fmt.Errorf("make core.gz: %w", err)
	} else if len(lost) > 0 {
		return fmt.Errorf("make core.gz: %s is missing (needed by %s)", lost[0], asker[lost[0]])
	}
	m.core = t
	return nil
}

// coreDirs adds directories that must exist or have certain modes.
func coreDirs(b *builder, s series) {
	for _, d := range []string{
		"bin", "dev", "dev/pts", "dev/shm", "etc", "etc/sysconfig", "home", "lib", "mnt", "proc", "root", "run", "sbin", "sys",
		"usr", "usr/bin", "usr/lib", "usr/local", "usr/local/bin", "usr/local/etc", "usr/local/etc/init.d", "usr/local/lib",
		"usr/local/sbin", "usr/local/share", "usr/sbin", "usr/share", "var", "var/cache", "var/lib", "var/lock", "var/log", "var/run", "var/spool",
	} {
		b.put(overlay.Dir(d, 0o755))
	}
	b.put(overlay.Dir("tmp", 0o1777))
	b.put(overlay.Dir("opt", 0o2775))
	b.put(overlay.Dir("usr/local/tce.installed", 0o775))
	b.put(overlay.Dir("etc/skel", 0o755))
	b.own(0, s.tmpGID, "tmp")
	b.own(0, s.installedGID, "usr/local/tce.installed")
}

// coreModes are the permissions of embedded files other than 0644 and a script's 0755.
func coreModes() map[string]uint32 {
	return map[string]uint32{
		"etc/shadow": 0o640, "etc/gshadow": 0o640, "opt/bootlocal.sh": 0o775, "opt/shutdown.sh": 0o755, "opt/tcemirror": 0o664,
		"opt/.filetool.lst": 0o664, "opt/.xfiletool.lst": 0o664, "etc/init.d/tc-functions": 0o755,
	}
}

// coreFiles adds the embedded boot scripts and configuration.
func coreFiles(b *builder) {
	modes := coreModes()
	err := fs.WalkDir(embedded, "files/core", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := embedded.ReadFile(name)
		if err != nil {
			return err
		}
		to := strings.TrimPrefix(name, "files/core/")
		perm, ok := modes[to]
		if !ok {
			perm = 0o644
			if strings.HasPrefix(string(content), "#!") {
				perm = 0o755
			}
		}
		b.text(to, perm, string(content))
		return nil
	})
	if err != nil {
		b.fail(fmt.Errorf("read embedded files: %w", err))
	}
	b.put(overlay.Symlink("etc/mtab", "/proc/mounts"))
	b.own(0, gidStaff, "opt", "opt/bootsync.sh", "opt/bootlocal.sh", "opt/shutdown.sh", "opt/tcemirror",
		"opt/.filetool.lst", "opt/.xfiletool.lst")
}

// node is a device node of the stock image.
type node struct {
	name         string
	block        bool
	major, minor uint32
	perm         uint32
	gid          uint32
}

// coreDevices adds static device nodes: the kernel opens /dev/console before any program runs.
func coreDevices(b *builder) {
	nodes := []node{
		{"console", false, 5, 1, 0o600, 0}, {"null", false, 1, 3, 0o666, 0}, {"zero", false, 1, 5, 0o666, 0},
		{"full", false, 1, 7, 0o666, 0}, {"random", false, 1, 8, 0o666, 0}, {"urandom", false, 1, 9, 0o666, 0},
		{"kmsg", false, 1, 11, 0o660, 0}, {"mem", false, 1, 1, 0o640, 0}, {"tty", false, 5, 0, 0o666, 0}, {"ptmx", false, 5, 2, 0o666, 0},
	}
	for i := range uint32(8) {
		nodes = append(nodes,
			node{fmt.Sprintf("tty%d", i), false, 4, i, 0o620, 5},
			node{fmt.Sprintf("ram%d", i), true, 1, i, 0o660, 0},
			node{fmt.Sprintf("loop%d", i), true, 7, i, 0o660, 0})
	}
	for i := range uint32(4) {
		nodes = append(nodes, node{fmt.Sprintf("ttyS%d", i), false, 4, 64 + i, 0o660, 5})
	}
	for _, n := range nodes {
		e := overlay.Entry{Path: "dev/" + n.name, Mode: overlay.TypeChar | n.perm, GID: n.gid, Major: n.major, Minor: n.minor}
		if n.block {
			e.Mode = overlay.TypeBlock | n.perm
		}
		b.put(e)
	}
}

// busyboxDir gives the directory of an applet's link if it is not /bin: scripts and people name some of them by
// path.
func busyboxDir(applet string) string {
	switch applet {
	case "init", "getty", "halt", "poweroff", "reboot", "ifconfig", "route", "modprobe", "insmod", "rmmod", "depmod", "lsmod",
		"mkswap", "swapon", "swapoff", "losetup", "hwclock", "udhcpc", "klogd", "syslogd", "blkid", "fdisk", "switch_root", "sulogin":
		return "sbin"
	case "chroot", "crond", "httpd", "telnetd", "rdate":
		return "usr/sbin"
	case "awk", "env", "find", "id", "tr", "sort", "head", "tail", "cut", "wc", "which", "xargs", "md5sum", "sha256sum", "passwd", "test", "[", "[[", "yes", "expr":
		return "usr/bin"
	}
	return "bin"
}

// coreBusybox adds busybox and a link for each applet of files/applets.txt that this busybox has: its table of
// names has each between two NUL bytes.
func coreBusybox(b *builder, suid string) {
	b.take("busybox-static", "bin/busybox", "bin/busybox", 0o755)
	b.take("busybox-static", "bin/busybox", "bin/"+suid, 0o4755)
	list, err := embedded.ReadFile("files/applets.txt")
	if err == nil {
		var program []byte
		if e := b.tree.Get("bin/busybox"); e != nil {
			program, err = e.Content(maxELF)
		}
		for _, applet := range applets(string(list), program) {
			name := path.Join(busyboxDir(applet), applet)
			if b.tree.Get(name) == nil { // our own script of that name stays
				b.put(overlay.Symlink(name, busyboxTarget(name, suid)))
			}
		}
	}
	if err != nil {
		b.fail(fmt.Errorf("list busybox applets: %w", err))
	}
	b.put(overlay.Symlink("bin/sh", "busybox"))
	b.put(overlay.Symlink("linuxrc", "bin/busybox"))
}

// applets returns the names of list that a busybox binary knows.
func applets(list string, program []byte) []string {
	var out []string
	for _, name := range strings.Fields(list) {
		if bytes.Contains(program, []byte("\x00"+name+"\x00")) {
			out = append(out, name)
		}
	}
	return out
}

// busyboxTarget returns the relative target of an applet's link. suid is the program for applets that need root's
// rights.
func busyboxTarget(name, suid string) string {
	program := "busybox"
	switch path.Base(name) {
	case "login", "mount", "passwd", "ping", "ping6", "su", "traceroute", "traceroute6", "umount":
		program = suid
	}
	switch path.Dir(name) {
	case "bin":
		return program
	case "sbin":
		return "../bin/" + program
	}
	return "../../bin/" + program
}

// coreLibraries adds the C library of Tiny Core's base, and more libraries.
func coreLibraries(b *builder, more []string) {
	b.take("libc-bin", "sbin/ldconfig", "sbin/ldconfig", 0o755)
	b.take("libc-bin", "usr/bin/getent", "usr/bin/getent", 0o755)
	b.take("libc-bin", "usr/bin/ldd", "usr/bin/ldd", 0o755)
	sonames := []string{
		b.pool.platform.loader, "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libresolv.so.2", "libutil.so.1",
		"libnss_files.so.2", "libnss_dns.so.2", "libcrypt.so.1", "libgcc_s.so.1", "libz.so.1",
	}
	if b.pool.platform == amd64() {
		b.put(overlay.Symlink("lib64", "lib")) // the loader's path in Debian's programs
	}
	for _, soname := range append(sonames, more...) {
		if b.err == nil {
			b.fail(b.pool.addLibrary(b.tree, "lib", soname))
		}
	}
}

// coreKernel adds the kernel's modules with their index, and the absolute link through which depmod on the running
// system sees the modules of extensions.
func coreKernel(b *builder, k *kernel) {
	dir := path.Join("lib/modules", k.release)
	for _, mod := range k.core {
		if err := mod.put(b, dir); err != nil {
			b.fail(err)
			return
		}
	}
	dep, alias := depmod(k.core)
	b.text(path.Join(dir, "modules.dep"), 0o644, string(dep))
	b.text(path.Join(dir, "modules.alias"), 0o644, string(alias))
	b.text(path.Join(dir, "modules.symbols"), 0o644, "# Aliases for symbols, used by symbol_request().\n")
	b.put(overlay.Symlink(path.Join(dir, "kernel.tclocal"), "/usr/local/lib/modules/"+k.release+"/kernel/"))
	b.put(overlay.Dir("usr/local/lib/modules", 0o755))
}
