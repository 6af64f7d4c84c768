package iso9660

import (
	"fmt"
	"io"
)

// Limits of the reader. They exceed any boot medium and keep hostile images cheap.
const (
	maxDescriptors = 64       // volume descriptors before the terminator
	maxDirBytes    = 16 << 20 // one directory's extent
	maxFiles       = 1 << 18  // entries of a tree
	maxPathBytes   = 64 << 20 // sum of all paths
	maxPath        = 4095     // one path: PATH_MAX
	maxDepth       = 256      // nested directories
)

// source is the input image. It bounds every access.
type source struct {
	r    io.ReaderAt
	size int64
	// metaLeft is the number of bytes of directories and continuation areas that may still be read. In an honest
	// image they do not overlap, so their sum is smaller than the image.
	metaLeft int64
}

// read returns n bytes at offset off of a sector.
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

// meta is read for structures, whose total is limited.
func (s *source) meta(lba uint32, off, n int64) ([]byte, error) {
	if s.metaLeft -= n; s.metaLeft < 0 {
		return nil, corruptf("directories overlap")
	}
	return s.read(lba, off, n)
}

// section returns an opener for part of the image.
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
