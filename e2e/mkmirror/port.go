package main

import "slices"

// port is one line of Tiny Core that the mirror stands in for, and the Debian architecture that it is
// made of.
type port struct {
	debian   string // "i386"
	triplet  string // of Debian's library folders and of Ruby's
	loader   string // soname of the dynamic linker
	kernel   string // metapackage that names the newest kernel
	arch     string // a mirror's folder
	edition  string // of the ISO: "Core"
	vmlinuz  string // names in boot/
	initrd   string
	config   string // the mkbuild.yaml for it
	isolinux string // folder of files/ with its boot menu
	// modern is the layout of today: a boot menu with INITRD lines, a GRUB for UEFI machines, an image
	// that starts from disks, too; busybox.suid; Ruby with RubyGems; util-linux with its libraries.
	modern bool
}

func ports() []port {
	return []port{
		{
			debian: "i386", triplet: "i386-linux-gnu", loader: "ld-linux.so.2", kernel: "linux-image-686",
			arch: "x86", edition: "Core", vmlinuz: "vmlinuz", initrd: "core.gz", config: "mkbuild.yaml", isolinux: "isolinux",
		},
		{
			debian: "amd64", triplet: "x86_64-linux-gnu", loader: "ld-linux-x86-64.so.2", kernel: "linux-image-amd64",
			arch: "x86_64", edition: "CorePure64", vmlinuz: "vmlinuz64", initrd: "corepure64.gz", config: "mkbuild-x86_64.yaml",
			isolinux: "isolinux64", modern: true,
		},
	}
}

// packages are the Debian packages of a port, besides the kernel.
func (p port) packages() []string {
	if p.modern {
		return append(packages(), "grub-efi-amd64-bin")
	}
	return packages()
}

// portNames lists the architectures for the command line.
func portNames() []string {
	var out []string
	for _, p := range ports() {
		out = append(out, p.arch)
	}
	slices.Sort(out)
	return out
}
