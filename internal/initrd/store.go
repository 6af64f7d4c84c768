package initrd

import (
	"bytes"
	"io"

	"mkbuild/internal/overlay"
)

// slabSize is the unit in which contents are held: large, so that small files cost little, and
// small against an image, so that the last one wastes little.
const slabSize = 256 << 10

// store holds the contents of many files in slabs. It grows with what really arrives, and never
// copies, so that an image takes little more memory than its unpacked size.
type store struct {
	slab []byte // the free rest of the newest slab
}

// read stores the next size bytes of r and returns their opener.
func (s *store) read(r io.Reader, size int64) (func() (io.ReadCloser, error), error) {
	var parts [][]byte
	for size > 0 {
		if len(s.slab) == 0 {
			s.slab = make([]byte, slabSize)
		}
		n := min(size, int64(len(s.slab)))
		if _, err := io.ReadFull(r, s.slab[:n]); err != nil {
			return nil, noEOF(err)
		}
		parts = append(parts, s.slab[:n:n])
		s.slab = s.slab[n:]
		size -= n
	}
	switch len(parts) {
	case 0:
		return nil, nil
	case 1:
		return overlay.Bytes(parts[0]), nil
	}
	return func() (io.ReadCloser, error) {
		readers := make([]io.Reader, len(parts))
		for i, p := range parts {
			readers[i] = bytes.NewReader(p)
		}
		return io.NopCloser(io.MultiReader(readers...)), nil
	}, nil
}
