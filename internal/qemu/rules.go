package qemu

import "regexp"

// Rule is a known fault of a boot: the console's line, its meaning, and the remedy.
type Rule struct {
	// Name is short and stable: "boot-no-modules".
	Name string
	// Why is the fault in words.
	Why string
	// Next is the remedy.
	Next string
	// says matches the console line of the fault, or is nil.
	says *regexp.Regexp
}

// Names of the rules without a console line.
const (
	// RuleNoMarker is a machine that ran, but did not print an expected line.
	RuleNoMarker = "boot-no-marker"
	// RuleSilent is a machine whose serial console stayed empty.
	RuleSilent = "boot-silent"
	// RuleEnded is a machine that ended by itself: a reset or a power-off.
	RuleEnded = "boot-ended"
	// RuleNoModules is a kernel without its modules; with the argument nozswap it is harmless.
	RuleNoModules = "boot-no-modules"
	// RuleNoCheckIn is a machine that booted and never reported to its server.
	RuleNoCheckIn = "boot-no-check-in"
	// RuleOpen is a prod image with a process that listens, or reads a console.
	RuleOpen = "boot-open"
)

// Rules lists all known faults, the more exact first.
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
			"boot-no-bootable-device", "the BIOS found no boot loader on the image",
			"the image has no El Torito boot entry, or its boot loader is gone: build it again from a bootable ISO",
			regexp.MustCompile(`No bootable device|Boot failed: Could not read from CDROM`),
		},
		{
			"boot-network-failed", "the network boot loader could not load the kernel or the initrd",
			"check the names in boot.ipxe and the files next to it",
			regexp.MustCompile(`No more network devices|^Could not boot|The microkernel did not boot`),
		},
	}
}

// loaderRules are ISOLINUX's complaints (core/fs/loadconfig.inc, com32/elflink/ldlinux).
func loaderRules() []Rule {
	return []Rule{
		{
			"boot-loader-corrupt", "isolinux is damaged",
			"isolinux.bin or its boot-info-table is damaged: build the image again",
			regexp.MustCompile(`Image checksum error|isolinux\.bin missing or corrupt|Failed to load ldlinux\.c32`),
		},
		{
			"boot-no-initrd", "the boot menu names an initrd that is not in the image",
			"correct the initrd's name in isolinux.cfg",
			regexp.MustCompile(`Could not find ramdisk image|(?i)Loading \S*(initrd|core\S*\.gz)\S*\.\.\. ?failed`),
		},
		{
			"boot-no-kernel", "the boot loader found no kernel",
			"check the labels of isolinux.cfg, and the kernel that they name",
			regexp.MustCompile(`Could not find kernel image|No DEFAULT or UI configuration directive|No configuration file found|Loading \S+\.\.\. ?failed|Invalid or corrupt kernel image`),
		},
		{
			"boot-out-of-memory", "the machine has too little memory for kernel and initrd",
			"give it more with --memory, or make the initrd smaller",
			regexp.MustCompile(`Not enough memory to load|Out of memory: |System is deadlocked on memory|Initramfs unpacking failed: write error`),
		},
		{
			"boot-wrong-cpu", "the kernel does not run on this processor",
			"boot it with --qemu qemu-system-x86_64, or build it for this processor (arch in mkbuild.yaml)",
			regexp.MustCompile(`This kernel requires an? \S+ CPU|features not present on the CPU|use a kernel appropriate for your CPU`),
		},
	}
}

// initrdRules are the kernel's complaints about the initrd (init/initramfs.c, lib/decompress*.c).
func initrdRules() []Rule {
	return []Rule{{
		"boot-initrd-corrupt", "the kernel could not unpack the initrd",
		"the initrd is damaged, or compressed in a way that this kernel cannot read (releases up to 4.x read only gzip): build it again",
		regexp.MustCompile(`Initramfs unpacking failed|rootfs image is not initramfs|compression method \S+ not configured|XZ-compressed data is corrupt`),
	}}
}

// panicRules are the kernel's panics without a working init (init/main.c).
func panicRules() []Rule {
	const look = "; list the initrd's files: `mkbuild inspect IMAGE --files`"
	return []Rule{
		{
			"boot-no-initrd", "the kernel has no initrd, or one without /init",
			"the boot menu's label names no initrd, or the initrd has no root file system" + look,
			regexp.MustCompile(`VFS: (Unable to mount|Cannot open) root|No filesystem could mount root`),
		},
		{
			"boot-no-init", "the kernel found no init that it can run",
			"/init or /sbin/init is missing, not executable, or for another processor" + look,
			regexp.MustCompile(`Kernel panic.*(No working init|No init found|Requested init)`),
		},
		{
			"boot-init-died", "init ended, and the kernel panicked",
			"/init or /sbin/init fails: the lines before the panic say why",
			regexp.MustCompile(`Kernel panic.*Attempted to kill init`),
		},
		{
			// The kernel counts the ticks of a moment; without acceleration a starved QEMU delivers
			// none (check_timer in arch/x86/kernel/apic/io_apic.c).
			"boot-host-busy", "the kernel saw no timer ticks: QEMU did not get enough of this machine's processor",
			"the image is not at fault: run the test again when this machine is less busy",
			regexp.MustCompile(`IO-APIC \+ timer doesn't work`),
		},
		{
			"boot-kernel-panic", "the kernel panicked",
			"the lines before the panic say why",
			regexp.MustCompile(`Kernel panic|Oops: |BUG: unable to handle`),
		},
	}
}

// userlandRules are the faults of Tiny Core's scripts.
func userlandRules() []Rule {
	return []Rule{{
		RuleNoModules, "the initrd has no modules for its kernel: Tiny Core waits forever for /dev/zram0",
		"build kernel and initrd from the same release, or boot with the kernel argument nozswap (--append nozswap)",
		regexp.MustCompile(`modprobe: (chdir\(|can't change directory to|FATAL: Module zram)`),
	}}
}

// silentRules are the rules without a console line.
func silentRules() []Rule {
	return []Rule{
		{RuleNoMarker, "an expected line did not appear on the console", "the console log shows how far the boot came; a slow machine needs a longer --timeout", nil},
		{RuleSilent, "the serial console stayed empty", "the image needs console=ttyS0 among its kernel arguments (mkbuild iso --append console=ttyS0)", nil},
		{RuleEnded, "the machine ended by itself", "it was reset or switched off: too little memory (--memory), or something in the image reboots it", nil},
		{RuleNoCheckIn, "the node did not check in", "mk-client does not run or does not find its server: the console log says more with --append razor.debug=on", nil},
		{RuleOpen, "a process of a prod image listens, or reads a console", "leave the program out, name its file under `services: {allow: […]}` in mkbuild.yaml, or build with --profile dev", nil},
	}
}
