package iso9660

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// Size returns the number of bytes that [Image.Write] writes, or the reason why it cannot.
func (img *Image) Size() (int64, error) {
	l, err := newLayout(img)
	if err != nil {
		return 0, fmt.Errorf("lay out image: %w", err)
	}
	return int64(l.total) * sectorSize, nil
}

// Write writes the image to w in one forward pass. Before the first byte it checks everything except the files'
// contents. It does not change img. The same image gives the same bytes. To cancel, let w return an error.
func (img *Image) Write(w io.Writer) error {
	l, err := newLayout(img)
	if err != nil {
		return fmt.Errorf("lay out image: %w", err)
	}
	out := &stream{w: bufio.NewWriterSize(w, 1<<20)}
	l.write(out)
	if out.err != nil {
		return fmt.Errorf("write image: %w", out.err)
	}
	return nil
}

// stream writes forward and keeps the first error.
type stream struct {
	w   *bufio.Writer
	pos int64
	err error
}

// Write implements [io.Writer].
func (s *stream) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	s.pos += int64(n)
	return n, err
}

// ReadFrom implements [io.ReaderFrom]: contents are read directly into the buffer.
func (s *stream) ReadFrom(r io.Reader) (int64, error) {
	n, err := s.w.ReadFrom(r)
	s.pos += n
	return n, err
}

// put writes b at a byte offset, after zeros.
func (s *stream) put(off int64, b []byte) {
	s.skip(off)
	if s.err == nil {
		_, s.err = s.Write(b)
	}
}

// sector is put at a sector offset.
func (s *stream) sector(lba uint32, b []byte) { s.put(int64(lba)*sectorSize, b) }

// skip writes zeros up to off. Overlapping parts would be a defect of the layout.
func (s *stream) skip(off int64) {
	if s.err == nil && off < s.pos {
		s.err = fmt.Errorf("layout overlaps: at byte %d, want %d", s.pos, off)
	}
	for s.err == nil && s.pos < off {
		_, s.err = s.Write(make([]byte, min(off-s.pos, sectorSize)))
	}
}

func (l *layout) write(out *stream) {
	head, backup := moveSystemArea(l)
	out.put(0, head)
	l.writeDescriptors(out)
	for _, joliet := range []bool{false, true} {
		dirs, at, size := l.dirs, l.tableL, l.tableSize
		if joliet {
			dirs, at, size = l.jdirs, l.jtabL, l.jtabSize
		}
		out.sector(at, pathTable(dirs, joliet, false))
		out.sector(at+sectors(int64(size)), pathTable(dirs, joliet, true))
	}
	for _, d := range l.dirs {
		dir, more := encodeDir(d)
		out.sector(d.primary.lba, dir)
		out.put(out.pos, more)
	}
	for _, d := range l.jdirs {
		out.sector(d.second.lba, encodeJoliet(d))
	}
	for _, b := range l.blobs {
		l.writeBlob(out, b)
	}
	end := int64(l.total) * sectorSize
	out.put(end-int64(len(backup)), backup)
	if out.err == nil {
		out.err = out.w.Flush()
	}
}

func (l *layout) writeDescriptors(out *stream) {
	lba := uint32(systemSectors)
	put := func(b []byte) {
		out.sector(lba, b)
		lba++
	}
	put(descriptor(l, false))
	if l.catalog != nil {
		// El Torito 2.0: the boot record is always at sector 17.
		b := make([]byte, sectorSize)
		copy(b, "\x00"+vdMagic+"\x01"+elTorito)
		binary.LittleEndian.PutUint32(b[0x47:], l.catalog.lba)
		put(b)
	}
	put(descriptor(l, true))
	end := make([]byte, sectorSize)
	copy(end, "\xff"+vdMagic+"\x01")
	put(end)
}

// writeBlob writes one file's data.
func (l *layout) writeBlob(out *stream, b *blob) {
	switch {
	case b == l.catalog:
		out.sector(b.lba, l.encodeCatalog())
		return
	case b.infoTable || b.grubInfo:
		data, err := b.file.Content(maxBootFile)
		if err != nil {
			out.fail(err)
			return
		}
		b.patchTables(data)
		out.sector(b.lba, data)
		return
	}
	out.sector(b.lba, nil)
	if out.err == nil {
		out.fail(b.file.CopyTo(out))
	}
}

func (s *stream) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}
