package iso9660

import "mkbuild/internal/overlay"

// Sizes in the boot catalog and the tables inside boot files.
const (
	catalogEntry = 32
	maxCatalog   = 2 * sectorSize // 63 sections: xorriso stops at 31
	infoTableEnd = 64
	grubInfoAt   = 2548 // mkisofs' --grub2-boot-info
	maxBootFile  = 64 << 20
)

// El Torito header indicators.
const (
	catValidation = 0x01
	catBootable   = 0x88
	catSection    = 0x90
	catFinal      = 0x91
	catExtension  = 0x44
)

// readCatalog reads the boot catalog (El Torito 2.0) and finds the boot images.
func readCatalog(img *Image, s *source, t *tree, lba uint32) error {
	n := min(int64(maxCatalog), s.size-int64(lba)*sectorSize)
	b, err := s.read(lba, 0, n)
	if err != nil {
		return err
	}
	if err := checkValidation(b); err != nil {
		return err
	}
	img.CatalogID = trimNUL(b[4:28])
	if f := t.at(lba); f != nil {
		img.CatalogPath = f.Path
		b = b[:min(int64(len(b)), max(f.Size, sectorSize))]
	} else {
		b = b[:min(len(b), sectorSize)]
	}
	img.Boot = parseEntries(b)
	var hidden int64
	for i := range img.Boot {
		if err := img.Boot[i].locate(s, t, lba, img.sectors); err != nil {
			return err
		}
		if hidden += img.Boot[i].Size; hidden > s.size {
			return corruptf("hidden boot images overlap")
		}
	}
	return nil
}

func trimNUL(b []byte) string {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return string(b)
}

// checkValidation checks the first entry (El Torito figure 2): the sum of its words is zero.
func checkValidation(b []byte) error {
	if len(b) < 2*catalogEntry || b[0] != catValidation || b[30] != 0x55 || b[31] != 0xaa {
		return corruptf("no boot catalog where the boot record points to")
	}
	var sum uint16
	for i := 0; i < catalogEntry; i += 2 {
		sum += le16(b[i:])
	}
	if sum != 0 {
		return corruptf("boot catalog: wrong checksum")
	}
	return nil
}

// parseEntries decodes the default entry and the sections after it.
func parseEntries(b []byte) []BootEntry {
	entries := appendEntry(nil, b[catalogEntry:2*catalogEntry], b[1], "")
	for off := 2 * catalogEntry; off+catalogEntry <= len(b); {
		head := b[off : off+catalogEntry]
		if head[0] != catSection && head[0] != catFinal {
			break
		}
		platform, id := head[1], trimNUL(head[4:32])
		off += catalogEntry
		for n := le16(head[2:]); n > 0 && off+catalogEntry <= len(b); off += catalogEntry {
			e := b[off : off+catalogEntry]
			if e[0] == catExtension { // more selection criteria, which nothing reads
				continue
			}
			entries = appendEntry(entries, e, platform, id)
			n--
		}
		if head[0] == catFinal {
			break
		}
	}
	return entries
}

// appendEntry adds an entry unless it is an empty slot.
func appendEntry(list []BootEntry, e []byte, platform byte, id string) []BootEntry {
	b := BootEntry{
		Platform: platform, ID: id,
		Bootable: e[0] == catBootable, Media: e[1] & 15, LoadSegment: le16(e[2:]),
		SystemType: e[4], LoadSectors: le16(e[6:]), lba: le32(e[8:]),
	}
	if b.lba == 0 {
		return list
	}
	copy(b.criteria[:], e[12:])
	return append(list, b)
}

// locate finds the entry's image: a file of the tree, or data without a name.
func (e *BootEntry) locate(s *source, t *tree, catalog, end uint32) error {
	if int64(e.lba)*sectorSize >= s.size {
		return corruptf("boot image at sector %d lies beyond the end of the image", e.lba)
	}
	head, err := s.read(e.lba, 0, min(2*sectorSize, s.size-int64(e.lba)*sectorSize))
	if err != nil {
		return err
	}
	e.InfoTable = len(head) >= infoTableEnd && le32(head[8:]) == systemSectors && le32(head[12:]) == e.lba
	e.GrubInfo = len(head) >= grubInfoAt+8 && le64(head[grubInfoAt:]) == uint64(e.lba)*blocksPerSec+5
	if f := t.at(e.lba); f != nil {
		e.Path = f.Path
		if !e.InfoTable {
			e.InfoTable, err = hasTable(f, head)
		}
		return err
	}
	gap := t.after(e.lba, max(end, e.lba+1))
	if catalog > e.lba {
		gap = min(gap, catalog)
	}
	size := e.hiddenSize(head, int64(gap-e.lba)*sectorSize)
	e.Size = min(size, s.size-int64(e.lba)*sectorSize)
	e.Open = s.section([]extent{{e.lba, e.Size}})
	return nil
}

// hasTable reports whether a boot-info-table has the file's real length and checksum. Its first field may differ
// from sector 16, where a later session has its descriptor (xorriso -boot_image patch).
func hasTable(f *overlay.Entry, head []byte) (bool, error) {
	if len(head) < infoTableEnd || f.Size < infoTableEnd || f.Size > maxBootFile || int64(le32(head[16:])) != f.Size {
		return false, nil
	}
	b, err := f.Content(maxBootFile)
	return err == nil && le32(head[20:]) == sumWords(b[infoTableEnd:]), err
}

// hiddenSize returns the length of an image without a directory record. It uses the image's own header, then the
// emulated medium, then the size that the firmware loads. A loader of four sectors must load the rest of itself, so
// its length is the whole gap up to the next file.
func (e *BootEntry) hiddenSize(head []byte, gap int64) int64 {
	loads := int64(e.LoadSectors) * blockSize
	if e.InfoTable {
		return max(int64(le32(head[16:])), loads)
	}
	switch e.Media {
	case MediaFloppy12:
		return 1200 << 10
	case MediaFloppy144:
		return 1440 << 10
	case MediaFloppy288:
		return 2880 << 10
	}
	if n := fatSize(head); n > 0 {
		return max(n, loads)
	}
	if e.Media == MediaHardDisk || e.Platform == PlatformBIOS || loads <= blockSize {
		return max(gap, loads)
	}
	return loads
}

// fatSize returns the length of the FAT file system that starts with head, or 0.
func fatSize(head []byte) int64 {
	if len(head) < blockSize || head[510] != 0x55 || head[511] != 0xaa || le16(head[11:]) != blockSize {
		return 0
	}
	if n := le16(head[19:]); n != 0 {
		return int64(n) * blockSize
	}
	return int64(le32(head[32:])) * blockSize
}
