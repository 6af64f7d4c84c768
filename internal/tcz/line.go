package tcz

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Line is what the point releases of one major version have in common on one architecture.
// Nothing in it decides what is done with an ISO that is there: its own kernel, initrd and boot menu
// do. It says what to ask a mirror for, and which extensions a name stands for.
type Line struct {
	// Major is the number before the first dot: 4 for "4.5.2". Arch is a mirror's folder.
	Major int    `json:"major"`
	Arch  string `json:"arch"`
	// Edition is the ISO without a desktop: "Core" or "CorePure64".
	Edition string `json:"edition"`
	// KernelFile and InitrdFile are paths in that ISO.
	KernelFile string `json:"kernel_file"`
	InitrdFile string `json:"initrd_file"`
	// Kernels are the releases (uname -r) that its point releases have had, oldest first.
	Kernels []string `json:"kernels"`
	// Menu says how its isolinux.cfg names the initrd, and whether a UEFI loader is beside it.
	Menu Menu `json:"menu"`
	// Compressors are those known to work for an initrd. GzipOnly says that the others are known to
	// end in a panic.
	Compressors []string `json:"compressors"`
	GzipOnly    bool     `json:"gzip_only"`
	// Scripts is what the boot scripts of the base offer to a remastered image.
	Scripts Scripts `json:"scripts"`
	// Ruby is the version in the ruby extension, as "1.8" or "2 or 3".
	Ruby string `json:"ruby"`
	// OpenSSL is the extension with the libraries of OpenSSL.
	OpenSSL string `json:"openssl"`
	// Extensions are a microkernel's, with the names that they have here.
	Extensions []string `json:"extensions"`
	// Assumed names the facts above that nobody has seen proof of: they follow from the lines
	// around. See [Line.Doubts].
	Assumed []Fact `json:"assumed"`
	// Known is false when the table has no such line: then everything is taken from the nearest.
	Known bool `json:"known"`
}

// Fact names a part of a [Line] that may be assumed.
type Fact string

// The parts of a line.
const (
	FactISO        Fact = "iso"        // Edition, KernelFile, InitrdFile
	FactKernel     Fact = "kernel"     // Kernels
	FactMenu       Fact = "menu"       // Menu
	FactScripts    Fact = "scripts"    // Scripts
	FactRuby       Fact = "ruby"       // Ruby, and that its extension is called so
	FactFirmware   Fact = "firmware"   // those of Extensions that are firmware
	FactOpenSSL    Fact = "openssl"    // OpenSSL
	FactExtensions Fact = "extensions" // the rest of Extensions
)

// Menu describes a line's boot configuration. mkbuild edits all of these alike.
type Menu struct {
	// Initrd is "append" where the initrd is named as initrd= among the kernel's arguments, as in
	// 4.x, "line" where labels have a line INITRD of their own; some there keep the old way.
	Initrd string `json:"initrd"`
	// UEFI says that the ISO has a GRUB for UEFI machines, too.
	UEFI bool `json:"uefi"`
}

// Scripts says which hooks for remastered images the base's scripts have.
type Scripts struct {
	// Builtin: tce-setup loads /tmp/builtin.
	Builtin bool `json:"builtin"`
	// SetupList: it runs the startup scripts that /tmp/setup.lst names.
	SetupList bool `json:"setup_lst"`
	// NewModules: it runs depmod when /etc/sysconfig/newmodules exists.
	NewModules bool `json:"newmodules"`
	// BusyboxSUID: what needs root's rights is in /bin/busybox.suid, not in /bin/busybox.
	BusyboxSUID bool `json:"busybox_suid"`
}

// ISO returns the file name of a release's ISO: "Core-4.5.2.iso".
func (l *Line) ISO(release string) string { return l.Edition + "-" + release + ".iso" }

// Name returns "4.x x86".
func (l *Line) Name() string { return fmt.Sprintf("%d.x %s", l.Major, l.Arch) }

// Refuses reports whether an initrd of that compressor is known to end in a panic.
func (l *Line) Refuses(compressor string) bool {
	return l.Known && l.GzipOnly && !slices.Contains(l.Compressors, compressor)
}

// HasKernel reports whether the line is known for a kernel of that release.
func (l *Line) HasKernel(release string) bool { return slices.Contains(l.Kernels, release) }

// OwnRubyGems reports whether Ruby brings RubyGems along: all do since 1.9.
func (l *Line) OwnRubyGems() bool { return !strings.HasPrefix(l.Ruby, "1.8") }

// Assumes reports whether a fact of the line is assumed.
func (l *Line) Assumes(f Fact) bool { return slices.Contains(l.Assumed, f) }

// AssumesExtension reports whether the name of one of its extensions is.
func (l *Line) AssumesExtension(name string) bool {
	switch {
	case strings.HasPrefix(name, "firmware-"):
		return l.Assumes(FactFirmware)
	case strings.HasPrefix(name, "ruby"):
		return l.Assumes(FactRuby)
	}
	return l.Assumes(FactExtensions)
}

// Doubts says in one sentence what of the line is assumed, or "" where all of it has been seen.
func (l *Line) Doubts() string {
	switch {
	case !l.Known:
		near := nearest(l.Major, l.Arch)
		return fmt.Sprintf("mkbuild's table has no line %s: names of files and extensions are assumed to be those of %s", l.Name(), near.Name())
	case len(l.Assumed) == 0:
		return ""
	}
	names := make([]string, len(l.Assumed))
	for i, f := range l.Assumed {
		names[i] = string(f)
	}
	return fmt.Sprintf("of the line %s, mkbuild assumes without proof: %s", l.Name(), strings.Join(names, ", "))
}

// LineOf returns the line of a release. One that the table has not is made up from the nearest and
// says so; a release that is no number counts as the first line's.
func LineOf(release, arch string) Line {
	end := strings.IndexFunc(release, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(release)
	}
	major, err := strconv.Atoi(release[:end])
	if err != nil {
		major = firstMajor
	}
	l := nearest(major, arch)
	if l.Major != major || l.Arch != arch {
		l.Known, l.Major, l.Arch = false, major, arch
		l.Assumed = []Fact{FactISO, FactKernel, FactMenu, FactScripts, FactRuby, FactFirmware, FactOpenSSL, FactExtensions}
	}
	return l
}

// nearest is the line of the table that a major version is closest to.
func nearest(major int, arch string) Line {
	major = min(max(major, firstMajor), lastMajor)
	for _, l := range Lines() {
		if l.Major == major && l.Arch == arch {
			return l
		}
	}
	return nearest(major, "x86") // an architecture that the table has not
}
