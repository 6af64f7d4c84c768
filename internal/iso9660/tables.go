package iso9660

import (
	"encoding/binary"

	"mkbuild/internal/overlay"
)

// HasTables reports whether [Image.Write] writes position tables into a file: a boot-info-table, or GRUB's own
// position.
func (img *Image) HasTables(name string) bool {
	info, grub := img.tables(name)
	return info || grub
}

func (img *Image) tables(name string) (info, grub bool) {
	for i := range img.Boot {
		if e := &img.Boot[i]; e.Path == name && name != "" {
			info, grub = info || e.InfoTable, grub || e.GrubInfo
		}
	}
	return info, grub
}

// WithoutTables reads a boot file of at most 64 MiB with those tables set to zero, so that the result does not
// depend on its position.
func (img *Image) WithoutTables(f *overlay.Entry) ([]byte, error) {
	b, err := f.Content(maxBootFile)
	if err != nil {
		return nil, err
	}
	info, grub := img.tables(f.Path)
	if info && len(b) >= infoTableEnd {
		clear(b[8:infoTableEnd])
	}
	if grub && len(b) >= grubInfoAt+8 {
		clear(b[grubInfoAt : grubInfoAt+8])
	}
	return b, nil
}

// CheckTables checks the boot-info-table of the BIOS entry of an image read with [Open]: isolinux finds its own
// rest through it. It returns the fault, or "" if the table is right or not needed.
func (img *Image) CheckTables(e *BootEntry) (wrong string, err error) {
	if e.Path == "" || !e.InfoTable {
		return "", nil
	}
	b, err := img.Files.Get(e.Path).Content(maxBootFile)
	if err != nil {
		return "", err
	}
	switch {
	case len(b) < infoTableEnd:
		return "the file is too short for one", nil
	case le32(b[12:]) != e.lba:
		return "it names another place than the boot catalog", nil
	case int64(le32(b[16:])) != int64(len(b)):
		return "it names another length than the file has", nil
	case le32(b[20:]) != sumWords(b[infoTableEnd:]):
		return "its checksum is not that of the file", nil
	}
	return "", nil
}

// patchTables writes the position tables into a boot file.
func (b *blob) patchTables(data []byte) {
	le := binary.LittleEndian
	if b.grubInfo {
		// mkisofs --grub2-boot-info: the 512-byte block after the first five.
		le.PutUint64(data[grubInfoAt:], uint64(b.lba)*blocksPerSec+5)
	}
	if !b.infoTable {
		return
	}
	// mkisofs(8), "EL TORITO BOOT INFORMATION TABLE".
	clear(data[8:infoTableEnd])
	le.PutUint32(data[8:], systemSectors)
	le.PutUint32(data[12:], b.lba)
	le.PutUint32(data[16:], uint32(len(data)))
	le.PutUint32(data[20:], sumWords(data[infoTableEnd:]))
}

// sumWords adds up 32-bit words; the last word is padded with zeros.
func sumWords(b []byte) uint32 {
	var sum uint32
	for ; len(b) >= 4; b = b[4:] {
		sum += le32(b)
	}
	var last [4]byte
	copy(last[:], b)
	return sum + le32(last[:])
}
