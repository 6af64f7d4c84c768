package main

// buildTime is the time of every file that mkmirror makes: the same packages give the same bytes. The date has no
// meaning.
const buildTime = 1336521600 // 2012-05-09

// packages are the Debian packages of a mirror, besides the kernel. Libraries are taken from them as programs need
// them.
func packages(from platform) []string {
	list := []string{
		// core
		"busybox-static", "libc6", "libc-bin", "libcrypt1", "libgcc-s1", "zlib1g",
		"libsmartcols1", "libfdisk1", "libblkid1", "libuuid1", "libreadline8", "libtinfo6",
		// boot loader of the ISO
		"isolinux", "syslinux-common",
		// extensions
		"bash", "ncurses-base", "ncurses-bin", "libncurses6", "libncursesw6",
		"ruby3.1", "libruby3.1", "libgmp10", "libyaml-0-2", "libffi8", "libedit2", "libbsd0", "libmd0",
		"libssl3", "openssl", "libstdc++6",
		"dmidecode", "lshw", "pci.ids", "usb.ids",
		"util-linux", "fdisk", "mount", "libmount1", "libselinux1", "libpcre2-8-0", "libudev1",
		"firmware-linux-free",
		"openssh-server", "openssh-client", "openssh-sftp-server",
		"libwrap0", "libnsl2", "libtirpc3", "libpam0g", "libaudit1", "libcap-ng0", "libcap2",
		"libgssapi-krb5-2", "libkrb5-3", "libk5crypto3", "libcom-err2", "libkrb5support0", "libkeyutils1",
		"libsystemd0", "liblzma5", "libzstd1", "liblz4-1", "libgcrypt20", "libgpg-error0",
		"libfido2-1", "libcbor0.8",
		// archives
		"ruby-rubygems", "mcollective", "mcollective-common", "mcollective-client", "ruby-systemu",
		"ruby-stomp", "ruby-daemons", "ruby-json", "ruby-hocon", "ruby-thor", "facter",
	}
	if from == amd64() {
		list = append(list, "grub-efi-amd64-bin")
	}
	return list
}

// coreModules are the kernel modules of core.gz, with their dependencies: the drivers for network, disks and CD in
// a virtual machine and common hardware.
func coreModules() []string {
	return []string{
		"virtio_pci", "virtio_mmio", "virtio_balloon", "virtio_input", "virtio_net", "virtio_blk", "virtio_scsi", "virtio_rng", "virtio_console",
		"kernel/drivers/net/ethernet/intel/e1000/", "kernel/drivers/net/ethernet/intel/e1000e/",
		"kernel/drivers/net/ethernet/realtek/", "pcnet32",
		"ne2k_pci", "tg3", "b44", "bnx2", "vmxnet3", "dummy",
		"kernel/drivers/ata/", "sd_mod", "sr_mod", "sg", "vmw_pvscsi", "mptspi",
		"loop", "zram", "lzo", "lzo_rle", "nbd",
		"isofs", "squashfs", "ext4", "vfat", "nls_cp437", "nls_iso8859_1", "nls_utf8", "nls_ascii",
		"crc32c_generic", "fuse", "overlay",
		"ehci_pci", "ohci_pci", "uhci_hcd", "xhci_pci", "usb_storage", "usbhid", "hid_generic",
		"atkbd", "psmouse", "i8042", "evdev", "button", "pcspkr", "ipmi_si", "ipmi_devintf",
	}
}
