package iso9660

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// Limits of the reader. They are far above any boot medium and keep hostile images cheap.
const (
	maxDescriptors = 64       // volume descriptors before the terminator
	maxDirBytes    = 16 << 20 // one directory's extent
	maxFiles       = 1 << 18  // entries of a tree
	maxPathBytes   = 64 << 20 // all paths together
	maxPath        = 4095     // one path: PATH_MAX
	maxDepth       = 256      // directories inside each other
)

// source is the image being read. It bounds every access.
type source struct {
	r    io.ReaderAt
	size int64
	// metaLeft is how many bytes of directories and continuation areas may still be read. In an
	// honest image these do not overlap, so all together are smaller than the image.
	metaLeft int64
}

// read returns n bytes that start off bytes into a sector.
func (s *source) read(lba uint32, off, n int64) ([]byte, error) {
	start := int64(lba)*sectorSize + off
	if n < 0 || off < 0 || start > s.size || n > s.size-start {
		return nil, corruptf("%d bytes at sector %d lie beyond the end of the image", n, lba)
	}
	b := make([]byte, n)
	if got, err := s.r.ReadAt(b, start); int64(got) < n {
		return nil, fmt.Errorf("read %d bytes at offset %d: %w", n, start, err)
	}
	return b, nil
}

// meta is read for structures, of which there is a limited amount.
func (s *source) meta(lba uint32, off, n int64) ([]byte, error) {
	if s.metaLeft -= n; s.metaLeft < 0 {
		return nil, corruptf("directories overlap")
	}
	return s.read(lba, off, n)
}

// section returns an opener for a part of the image.
func (s *source) section(extents []extent) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		parts := make([]io.Reader, len(extents))
		for i, e := range extents {
			parts[i] = io.NewSectionReader(s.r, int64(e.lba)*sectorSize, e.size)
		}
		if len(parts) == 1 {
			return io.NopCloser(parts[0]), nil
		}
		return io.NopCloser(io.MultiReader(parts...)), nil
	}
}

// Open reads the structures of an image of size bytes. Files' contents are read through r when
// they are opened, so r must stay valid as long as the Image is used.
func Open(r io.ReaderAt, size int64) (*Image, error) {
	s := &source{r: r, size: size, metaLeft: size}
	vol, err := s.descriptors()
	if err != nil {
		return nil, err
	}
	img := &Image{}
	if err := img.setVolume(vol.primary); err != nil {
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
		if err := img.readCatalog(s, tree, vol.catalog); err != nil {
			return nil, err
		}
	}
	img.noteSystemArea()
	return img, nil
}

// volume holds the descriptors that matter.
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

// noDescriptor explains a missing descriptor: at the first place the input is no image at all.
func (s *source) noDescriptor(i uint32, err error) error {
	if i > 0 {
		return corruptf("sector %d: no volume descriptor", systemSectors+i)
	}
	if err != nil && s.size > int64(systemSectors+1)*sectorSize {
		return err // a read error of the input
	}
	head := make([]byte, min(s.size, 512))
	n, _ := s.r.ReadAt(head, 0) // best effort: only to say what it looks like
	return fmt.Errorf("%w: it %s", ErrNotISO, looksLike(head[:n]))
}

// looksLike names what a download that is no image most often is.
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

// setVolume takes the fields of the primary volume descriptor (ECMA-119 8.4).
func (img *Image) setVolume(b []byte) error {
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
