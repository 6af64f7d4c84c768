// Package iso9660 reads and writes ISO 9660 images of boot media: Rock Ridge and Joliet names, El Torito boot
// catalogs with all their entries, and the system area that makes an image bootable from a USB stick.
//
// [Open] turns an image into an [Image], a value whose files and fields can be changed. [Image.Write] writes it as
// a new image in one forward pass. The same value gives the same bytes, because no clock, owner or file system of
// the host is used. Contents are openers, so neither direction holds more than one small file in memory.
//
// The package follows ECMA-119 (ISO 9660), IEEE P1281/P1282 drafts 1.10 (SUSP, Rock Ridge), the Joliet
// specification of 1995 and El Torito 1.0. It refuses features that a boot medium cannot express in these: files of
// 4 GiB and more, interleaved files, zisofs compression.
//
// Start reading at [Image].
package iso9660

import (
	"errors"
	"fmt"
	"io"

	"mkbuild/internal/fail"
	"mkbuild/internal/overlay"
)

// Errors of this package. Every error of [Open] about the input wraps ErrNotISO, ErrCorrupt or ErrTruncated.
var (
	// ErrNotISO is returned for an input without an ISO 9660 volume descriptor.
	ErrNotISO = fail.New(fail.Verification, "not an ISO 9660 image", "")
	// ErrCorrupt is returned for an ISO 9660 image with inconsistent structures.
	ErrCorrupt = fail.New(fail.Verification, "corrupt ISO 9660 image", "")
	// ErrTruncated is returned for an image that is shorter than its volume.
	ErrTruncated = fail.New(fail.Verification, "truncated ISO 9660 image", "")
	// ErrTooLarge is returned if something exceeds the limits of the format.
	ErrTooLarge = errors.New("too large for ISO 9660")
	// ErrInvalid is returned for an edited Image that cannot be written.
	ErrInvalid = errors.New("cannot be an ISO 9660 image")
)

// truncated is the error of an image with got instead of want bytes.
func truncated(want, got int64) error {
	return fmt.Errorf("%w: it describes %d bytes and has %d", ErrTruncated, want, got)
}

func corruptf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Image is one ISO 9660 volume. The zero value is an empty volume that is not bootable.
type Image struct {
	// VolumeID is the label, up to 32 bytes; it is written unchanged, including lower case and spaces.
	VolumeID string
	// SystemID is up to 32 bytes: "LINUX" for mkisofs.
	SystemID string
	// VolumeSetID, Publisher, Preparer and ApplicationID are up to 128 bytes each.
	VolumeSetID, Publisher, Preparer, ApplicationID string
	// Copyright, Abstract and Bibliography name files in the root, up to 37 bytes each.
	Copyright, Abstract, Bibliography string
	// Created and Modified are in seconds since 1970-01-01 UTC. GRUB's "search --fs-uuid" uses Modified and
	// ModifiedCentis as the volume's UUID.
	Created, Modified             int64
	CreatedCentis, ModifiedCentis uint8

	// System is the system area, the first 32 KiB: zeros, or the boot code and partition tables of a hybrid image.
	// A shorter area is padded with zeros.
	System []byte

	// Files are the volume's files. A directory without an entry is written as 0755, owned by root. [Open] sets the
	// same HardLink for files that share an extent.
	Files overlay.Tree

	// RockRidge and Joliet report the source's name extensions. Written images always have both.
	RockRidge, Joliet bool

	// Boot holds the entries of the boot catalog in order; the first is the default entry.
	Boot []BootEntry
	// CatalogPath is the boot catalog's path in the tree, or "" if it has none.
	CatalogPath string
	// CatalogID is the text of the validation entry, up to 24 bytes: the catalog's maker.
	CatalogID string

	// Notes list, for the user, the parts of the source that Write omits, such as a partition with data outside the
	// tree.
	Notes []string

	sectors uint32 // the source's volume size in sectors; 0 for a new image
}

// Platforms of El Torito boot entries.
const (
	PlatformBIOS = 0x00
	PlatformPPC  = 0x01
	PlatformMac  = 0x02
	PlatformUEFI = 0xef
)

// Media types of El Torito boot entries. [MediaNone]: the file itself is the program.
const (
	MediaNone      = 0
	MediaFloppy12  = 1
	MediaFloppy144 = 2
	MediaFloppy288 = 3
	MediaHardDisk  = 4
)

// BootEntry is one boot image of the El Torito catalog.
type BootEntry struct {
	// Platform is the entry's firmware: [PlatformBIOS], [PlatformUEFI] …
	Platform byte
	// Bootable is false for an entry that firmware skips.
	Bootable bool
	// Media is the emulated drive, [MediaNone] for isolinux and UEFI.
	Media byte
	// LoadSegment is the real-mode segment to load to; 0 means 0x7c0.
	LoadSegment uint16
	// SystemType is the partition type of an emulated hard disk.
	SystemType byte
	// LoadSectors counts the 512-byte sectors that firmware loads: 4 for isolinux.
	LoadSectors uint16
	// ID is the text of the entry's section header, up to 28 bytes. The default entry has none.
	ID string

	// Path is the boot image in the tree. It is "" for a hidden image, which has Size and Open.
	Path string
	// Size is the length of a hidden image in bytes.
	Size int64
	// Open returns the content of a hidden image.
	Open func() (io.ReadCloser, error)

	// InfoTable requests a boot-info-table (bytes 8 to 63), with which isolinux finds itself. [Open] sets it if the
	// source had a correct table.
	InfoTable bool
	// GrubInfo requests the position at byte 2548 that GRUB's cdboot reads.
	GrubInfo bool

	criteria [20]byte // selection criteria of a section entry, kept unchanged
	lba      uint32   // position in the source; 0 for a new entry
}

// BootImage returns the image of e: the file at its path, or a file outside the tree. It is nil if the image has no
// such file.
func (img *Image) BootImage(e *BootEntry) *overlay.Entry {
	if e.Path != "" {
		return img.Files.Get(e.Path)
	}
	return &overlay.Entry{Path: "hidden boot image", Mode: overlay.TypeRegular, Size: e.Size, Open: e.Open}
}
