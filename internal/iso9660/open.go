package iso9660

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// Open reads the structures of an image of size bytes. Files' contents are read through r when
// they are opened, so r must stay valid as long as the Image is used.
func Open(r io.ReaderAt, size int64) (*Image, error) {
	s := &source{r: r, size: size, metaLeft: size}
	vol, err := s.descriptors()
	if err != nil {
		return nil, err
	}
	img := &Image{}
	if err := setVolume(img, vol.primary); err != nil {
		return nil, err
	}
	if want := int64(img.sectors) * sectorSize; want > size {
		return nil, truncated(want, size)
	}
	if img.System, err = s.read(0, 0, systemSectors*sectorSize); err != nil {
		return nil, err
	}
	tree, err := s.readTree(vol)
	if err != nil {
		return nil, err
	}
	if img.Files, err = tree.tree(); err != nil {
		return nil, err
	}
	img.RockRidge, img.Joliet = tree.rockRidge, vol.joliet != nil
	if vol.hasCatalog {
		if err := readCatalog(img, s, tree, vol.catalog); err != nil {
			return nil, err
		}
	}
	img.noteSystemArea()
	return img, nil
}

// volume holds the relevant descriptors.
type volume struct {
	primary, joliet []byte
	hasCatalog      bool
	catalog         uint32
}

// Types of volume descriptors (ECMA-119 8.1.1).
const (
	vdBoot          = 0
	vdPrimary       = 1
	vdSupplementary = 2
	vdTerminator    = 255
	vdMagic         = "CD001"
	elTorito        = "EL TORITO SPECIFICATION"
)

func (s *source) descriptors() (volume, error) {
	var v volume
	for i := uint32(0); i < maxDescriptors; i++ {
		b, err := s.read(systemSectors+i, 0, sectorSize)
		if err != nil && v.primary != nil {
			return v, truncated(int64(le32(v.primary[80:]))*sectorSize, s.size)
		}
		if err != nil || string(b[1:6]) != vdMagic {
			return v, s.noDescriptor(i, err)
		}
		if b[0] == vdTerminator {
			break
		}
		v.add(b)
	}
	if v.primary == nil {
		return v, corruptf("no primary volume descriptor")
	}
	return v, nil
}

// noDescriptor returns the error of a missing descriptor. If the first is missing, the input is not an ISO image.
func (s *source) noDescriptor(i uint32, err error) error {
	if i > 0 {
		return corruptf("sector %d: no volume descriptor", systemSectors+i)
	}
	if err != nil && s.size > int64(systemSectors+1)*sectorSize {
		return err // a read error of the input
	}
	head := make([]byte, min(s.size, 512))
	n, _ := s.r.ReadAt(head, 0) // best effort, for the message only
	return fmt.Errorf("%w: it %s", ErrNotISO, looksLike(head[:n]))
}

// looksLike names the usual kinds of download that are not an image.
func looksLike(head []byte) string {
	text := strings.ToLower(string(bytes.TrimLeft(head, " \t\r\n\xef\xbb\xbf")))
	switch {
	case len(head) == 0:
		return "is empty"
	case strings.HasPrefix(text, "<!doctype html"), strings.HasPrefix(text, "<html"):
		return "is an HTML page"
	case strings.HasPrefix(text, "<?xml"):
		return "is an XML document"
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return "is a gzip file"
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		return "is an xz file"
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return "is a zip file"
	}
	return "has no volume descriptor at sector 16"
}

func (v *volume) add(b []byte) {
	switch b[0] {
	case vdBoot:
		if strings.HasPrefix(string(b[7:]), elTorito) {
			v.hasCatalog, v.catalog = true, le32(b[0x47:])
		}
	case vdPrimary:
		if v.primary == nil {
			v.primary = b
		}
	case vdSupplementary:
		// The three escape sequences are Joliet's levels 1 to 3.
		if e := string(b[88:91]); v.joliet == nil && (e == "%/@" || e == "%/C" || e == "%/E") {
			v.joliet = b
		}
	}
}

// setVolume copies the fields of the primary volume descriptor (ECMA-119 8.4).
func setVolume(img *Image, b []byte) error {
	if n := le16(b[128:]); n != sectorSize {
		return corruptf("blocks of %d bytes are not supported", n)
	}
	text := func(off, n int) string { return strings.TrimRight(string(b[off:off+n]), " \x00") }
	img.SystemID, img.VolumeID = text(8, 32), text(40, 32)
	img.sectors = le32(b[80:])
	img.VolumeSetID, img.Publisher = text(190, 128), text(318, 128)
	img.Preparer, img.ApplicationID = text(446, 128), text(574, 128)
	img.Copyright, img.Abstract, img.Bibliography = text(702, 37), text(739, 37), text(776, 37)
	img.Created, img.CreatedCentis = parseLongDate(b[813:830])
	img.Modified, img.ModifiedCentis = parseLongDate(b[830:847])
	return nil
}

// Place is the position of a file's content, in bytes from the image's beginning.
type Place struct{ Offset, Size int64 }

// Places returns the positions of the files' contents in an image of size bytes, by path. Empty files and files in
// several parts are omitted.
func Places(r io.ReaderAt, size int64) (map[string]Place, error) {
	s := &source{r: r, size: size, metaLeft: size}
	vol, err := s.descriptors()
	if err != nil {
		return nil, err
	}
	t, err := s.readTree(vol)
	if err != nil {
		return nil, err
	}
	out := map[string]Place{}
	for i := range t.files {
		f, at := &t.files[i], int64(t.lbas[i])*sectorSize
		if f.IsRegular() && f.Size > 0 && f.Size <= 1<<32-1 && at+f.Size <= size {
			out[f.Path] = Place{at, f.Size}
		}
	}
	return out, nil
}
