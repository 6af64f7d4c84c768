package iso9660

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

// encodeDir encodes a directory of the primary hierarchy with Rock Ridge fields, and the continuation areas right
// after it.
func encodeDir(d *node) (dir, more []byte) {
	var b dirBuilder
	c := &continuations{base: d.primary.lba + sectors(int64(d.primary.size))}
	b.add(c.record(baseRecord([]byte{0}, d.primary.lba, d.primary.size, d.file.MTime, true), selfFields(d)))
	p := d.parent
	b.add(c.record(baseRecord([]byte{1}, p.primary.lba, p.primary.size, p.file.MTime, true), posixFields(p)))
	for _, k := range d.kids {
		lba, size := k.extentOf()
		b.add(c.record(baseRecord(k.iso, lba, size, k.file.MTime, k.file.IsDir()), entryFields(k)))
	}
	return padded(b.bytes), padded(c.bytes)
}

// encodeJoliet encodes a directory of the Joliet hierarchy.
func encodeJoliet(d *node) []byte {
	var b dirBuilder
	p := d.parent
	b.add(baseRecord([]byte{0}, d.second.lba, d.second.size, d.file.MTime, true))
	b.add(baseRecord([]byte{1}, p.second.lba, p.second.size, p.file.MTime, true))
	for _, k := range d.jkids {
		lba, size := k.extentOf()
		if k.file.IsDir() {
			lba, size = k.second.lba, k.second.size
		}
		b.add(baseRecord(k.joliet, lba, size, k.file.MTime, k.file.IsDir()))
	}
	return padded(b.bytes)
}

// pathTable encodes a path table (ECMA-119 9.4) of one hierarchy in either byte order.
func pathTable(dirs []*node, joliet, big bool) []byte {
	var order binary.AppendByteOrder = binary.LittleEndian
	if big {
		order = binary.BigEndian
	}
	var b []byte
	for _, d := range dirs {
		id, place, parent := d.iso, d.primary, d.parent.primary.number
		if joliet {
			id, place, parent = d.joliet, d.second, d.parent.second.number
		}
		b = append(b, byte(len(id)), 0)
		b = order.AppendUint32(b, place.lba)
		b = order.AppendUint16(b, parent)
		b = append(b, id...)
		b = append(b, make([]byte, len(id)%2)...)
	}
	return b
}

// descriptor encodes the primary or the Joliet volume descriptor (ECMA-119 8.4, 8.5).
func descriptor(l *layout, joliet bool) []byte {
	b := make([]byte, sectorSize)
	copy(b, "\x01"+vdMagic+"\x01")
	table, tableSize, place := l.tableL, l.tableSize, l.root.primary
	if joliet {
		b[0] = vdSupplementary
		copy(b[88:], "%/E") // UCS-2 level 3
		table, tableSize, place = l.jtabL, l.jtabSize, l.root.second
	}
	both32(b[80:], l.total)
	both16(b[120:], 1)
	both16(b[124:], 1)
	both16(b[128:], sectorSize)
	both32(b[132:], tableSize)
	binary.LittleEndian.PutUint32(b[140:], table)
	binary.BigEndian.PutUint32(b[148:], table+sectors(int64(tableSize)))
	copy(b[156:], baseRecord([]byte{0}, place.lba, place.size, l.root.file.MTime, true))
	putTexts(b, l.img, joliet)
	copy(b[813:], longDate(l.img.Created, l.img.CreatedCentis))
	copy(b[830:], longDate(l.img.Modified, l.img.ModifiedCentis))
	copy(b[847:], noDate())
	copy(b[864:], noDate())
	b[881] = 1
	return b
}

// putTexts fills in the identifiers of a volume descriptor.
func putTexts(b []byte, img *Image, joliet bool) {
	put := putText
	if joliet {
		put = putJolietText
	}
	put(b[8:40], img.SystemID)
	put(b[40:72], img.VolumeID)
	put(b[190:318], img.VolumeSetID)
	put(b[318:446], img.Publisher)
	put(b[446:574], img.Preparer)
	put(b[574:702], img.ApplicationID)
	put(b[702:739], img.Copyright)
	put(b[739:776], img.Abstract)
	put(b[776:813], img.Bibliography)
}

// putText fills a field with text and spaces.
func putText(field []byte, s string) {
	n := copy(field, s)
	copy(field[n:], strings.Repeat(" ", len(field)-n))
}

// putJolietText fills a field with UCS-2 text, which is half as long, and spaces.
func putJolietText(field []byte, s string) {
	units := utf16.Encode([]rune(s))
	for i := 0; i+1 < len(field); i += 2 {
		u := uint16(' ')
		if i/2 < len(units) {
			u = units[i/2]
		}
		binary.BigEndian.PutUint16(field[i:], u)
	}
}
