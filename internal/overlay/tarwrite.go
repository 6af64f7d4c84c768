package overlay

import (
	"archive/tar"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/pgzip"
)

// gzipBlock is the unit of parallel compression. It is fixed because it determines the compressed bytes.
const gzipBlock = 1 << 20

// WriteTarGz writes t as a gzip'd tar archive (ustar, with pax headers if needed), sorted by path. The same tree
// gives the same bytes everywhere: the gzip header has neither a name nor a time, and owners are numbers without
// names. mtime replaces an MTime of 0; times before 1970 become 0. Sockets are refused: tar has no type for them.
func WriteTarGz(w io.Writer, t *Tree, mtime int64) error {
	z, err := pgzip.NewWriterLevel(w, 6)
	if err == nil {
		err = z.SetConcurrency(gzipBlock, 4)
	}
	if err == nil {
		z.ModTime = time.Unix(0, 0) // pgzip writes the zero Time as some date of 2042
		err = WriteTar(z, t, mtime)
		if cerr := z.Close(); err == nil { // always: Close stops pgzip's goroutines
			err = cerr
		}
	}
	if err != nil {
		return fmt.Errorf("write tar: %w", err)
	}
	return nil
}

// WriteTar is [WriteTarGz] without compression.
func WriteTar(w io.Writer, t *Tree, mtime int64) error {
	tw := tar.NewWriter(w)
	firstOf := make(map[string]string) // hard-link group -> the name that carries the content
	for _, e := range t.Entries() {
		if err := writeTarEntry(tw, e, mtime, firstOf); err != nil {
			return err
		}
	}
	return tw.Close()
}

func writeTarEntry(tw *tar.Writer, e *Entry, mtime int64, firstOf map[string]string) error {
	h, err := tarHeader(e, mtime)
	if err != nil {
		return fmt.Errorf("%s: %w", e.Path, err)
	}
	if e.HardLink != "" {
		if first, seen := firstOf[e.HardLink]; seen {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
			return tw.WriteHeader(h)
		}
		firstOf[e.HardLink] = e.Path
	}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	return e.CopyTo(tw)
}

// tarHeader describes e as a separate member.
func tarHeader(e *Entry, mtime int64) (*tar.Header, error) {
	if e.MTime != 0 {
		mtime = e.MTime
	}
	h := &tar.Header{
		Name: e.Path, Mode: int64(e.Perm()), Uid: int(e.UID), Gid: int(e.GID),
		ModTime: time.Unix(max(mtime, 0), 0),
	}
	switch e.Mode & TypeMask {
	case TypeRegular:
		h.Typeflag, h.Size = tar.TypeReg, e.Size
	case TypeDir:
		h.Typeflag, h.Name = tar.TypeDir, e.Path+"/"
	case TypeLink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.Link
	case TypeChar:
		h.Typeflag, h.Devmajor, h.Devminor = tar.TypeChar, int64(e.Major), int64(e.Minor)
	case TypeBlock:
		h.Typeflag, h.Devmajor, h.Devminor = tar.TypeBlock, int64(e.Major), int64(e.Minor)
	case TypeFIFO:
		h.Typeflag = tar.TypeFifo
	default:
		return nil, fmt.Errorf("tar cannot hold file type %#o", e.Mode&TypeMask)
	}
	return h, nil
}
