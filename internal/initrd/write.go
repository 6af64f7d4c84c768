package initrd

import (
	"crypto/sha256"
	"fmt"
	"io"
	"path"
	"runtime"
	"time"

	"github.com/klauspost/pgzip"

	"mkbuild/internal/cpio"
	"mkbuild/internal/overlay"
)

// gzipBlock is the unit of parallel compression. It is fixed because it determines the compressed bytes.
const gzipBlock = 1 << 20

// defaultLevel is the compression level of a zero [SegmentOptions]: within 0.3 % of level 9 at three
// times its speed, and 2 % smaller than level 6 (docs/performance.md).
const defaultLevel = 8

// maxTarget is the kernel's longest symlink target (PATH_MAX without the NUL).
const maxTarget = 4095

// SegmentOptions are the options of [WriteSegment].
type SegmentOptions struct {
	// Level is the gzip level, 1 to 9. 0 means 8.
	Level int
	// ModTime, in seconds since 1970, stands in for entries whose MTime is 0.
	ModTime int64
	// Sum, when set, is called with the SHA-256 of each regular file's content.
	Sum func(path string, sha256 [sha256.Size]byte)
}

// WriteSegment writes t as one segment of an initrd: one gzip member with one complete newc archive, padded with
// NULs to a multiple of four bytes, so that another segment can follow. Kernels of the 3.x time support gzip only,
// and panic if several members share an archive.
//
// The same tree and options give the same bytes everywhere: entries are sorted, inodes are numbered from 1, and the
// gzip header has no name and no time. Times before 1970 become 0. Times after 2106 and files of 4 GiB are errors,
// because newc cannot store them. An entry without its directory is an error, because the kernel does not create
// directories. Contents are streamed.
func WriteSegment(w io.Writer, t *overlay.Tree, o SegmentOptions) error {
	level := o.Level
	if level == 0 {
		level = defaultLevel
	}
	if level < pgzip.BestSpeed || level > pgzip.BestCompression {
		return fmt.Errorf("write segment: gzip level %d is not between 1 and 9", level)
	}
	out := &counter{w: w}
	z, err := compressor(out, level, enough(t))
	if err == nil {
		err = writeArchive(z, t, o)
		if cerr := z.Close(); err == nil { // always: Close stops goroutines
			err = cerr
		}
	}
	if err == nil {
		_, err = out.Write(make([]byte, -out.n&3))
	}
	if err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	return nil
}

// counter counts the bytes written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// enough is more than the length of t's archive and than pgzip's smallest block. pgzip allocates whole blocks, and
// most segments are small.
func enough(t *overlay.Tree) int {
	n := int64(64 << 10)
	for _, e := range t.Entries() {
		n += e.Size + int64(2*len(e.Path)+len(e.Link)) + 256 // for a header of 110 bytes, and padding
	}
	return int(min(n, gzipBlock))
}

// compressor returns a writer of one gzip member.
func compressor(w io.Writer, level, block int) (io.WriteCloser, error) {
	z, err := pgzip.NewWriterLevel(w, level)
	if err != nil {
		return nil, err
	}
	z.ModTime = time.Unix(0, 0) // pgzip writes the zero Time as some date of 2042
	return z, z.SetConcurrency(block, runtime.GOMAXPROCS(0))
}

// hardLink is the state of a hard-link group during writing.
type hardLink struct {
	names   []string
	written int
	ino     uint32
}

func writeArchive(w io.Writer, t *overlay.Tree, o SegmentOptions) error {
	entries := t.Entries()
	links := make(map[string]*hardLink)
	for _, e := range entries {
		if err := checkParent(t, e); err != nil {
			return err
		}
		if e.IsRegular() && e.HardLink != "" {
			if links[e.HardLink] == nil {
				links[e.HardLink] = &hardLink{}
			}
			links[e.HardLink].names = append(links[e.HardLink].names, e.Path)
		}
	}
	c := cpio.NewWriter(w)
	for _, e := range entries {
		if err := writeEntry(c, e, links[e.HardLink], o); err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
	}
	return c.Close()
}

// checkParent fails if e's directory is missing: the kernel does not create directories.
func checkParent(t *overlay.Tree, e *overlay.Entry) error {
	dir := path.Dir(e.Path)
	if dir == "." {
		return nil
	}
	if parent := t.Get(dir); parent == nil || !parent.IsDir() {
		return fmt.Errorf("%s: the tree has no directory %s for it", e.Path, dir)
	}
	return nil
}

// writeEntry writes one name. The last name of a hard-linked file carries the content, as in GNU cpio; every kernel
// supports that.
func writeEntry(c *cpio.Writer, e *overlay.Entry, link *hardLink, o SegmentOptions) error {
	h, err := header(e, o.ModTime)
	if err != nil {
		return err
	}
	names := []string{e.Path}
	if link != nil && e.IsRegular() {
		names, h.Ino, h.NLink = link.names, link.ino, uint32(len(link.names))
		if link.written++; link.written < len(names) {
			names, h.Size = nil, 0
		}
	}
	if err := c.WriteHeader(&h); err != nil {
		return err
	}
	if link != nil {
		link.ino = h.Ino
	}
	switch {
	case e.IsLink():
		_, err = io.WriteString(c, e.Link)
	case e.IsRegular() && len(names) > 0:
		err = writeContent(c, e, names, o.Sum)
	}
	return err
}

// writeContent writes the content of a file and reports its digest for each of its names.
func writeContent(c io.Writer, e *overlay.Entry, names []string, tell func(string, [sha256.Size]byte)) error {
	if tell == nil {
		return e.CopyTo(c)
	}
	sum := sha256.New()
	if err := e.CopyTo(io.MultiWriter(c, sum)); err != nil {
		return err
	}
	for _, name := range names {
		tell(name, [sha256.Size]byte(sum.Sum(nil)))
	}
	return nil
}

// header describes e as a cpio entry.
func header(e *overlay.Entry, modTime int64) (cpio.Header, error) {
	if e.MTime != 0 {
		modTime = e.MTime
	}
	h := cpio.Header{Name: e.Path, Mode: e.Mode, UID: e.UID, GID: e.GID, MTime: max(modTime, 0)}
	switch e.Mode & overlay.TypeMask {
	case overlay.TypeRegular:
		h.Size = e.Size
	case overlay.TypeLink:
		if len(e.Link) > maxTarget {
			return h, fmt.Errorf("symlink target of %d bytes", len(e.Link))
		}
		h.Size = int64(len(e.Link))
	case overlay.TypeChar, overlay.TypeBlock:
		h.RMajor, h.RMinor = e.Major, e.Minor
	case overlay.TypeDir, overlay.TypeFIFO, overlay.TypeSocket:
	default:
		return h, fmt.Errorf("unknown file type %#o", e.Mode&overlay.TypeMask)
	}
	return h, nil
}
