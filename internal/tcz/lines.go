package tcz

import "slices"

// The lines of the table.
const (
	firstMajor = 4
	lastMajor  = 17
)

// row is what differs from line to line. The evidence behind it:
//
//   - kernels: read out of the kernel or the module tree of an ISO of each line, but for those of
//     5.x and 8.x, which public build scripts name;
//   - scripts: the published history of Tiny Core's own scripts, whose tags 5.0, 5.2, 12.0 and 13.0 and
//     whose state of 2025 all have builtin, setup.lst and newmodules; busybox.suid came between 5.0
//     and 5.2; of 4.x, 4.0.2 has no builtin and 4.4 has it;
//   - extensions: the original microkernel (4.x x86), its successor of 2014 (5.x x86: ruby-2.0), and a
//     discovery image that was built on each line of 8.x to 15.x x86_64 and lists bash, dmidecode,
//     scsi-KERNEL and util-linux, while it has to compile lshw itself; public lists for 17.x x86_64 have
//     the firmware;
//   - openssl: extension lists of public projects for 11.x to 13.x (openssl-1.1.1), 10.x, 15.x and 17.x;
//   - menu: read in images of 4.x and 7.x and in remasters of later ones; a public one of 13.1 x86_64 keeps
//     its GRUB, EFI/BOOT/efiboot.img and EFI/BOOT/grub/grub.cfg. That others from about 11.x on have the
//     same is hearsay.
type row struct {
	major         int
	kernels       []string // without suffix
	openssl, ruby string
	// assumed of both architectures, and of each beyond that
	assumed, assumed86, assumed64 []Fact
}

func rows() []row {
	kernel := func(names ...string) []string { return names }
	facts := func(names ...Fact) []Fact { return names }
	return []row{
		{4, kernel("3.0.3", "3.0.21"), "openssl-1.0.0", "1.8", nil, nil, facts(FactISO, FactMenu, FactRuby, FactOpenSSL, FactExtensions, FactFirmware)},
		{5, kernel("3.8.13"), "openssl-1.0.0", "2.0", facts(FactMenu), nil, facts(FactRuby, FactOpenSSL, FactExtensions, FactFirmware)},
		{6, kernel("3.16.6"), "openssl", "2", facts(FactMenu, FactRuby, FactOpenSSL, FactExtensions, FactFirmware), nil, nil},
		{7, kernel("4.2.9"), "openssl", "2", facts(FactRuby, FactOpenSSL, FactExtensions, FactFirmware), nil, nil},
		{8, kernel("4.8.17"), "openssl", "2", facts(FactRuby, FactOpenSSL, FactFirmware), facts(FactISO, FactExtensions), nil},
		{9, kernel("4.14.10"), "openssl", "2", facts(FactRuby, FactOpenSSL, FactFirmware), facts(FactISO, FactExtensions), nil},
		{10, kernel("4.19.10"), "openssl", "2", facts(FactRuby, FactFirmware), facts(FactExtensions), nil},
		{11, kernel("5.4.3"), "openssl-1.1.1", "2", facts(FactRuby, FactFirmware), facts(FactISO, FactExtensions), facts(FactMenu)},
		{12, kernel("5.10.3"), "openssl-1.1.1", "2 or 3", facts(FactRuby, FactFirmware), facts(FactExtensions), facts(FactMenu)},
		{13, kernel("5.15.10"), "openssl-1.1.1", "3", facts(FactRuby, FactOpenSSL, FactFirmware), facts(FactISO, FactExtensions), nil},
		{14, kernel("6.1.2"), "openssl", "3", facts(FactRuby, FactOpenSSL, FactFirmware), facts(FactISO, FactExtensions), facts(FactMenu)},
		{15, kernel("6.6.8"), "openssl", "3", facts(FactRuby, FactFirmware), facts(FactISO, FactExtensions), facts(FactMenu)},
		{16, kernel("6.12.11"), "openssl", "3", facts(FactRuby, FactOpenSSL, FactFirmware, FactExtensions), nil, facts(FactMenu)},
		{17, kernel("6.18.2"), "openssl", "3", facts(FactRuby, FactExtensions), facts(FactISO, FactFirmware), facts(FactMenu)},
	}
}

// Lines returns the table: every line of 4.x to 17.x, x86 before x86_64.
func Lines() []Line {
	var out []Line
	for _, r := range rows() {
		out = append(out, r.x86Line(), r.amd64Line())
	}
	return out
}

func (r row) line() Line {
	return Line{
		Major: r.major, Ruby: r.ruby, OpenSSL: r.openssl, Known: true,
		// mkbuild writes gzip alone, so more need not be known of later lines.
		Compressors: []string{"gzip"}, GzipOnly: r.major == firstMajor,
		Menu:       Menu{Initrd: r.menu()},
		Scripts:    Scripts{Builtin: true, SetupList: true, NewModules: true, BusyboxSUID: r.major > firstMajor},
		Extensions: r.extensions(),
	}
}

func (r row) x86Line() Line {
	l := r.line()
	l.Arch, l.Edition, l.KernelFile, l.InitrdFile = "x86", "Core", "boot/vmlinuz", "boot/core.gz"
	l.Kernels = suffixed(r.kernels, "-tinycore")
	l.Assumed = sortedFacts(r.assumed, r.assumed86)
	return l
}

func (r row) amd64Line() Line {
	l := r.line()
	l.Arch, l.Edition, l.KernelFile, l.InitrdFile = "x86_64", "CorePure64", "boot/vmlinuz64", "boot/corepure64.gz"
	l.Kernels = suffixed(r.kernels, "-tinycore64")
	l.Menu.UEFI = r.major >= 11
	l.Assumed = sortedFacts(r.assumed, r.assumed64)
	return l
}

// menu: 4.x has initrd= among the arguments; 7.x and later a line of its own.
func (r row) menu() string {
	if r.major < 7 {
		return "append"
	}
	return "line"
}

// extensions is a microkernel's set. Up to 4.x util-linux stays out and two files are picked out of
// it; later ones keep the libraries of these two inside it, so it goes in whole. lshw is gone, and
// mk-client reads what it can of the kernel's own lists in its place. OpenSSL comes as a dependency.
func (r row) extensions() []string {
	switch r.major {
	case firstMajor:
		return []string{"ruby", "bash", "dmidecode", "lshw", "scsi-KERNEL", "libssl-0.9.8", "firmware-bnx2"}
	case 5:
		return []string{"ruby-2.0", "bash", "dmidecode", "scsi-KERNEL", "util-linux", "firmware-broadcom_bnx2", "firmware-broadcom_bnx2x"}
	}
	return []string{"ruby", "bash", "dmidecode", "scsi-KERNEL", "util-linux", "firmware-broadcom_bnx2", "firmware-broadcom_bnx2x"}
}

func suffixed(names []string, suffix string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = n + suffix
	}
	return out
}

func sortedFacts(lists ...[]Fact) []Fact {
	out := slices.Concat(lists...)
	slices.Sort(out)
	return append([]Fact{}, slices.Compact(out)...) // never nil: JSON shows an empty list
}
