package squashfs

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"mkbuild/internal/fail"
)

// ErrNotSquashfs is returned for data that does not start with the squashfs magic.
var ErrNotSquashfs = fail.New(fail.Verification, "not a squashfs image", "")

// ErrCorrupt is returned for an image that is inconsistent, truncated or cannot be decompressed.
var ErrCorrupt = fail.New(fail.Verification, "corrupt squashfs image", "")

// ErrUnsupported is returned for a squashfs image of an unsupported version or compression.
var ErrUnsupported = fail.New(fail.Verification, "unsupported squashfs image", "")

// superblock is the fixed header of an image (struct squashfs_super_block).
type superblock struct {
	modTime    uint32
	blockSize  uint32
	fragments  uint32
	compressor uint16
	idCount    uint16
	root       uint64
	used       uint64
	idTable    uint64
	inodeTable uint64
	dirTable   uint64
	fragTable  uint64
}

const (
	superblockSize = 96
	minBlockLog    = 12
	maxBlockLog    = 20
	// noTable in a table position means that the image lacks this table.
	noTable = ^uint64(0)
)

func parseSuperblock(b []byte, size int64) (superblock, error) {
	var s superblock
	if err := checkMagic(b); err != nil {
		return s, err
	}
	if len(b) < superblockSize {
		return s, corrupt("truncated: %d bytes, the superblock alone takes %d", size, superblockSize)
	}
	le := binary.LittleEndian
	if major, minor := le.Uint16(b[28:]), le.Uint16(b[30:]); major != 4 || minor != 0 {
		return s, fmt.Errorf("%w: version %d.%d, only 4.0 is read", ErrUnsupported, major, minor)
	}
	s = superblock{
		modTime:    le.Uint32(b[8:]),
		blockSize:  le.Uint32(b[12:]),
		fragments:  le.Uint32(b[16:]),
		compressor: le.Uint16(b[20:]),
		idCount:    le.Uint16(b[26:]),
		root:       le.Uint64(b[32:]),
		used:       le.Uint64(b[40:]),
		idTable:    le.Uint64(b[48:]),
		inodeTable: le.Uint64(b[64:]),
		dirTable:   le.Uint64(b[72:]),
		fragTable:  le.Uint64(b[80:]),
	}
	if log := le.Uint16(b[22:]); log < minBlockLog || log > maxBlockLog || s.blockSize != 1<<log {
		return s, corrupt("block size %d with logarithm %d", s.blockSize, log)
	}
	if s.used < superblockSize {
		return s, corrupt("claims %d bytes in all", s.used)
	}
	if s.used > uint64(size) {
		return s, corrupt("truncated: %d bytes of %d", size, s.used)
	}
	return s, nil
}

// checkMagic distinguishes a squashfs image from other data. It names likely mistakes: a mirror's web page, a
// big-endian image.
func checkMagic(b []byte) error {
	switch {
	case bytes.HasPrefix(b, []byte("hsqs")):
		return nil
	case len(b) == 0:
		return fmt.Errorf("%w: the file is empty", ErrNotSquashfs)
	case bytes.HasPrefix(b, []byte("sqsh")):
		return fmt.Errorf("%w: big-endian", ErrUnsupported)
	case looksLikeHTML(b):
		return fmt.Errorf("%w: it is an HTML page", ErrNotSquashfs)
	}
	return fmt.Errorf("%w: it starts with %q", ErrNotSquashfs, b[:min(len(b), 8)])
}

func looksLikeHTML(b []byte) bool {
	b = bytes.ToLower(b)
	return bytes.Contains(b, []byte("<!doctype")) || bytes.Contains(b, []byte("<html"))
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}
