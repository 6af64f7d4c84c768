package iso9660

import (
	"encoding/binary"
	"fmt"

	"mkbuild/internal/overlay"
)

// addBoot sets the data of the boot catalog and the boot images, and the catalog's name.
func (l *layout) addBoot() error {
	if len(l.img.Boot) == 0 {
		return nil
	}
	size := int64(sectors(int64(2*catalogEntry*len(l.img.Boot)))) * sectorSize
	l.catalog = &blob{file: overlay.Entry{Path: "boot catalog", Size: size}}
	if err := l.nameCatalog(); err != nil {
		return err
	}
	for i := range l.img.Boot {
		e := &l.img.Boot[i]
		b, err := l.bootBlob(e)
		if err != nil {
			return fmt.Errorf("boot entry %d: %w", i+1, err)
		}
		b.infoTable = b.infoTable || e.InfoTable
		b.grubInfo = b.grubInfo || e.GrubInfo
		l.boot = append(l.boot, b)
	}
	return nil
}

// nameCatalog lets CatalogPath name the new catalog, whatever its old content.
func (l *layout) nameCatalog() error {
	p := l.img.CatalogPath
	if p == "" {
		return nil
	}
	n := l.nodes[p]
	if n == nil {
		f := overlay.Entry{Path: p, Mode: overlay.TypeRegular | 0o444, MTime: l.img.Modified}
		if err := check(&f); err != nil {
			return err
		}
		var err error
		if n, err = l.add(f); err != nil {
			return err
		}
	}
	if !n.file.IsRegular() {
		return invalidf("the boot catalog %s is not a regular file", p)
	}
	n.data, n.file.Size, n.nlink = l.catalog, l.catalog.file.Size, 1
	return nil
}

// bootBlob finds the data of a boot image.
func (l *layout) bootBlob(e *BootEntry) (*blob, error) {
	if len(e.ID) > 28 {
		return nil, invalidf("section id of %d bytes, the limit is 28", len(e.ID))
	}
	var b *blob
	switch n := l.nodes[e.Path]; {
	case n != nil && n.data != nil:
		b = n.data
	case e.Path != "":
		return nil, invalidf("%s is not in the image, or empty", e.Path)
	case e.Open == nil || e.Size <= 0 || e.Size > maxFileSize:
		return nil, invalidf("no path and no content")
	default:
		b = &blob{file: *l.img.BootImage(e)}
	}
	if (e.InfoTable || e.GrubInfo) && b.file.Size > maxBootFile {
		return nil, invalidf("%s: %d bytes are too many for a boot loader", b.file.Path, b.file.Size)
	}
	if e.InfoTable && b.file.Size < infoTableEnd || e.GrubInfo && b.file.Size < grubInfoAt+8 {
		return nil, invalidf("%s: %d bytes have no room for its tables", b.file.Path, b.file.Size)
	}
	return b, nil
}

// encodeCatalog returns the boot catalog: the validation entry, the default entry, and one section for each further
// entry (El Torito 2.0).
func (l *layout) encodeCatalog() []byte {
	b := make([]byte, l.catalog.file.Size)
	boot := l.img.Boot
	b[0], b[1], b[30], b[31] = catValidation, boot[0].Platform, 0x55, 0xaa
	copy(b[4:28], l.img.CatalogID)
	var sum uint16
	for i := 0; i < catalogEntry; i += 2 {
		sum += le16(b[i:])
	}
	binary.LittleEndian.PutUint16(b[28:], -sum)
	boot[0].encode(b[catalogEntry:], l.boot[0].lba)
	for i := 1; i < len(boot); i++ {
		s := b[2*catalogEntry*i:]
		s[0], s[1], s[2] = catSection, boot[i].Platform, 1
		if i == len(boot)-1 {
			s[0] = catFinal
		}
		copy(s[4:catalogEntry], boot[i].ID)
		boot[i].encode(s[catalogEntry:], l.boot[i].lba)
	}
	return b
}

func (e *BootEntry) encode(b []byte, lba uint32) {
	if e.Bootable {
		b[0] = catBootable
	}
	b[1] = e.Media
	binary.LittleEndian.PutUint16(b[2:], e.LoadSegment)
	b[4] = e.SystemType
	binary.LittleEndian.PutUint16(b[6:], e.LoadSectors)
	binary.LittleEndian.PutUint32(b[8:], lba)
	copy(b[12:catalogEntry], e.criteria[:])
}
