package main

import (
	"fmt"
	"strings"
	"time"

	"mkbuild/e2e/vfat"
)

// The ISO's paths for UEFI machines, and the path of Debian's GRUB: the build for CDs, which contains its modules.
const (
	efiImage  = "EFI/BOOT/efiboot.img"
	efiLoader = "EFI/BOOT/BOOTX64.EFI"
	efiMenu   = "EFI/BOOT/grub.cfg"
	efiGRUB   = "usr/lib/grub/x86_64-efi/monolithic/gcdx64.efi"
)

// efiSpare is free space in the EFI image for a longer menu.
const efiSpare = 64 << 10

// stageEFI adds a GRUB for UEFI machines: in the ISO, and in the FAT image that the firmware uses as boot disk.
// GRUB searches for its menu next to itself; the firmware determines which of the two places that is, so the menu
// is in both.
func stageEFI(b *builder) {
	text, err := embedded.ReadFile("files/grub/grub.cfg")
	if err != nil {
		b.fail(fmt.Errorf("read embedded files: %w", err))
		return
	}
	menu := strings.ReplaceAll(string(text), "{uuid}", volumeUUID())
	b.text(efiMenu, 0o644, menu)
	b.take("grub-efi-amd64-bin", efiGRUB, efiLoader, 0o644)
	if b.err != nil {
		return
	}
	loader, err := b.tree.Get(efiLoader).Content(maxELF)
	if err != nil {
		b.fail(err)
		return
	}
	img, err := vfat.Image(map[string][]byte{"EFI/BOOT/BOOTX64.EFI": loader, "EFI/BOOT/GRUB.CFG": []byte(menu)}, efiSpare)
	if err != nil {
		b.fail(err)
		return
	}
	b.text(efiImage, 0o644, string(img))
}

// volumeUUID is GRUB's UUID of an ISO 9660 file system: its modification date.
func volumeUUID() string { return time.Unix(buildTime, 0).UTC().Format("2006-01-02-15-04-05") + "-00" }
