package iso9660

import (
	"bytes"
	"fmt"
	"io"
)

// Replace writes a copy of an image with other contents of some files. The copy equals the image byte for byte,
// except that every directory record of such a file (Rock Ridge and Joliet have one each) has a new place and size,
// and that the new contents follow after the end. So it boots exactly like the image: boot loader, kernel and
// initrd stay in place.
//
// The volume descriptors keep their size; readers of an image follow the records.
func Replace(w io.Writer, r io.ReaderAt, size int64, contents map[string][]byte) error {
	s := &source{r: r, size: size, metaLeft: size}
	vol, err := s.descriptors()
	if err != nil {
		return err
	}
	t, err := s.readTree(vol)
	if err != nil {
		return err
	}
	p := &replacer{end: sectors(size)}
	for i := range t.files {
		f := &t.files[i]
		if text, ok := contents[f.Path]; ok && f.IsRegular() && f.Size > 0 {
			p.add(f.Path, extent{t.lbas[i], f.Size}, text)
		}
	}
	if len(p.moves) != len(contents) {
		return fmt.Errorf("replace files: %d of %d are in the image and not empty", len(p.moves), len(contents))
	}
	return p.copy(w, r, size)
}

// replacer holds the changes to apply during the copy.
type replacer struct {
	end   uint32 // the sector after the copy's end
	moves []move
	tail  []byte
}

// move is the old and new place of one file's content, both in the records' encoding.
type move struct {
	name     string
	from, to []byte
	done     bool // a record has been changed
}

// place encodes an extent as in directory records (ECMA-119 9.1.3 and 9.1.4).
func (e extent) place() []byte {
	var b [16]byte
	both32(b[:], e.lba)
	both32(b[8:], uint32(e.size)) //nolint:gosec // a record holds 32 bits
	return b[:]
}

func (p *replacer) add(name string, old extent, text []byte) {
	p.moves = append(p.moves, move{name: name, from: old.place(), to: extent{p.end, int64(len(text))}.place()})
	data := padded(text)
	p.end += sectors(int64(len(data)))
	p.tail = append(p.tail, data...)
}

// copy copies the image sector by sector: a directory record never crosses a sector boundary (ECMA-119 6.8.1.1).
func (p *replacer) copy(w io.Writer, r io.ReaderAt, size int64) error {
	in := io.NewSectionReader(r, 0, size)
	buf := make([]byte, 512*sectorSize)
	for {
		n, err := io.ReadFull(in, buf)
		if n%sectorSize != 0 { // the end of a truncated image
			n += copy(buf[n:], make([]byte, sectorSize-n%sectorSize))
		}
		for at := 0; at < n; at += sectorSize {
			p.patch(buf[at : at+sectorSize])
		}
		if _, werr := w.Write(buf[:n]); werr != nil {
			return werr
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return err
		}
	}
	for _, m := range p.moves {
		if !m.done {
			return corruptf("%q: no directory record has the place where it is", m.name)
		}
	}
	_, err := w.Write(p.tail)
	return err
}

// patch changes the records in one sector. A record begins two bytes before its extent with its length; 16 equal
// bytes elsewhere are not a record.
func (p *replacer) patch(sector []byte) {
	for n := range p.moves {
		m := &p.moves[n]
		for at := 0; ; at++ {
			i := bytes.Index(sector[at:], m.from)
			if i < 0 {
				break
			}
			if at += i; at >= 2 && isRecord(sector[at-2:]) {
				copy(sector[at:], m.to)
				m.done = true
			}
		}
	}
}

// isRecord reports whether b can begin a directory record.
func isRecord(b []byte) bool {
	n := int(b[0])
	return n >= 34 && n <= len(b) && int(b[32]) > 0 && 33+int(b[32]) <= n
}
