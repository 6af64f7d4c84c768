package qemu

import "regexp"

// Rule is a known way in which an image does not boot: what the console says then, what that
// means, and what to do about it.
type Rule struct {
	// Name is short and stable: "boot-no-modules".
	Name string
	// Why says what has happened.
	Why string
	// Next says what to do.
	Next string
	// says matches the line of the console that gives it away; nil is a rule that no line shows.
	says *regexp.Regexp
}

// Names of the rules that are judged by what the console does not say.
const (
	// RuleNoMarker is a machine that ran, but never said what was expected.
	RuleNoMarker = "boot-no-marker"
	// RuleSilent is a machine whose serial console stayed empty.
	RuleSilent = "boot-silent"
	// RuleEnded is a machine that ended by itself: a reset or a power-off.
	RuleEnded = "boot-ended"
	// RuleNoModules is a kernel without its modules; it is no fault with the argument nozswap.
	RuleNoModules = "boot-no-modules"
	// RuleNoCheckIn is a machine that booted and never reported to its server.
	RuleNoCheckIn = "boot-no-check-in"
	// RuleOpen is a prod image in which something listens, or reads a console.
	RuleOpen = "boot-open"
)

// Rules lists everything that a boot test can name, what is more exact first.
func Rules() []Rule {
	var all []Rule
	for _, part := range [][]Rule{firmwareRules(), loaderRules(), initrdRules(), panicRules(), userlandRules(), silentRules()} {
		all = append(all, part...)
	}
	return all
}

// firmwareRules are SeaBIOS's and iPXE's complaints.
func firmwareRules() []Rule {
	return []Rule{
		{
			"boot-no-bootable-device", "the BIOS found nothing on the image that it can boot",
			"the image has no El Torito boot entry, or its boot loader is gone: build it again from a bootable ISO",
			regexp.MustCompile(`No bootable device|Boot failed: Could not read from CDROM`),
		},
		{
			"boot-network-failed", "the network boot loader could not load the kernel or the initrd",
			"look at the names in boot.ipxe and at the files next to it",
			regexp.MustCompile(`No more network devices|^Could not boot|The microkernel did not boot`),
		},
	}
}

// loaderRules are ISOLINUX's complaints (core/fs/loadconfig.inc, com32/elflink/ldlinux).
func loaderRules() []Rule {
	return []Rule{
		{
			"boot-loader-corrupt", "isolinux found itself damaged",
			"isolinux.bin or its boot-info-table is damaged: build the image again",
			regexp.MustCompile(`Image checksum error|isolinux\.bin missing or corrupt|Failed to load ldlinux\.c32`),
		},
		{
			"boot-no-initrd", "the boot menu names an initrd that is not in the image",
			"give the label an initrd that is there: look at isolinux.cfg",
			regexp.MustCompile(`Could not find ramdisk image|(?i)Loading \S*(initrd|core\S*\.gz)\S*\.\.\. ?failed`),
		},
		{
			"boot-no-kernel", "the boot loader found no kernel",
			"look at the labels of isolinux.cfg, and at the kernel that they name",
			regexp.MustCompile(`Could not find kernel image|No DEFAULT or UI configuration directive|No configuration file found|Loading \S+\.\.\. ?failed|Invalid or corrupt kernel image`),
		},
		{
			"boot-out-of-memory", "the machine has too little memory for kernel and initrd",
			"give it more with --memory, or make the initrd smaller",
			regexp.MustCompile(`Not enough memory to load|Out of memory: |System is deadlocked on memory|Initramfs unpacking failed: write error`),
		},
		{
			"boot-wrong-cpu", "the kernel is for another processor than the machine has",
			"boot it with --qemu qemu-system-x86_64, or use extensions and kernel of the same architecture (arch in mkbuild.yaml)",
			regexp.MustCompile(`This kernel requires an? \S+ CPU|features not present on the CPU|use a kernel appropriate for your CPU`),
		},
	}
}

// initrdRules are the kernel's complaints about the initrd (init/initramfs.c, lib/decompress*.c).
func initrdRules() []Rule {
	return []Rule{{
		"boot-initrd-corrupt", "the kernel could not unpack the initrd",
		"the initrd is damaged, or compressed in a way that this kernel cannot read (gzip alone for releases up to 4.x): build it again",
		regexp.MustCompile(`Initramfs unpacking failed|rootfs image is not initramfs|compression method \S+ not configured|XZ-compressed data is corrupt`),
	}}
}

// panicRules are the ways in which the kernel finds no first program (init/main.c).
func panicRules() []Rule {
	const look = "; look at the initrd: `mkbuild inspect IMAGE --files`"
	return []Rule{
		{
			"boot-no-initrd", "the kernel has no initrd, or one without /init",
			"the boot menu's label names no initrd, or the initrd has no root file system" + look,
			regexp.MustCompile(`VFS: (Unable to mount|Cannot open) root|No filesystem could mount root`),
		},
		{
			"boot-no-init", "the kernel found no first program that it can run",
			"/init or /sbin/init is missing, not executable, or for another processor" + look,
			regexp.MustCompile(`Kernel panic.*(No working init|No init found|Requested init)`),
		},
		{
			"boot-init-died", "the first program ended, and the kernel panicked",
			"/init or /sbin/init fails: the lines in front of the panic say why",
			regexp.MustCompile(`Kernel panic.*Attempted to kill init`),
		},
		{
			// The kernel counts the ticks of a moment; without acceleration a starved QEMU delivers
			// none (check_timer in arch/x86/kernel/apic/io_apic.c).
			"boot-host-busy", "the kernel saw no timer ticks: QEMU did not get enough of this machine's processor",
			"that is no fault of the image: run the test again when less else runs here",
			regexp.MustCompile(`IO-APIC \+ timer doesn't work`),
		},
		{
			"boot-kernel-panic", "the kernel panicked",
			"the lines in front of the panic say why",
			regexp.MustCompile(`Kernel panic|Oops: |BUG: unable to handle`),
		},
	}
}

// userlandRules are what Tiny Core's own scripts run into.
func userlandRules() []Rule {
	return []Rule{{
		RuleNoModules, "the initrd has no modules for its kernel: Tiny Core waits forever for /dev/zram0",
		"build kernel and initrd from the same release, or boot with the kernel argument nozswap (--append nozswap)",
		regexp.MustCompile(`modprobe: (chdir\(|can't change directory to|FATAL: Module zram)`),
	}}
}

// silentRules are judged by what no single line gives away.
func silentRules() []Rule {
	return []Rule{
		{RuleNoMarker, "the machine did not say what was expected", "the console's log says how far it came; a slow machine needs a longer --timeout", nil},
		{RuleSilent, "the machine said nothing", "the image needs console=ttyS0 among its kernel arguments (mkbuild iso --append console=ttyS0)", nil},
		{RuleEnded, "the machine ended by itself", "it was reset or switched off: too little memory (--memory), or something in the image reboots it", nil},
		{RuleNoCheckIn, "the node did not check in", "mk-client in the image does not run or does not find its server: the console's log says more with --append razor.debug=on", nil},
		{RuleOpen, "in a prod image something listens, or reads a console", "leave it out, name its file under `services: {allow: […]}` in mkbuild.yaml, or build with --profile dev", nil},
	}
}
