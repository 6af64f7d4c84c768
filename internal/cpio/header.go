// Package cpio reads and writes cpio archives in the "new ASCII" (newc) format of System V release 4. The Linux
// kernel unpacks this format as an initramfs: magic 070701, or 070702 with a checksum of each file
// (Documentation/driver-api/early-userspace/buffer-format.rst, cpio(5)). Reader and writer stream; device numbers,
// owners and all twelve permission bits are kept.
//
// The package does not handle compression, file trees or other cpio formats: it refuses old binary, odc and tar
// archives. Start reading at [Reader] and [Writer].
package cpio

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrFormat is returned for input that is not a newc archive or that is damaged.
var ErrFormat = errors.New("invalid cpio newc archive")

// ErrChecksum is returned when the content of a file in a 070702 archive does not match its header.
var ErrChecksum = errors.New("cpio checksum mismatch")

const (
	headerSize = 110
	// maxName is the longest name with its NUL: PATH_MAX, beyond which the kernel skips an entry.
	maxName  = 4096
	maxField = 1<<32 - 1 // eight hexadecimal digits
	trailer  = "TRAILER!!!"

	magicNewc = "070701"
	magicCRC  = "070702"
)

// File type bits of [Header.Mode] that this package uses.
const (
	typeMask    = 0o170000
	typeDir     = 0o040000
	typeRegular = 0o100000
)

// Header describes one entry of an archive.
type Header struct {
	// Name is the path as stored, up to its first NUL.
	Name string
	// Mode is st_mode.
	Mode uint32
	// UID and GID are numeric owners.
	UID, GID uint32
	// Ino and DevMajor, DevMinor identify an inode: regular files of one archive with the same
	// three and NLink > 1 are hard links of each other.
	Ino, DevMajor, DevMinor uint32
	// NLink is the number of names that the inode has.
	NLink uint32
	// MTime is in seconds since 1970-01-01 UTC; the format holds 0 to 2^32-1.
	MTime int64
	// Size is the length of the content in bytes; the format holds less than 4 GiB. The content of
	// a symlink is its target. GNU cpio stores the content of hard links with the last name, and
	// size 0 with the others.
	Size int64
	// RMajor and RMinor number a device node.
	RMajor, RMinor uint32
	// CRC tells a 070702 entry. Checksum is then the sum of the content's bytes modulo 2^32.
	CRC      bool
	Checksum uint32
}

// hasSum reports whether the content of h has a checksum: only regular files do, except links without content.
func (h *Header) hasSum() bool {
	return h.CRC && h.Mode&typeMask == typeRegular && h.Size > 0
}

// pad4 returns the number of bytes from n to the next multiple of four.
func pad4(n int64) int64 { return -n & 3 }

// parseHeader decodes the fixed part of a header, and returns the length of the name that follows.
func parseHeader(b *[headerSize]byte) (*Header, uint32, error) {
	magic := string(b[:6])
	if magic != magicNewc && magic != magicCRC {
		return nil, 0, fmt.Errorf("%w: magic %q", ErrFormat, magic)
	}
	var raw [(headerSize - 6) / 2]byte
	if _, err := hex.Decode(raw[:], b[6:]); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	field := func(i int) uint32 {
		f := raw[4*i:]
		return uint32(f[0])<<24 | uint32(f[1])<<16 | uint32(f[2])<<8 | uint32(f[3])
	}
	h := &Header{
		Ino: field(0), Mode: field(1), UID: field(2), GID: field(3), NLink: field(4),
		MTime: int64(field(5)), Size: int64(field(6)), DevMajor: field(7), DevMinor: field(8),
		RMajor: field(9), RMinor: field(10), CRC: magic == magicCRC, Checksum: field(12),
	}
	return h, field(11), nil
}

// appendHeader encodes h, its name and the padding after it.
func appendHeader(b []byte, h *Header) []byte {
	magic := magicNewc
	if h.CRC {
		magic = magicCRC
	}
	b = append(b, magic...)
	for _, field := range [...]uint32{
		h.Ino, h.Mode, h.UID, h.GID, h.NLink, uint32(h.MTime), uint32(h.Size), h.DevMajor, h.DevMinor,
		h.RMajor, h.RMinor, uint32(len(h.Name) + 1), h.Checksum,
	} {
		b = fmt.Appendf(b, "%08X", field)
	}
	b = append(b, h.Name...)
	b = append(b, 0)
	return append(b, make([]byte, pad4(int64(headerSize+len(h.Name)+1)))...)
}

// check returns an error if h cannot be written. Names have the form of the kernel's gen_init_cpio: relative,
// without "./".
func (h *Header) check() error {
	switch {
	case h.Name == "" || h.Name == trailer || strings.Contains(h.Name, "\x00"):
		return errors.New("not a name for an entry")
	case len(h.Name) >= maxName:
		return fmt.Errorf("name of %d bytes, it must have less than %d", len(h.Name), maxName)
	case strings.HasPrefix(h.Name, "/") || strings.HasPrefix(h.Name, "./"):
		return errors.New("name is not relative and clean")
	case h.Size < 0 || h.Size > maxField:
		return fmt.Errorf("%d bytes, newc holds less than 4 GiB", h.Size)
	case h.MTime < 0 || h.MTime > maxField:
		return fmt.Errorf("time %d is out of newc's range, 1970 to 2106", h.MTime)
	}
	return nil
}
