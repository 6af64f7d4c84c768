package cmdline

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// harmless lists the arguments that grant no access, each group with its reason. docs/boot-arguments.md has the
// same names for the reader. Any other argument is refused for a prod image: it may be harmless, but nobody has
// checked.
func harmless() []string {
	return strings.Fields(`
		quiet debug loglevel ignore_loglevel earlyprintk printk.time log_buf_len console vga video fbcon nomodeset consoleblank com1 com2 logo.nologo vt.global_cursor_default
		acpi noapic nolapic apic apm pci pcie_aspm irqpoll irqfixup noirqdebug edd nosmp maxcpus nr_cpus nosmt mem iommu intel_iommu amd_iommu swiotlb mce nomce mitigations
		tsc clocksource hpet nohpet lpj idle processor.max_cstate intel_idle.max_cstate intel_pstate noreplace-smp nohz highres cpufreq.off
		reboot panic panic_on_oops oops nmi_watchdog nowatchdog nosoftlockup softlockup_panic hung_task_panic no_timer_check random.trust_cpu
		net.ifnames biosdevname ipv6.disable ipv6.disable_ipv6 ip BOOTIF SYSUUID BOOT_IMAGE
		root rootwait rootdelay rootfstype ro rw ramdisk_size load_ramdisk prompt_ramdisk max_loop loop.max_loop
		libata.force libata.dma libata.noacpi usbcore.autosuspend usb-storage.delay_use scsi_mod.scan
		nozswap nofstab nortc noutc noswap noautologin noicons icons text base norestore showapps laptop cron syslog rsyslog blacklist noembed safebackup comparerestore
		waitusb lang kmap tz desktop host ntpserver`)
}

// values are arguments with exactly one harmless value. tc-config runs the value of nodhcp=.
func values() map[string]string {
	return map[string]string{"rdinit": "/init", "init": "/sbin/init", "nodhcp": ""}
}

// consoles is Tiny Core's search for multivt in /init, which opens a login on six consoles: a word anywhere in the
// line, even in the name or value of another argument (grep -w).
var consoles = regexp.MustCompile(`\bmultivt\b`)

// WaysIn lists the arguments that a prod image may not boot with: every argument that is not known to be harmless,
// not in razor.* and not in allow. An entry of allow is a whole argument, or a name for any value.
func WaysIn(line string, allow []string) []string {
	var out []string
	for _, a := range Split(line) {
		if a.Text == "--" || slices.Contains(allow, a.Text) || slices.Contains(allow, a.Name) {
			continue
		}
		if !a.isHarmless() || consoles.MatchString(a.Text) {
			out = append(out, fmt.Sprintf("kernel argument %.80s", a.Text))
		} else if word := a.hidden(allow); word != "" {
			out = append(out, fmt.Sprintf("kernel argument %.80s: Tiny Core's scripts know no quotes and read %s in it", a.Text, word))
		}
	}
	if strings.Count(line, `"`)%2 != 0 {
		out = append(out, fmt.Sprintf("kernel arguments with a quote that nothing closes: %.100s", line))
	}
	return out
}

func (a *Arg) isHarmless() bool {
	if want, ok := values()[a.Name]; ok {
		return a.Value == want && a.Valued == (want != "")
	}
	return slices.Contains(harmless(), a.Name) || strings.HasPrefix(a.Name, "razor.")
}

// hidden returns the arguments that Tiny Core's scripts would find in a quoted argument: they split /proc/cmdline
// at blanks only. Words without "=" that are not boot codes are plain text.
func (a *Arg) hidden(allow []string) string {
	for i, word := range strings.FieldsFunc(a.Text, func(r rune) bool { return r < 0x80 && isSpace(byte(r)) }) {
		word = strings.Trim(word, `"`)
		bad := strings.Contains(word, "=") || slices.Contains([]string{"superuser", "secure", "protect", "xsetup", "xonly", "pause", "cde"}, word)
		if i > 0 && bad && !slices.Contains(allow, word) {
			return word
		}
	}
	return ""
}
