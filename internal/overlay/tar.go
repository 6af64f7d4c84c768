package overlay

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// ErrNotTar says that a stream is no tar archive, compressed with gzip or not.
var ErrNotTar = errors.New("not a tar archive")

// ErrLimit says that an archive is larger than its reader allows.
var ErrLimit = errors.New("archive exceeds a limit")

// Limits bounds what [ReadTar] takes from one archive. A zero field means the default.
type Limits struct {
	// Total is the number of bytes of the unpacked archive, its headers included: 512 MiB.
	Total int64
	// File is the number of bytes of one file: 256 MiB.
	File int64
	// Entries is the number of archive members: 200,000.
	Entries int
}

func (l Limits) withDefaults() Limits {
	if l.Total == 0 {
		l.Total = 512 << 20
	}
	if l.File == 0 {
		l.File = 256 << 20
	}
	if l.Entries == 0 {
		l.Entries = 200_000
	}
	return l
}

// ReadTar reads a whole tar archive (v7, ustar, pax or GNU; plain or gzip by its magic number)
// into a Tree whose contents are held in memory. origin names the archive in every entry and in
// errors.
//
// Device nodes are kept, and it is the caller who refuses them. Of two members with one name the
// last wins. The target of a hard link must come earlier in the same archive, as tar(1) writes it.
// It fails with [ErrPath] on absolute names and on "..", with [ErrNotTar] on anything else than
// tar, with [ErrLimit] beyond lim, and with [io.ErrUnexpectedEOF] on a truncated archive.
func ReadTar(r io.Reader, origin string, lim Limits) (*Tree, error) {
	lim = lim.withDefaults()
	plain, gzipped, err := unzip(r)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", origin, err)
	}
	counted := &countingReader{r: plain, limit: lim.Total}
	d := &tarReader{in: counted, tar: tar.NewReader(counted), origin: origin, lim: lim, tree: &Tree{}}
	if err := d.readAll(gzipped); err != nil {
		return nil, fmt.Errorf("read %s: %w", origin, err)
	}
	return d.tree, nil
}

// unzip returns the tar stream inside r, and whether gzip guards it with a checksum.
func unzip(r io.Reader) (plain io.Reader, gzipped bool, err error) {
	br := bufio.NewReaderSize(r, 64<<10)
	start, err := br.Peek(512)
	if err != nil && err != io.EOF {
		return nil, false, err
	}
	switch {
	case len(start) == 0:
		return nil, false, fmt.Errorf("%w: it is empty", ErrNotTar)
	case len(start) >= 2 && start[0] == 0x1f && start[1] == 0x8b:
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, false, truncated(err)
		}
		return z, true, nil
	case LooksLikeHTML(start):
		return nil, false, fmt.Errorf("%w: it is a web page", ErrNotTar)
	}
	return br, false, nil
}

// truncated turns the end of input where more was promised into io.ErrUnexpectedEOF.
func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// countingReader counts bytes and fails with ErrLimit after limit of them.
type countingReader struct {
	r        io.Reader
	n, limit int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	if c.n >= c.limit {
		return c.atLimit()
	}
	if int64(len(p)) > c.limit-c.n {
		p = p[:c.limit-c.n]
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// atLimit tells an archive of exactly the limit from a longer one.
func (c *countingReader) atLimit() (int, error) {
	var one [1]byte
	for {
		n, err := c.r.Read(one[:])
		if n > 0 {
			return 0, fmt.Errorf("%w: %d bytes unpacked", ErrLimit, c.limit)
		}
		if err != nil {
			return 0, err
		}
	}
}

// tarReader collects the members of one archive.
type tarReader struct {
	in     *countingReader
	tar    *tar.Reader
	origin string
	lim    Limits
	tree   *Tree
	count  int
}

// readAll reads every member and the end of the archive.
func (d *tarReader) readAll(gzipped bool) error {
	var end int64 // offset behind the last member's content
	for {
		h, err := d.tar.Next()
		if err == io.EOF {
			return d.finish(gzipped, end)
		}
		if err != nil {
			return d.headerError(err)
		}
		if d.count++; d.count > d.lim.Entries {
			return fmt.Errorf("%w: more than %d entries", ErrLimit, d.lim.Entries)
		}
		if err := d.add(h); err != nil {
			return fmt.Errorf("%.200q: %w", h.Name, err)
		}
		end = d.in.n
	}
}

// headerError says whether what failed to parse was an archive at all.
func (d *tarReader) headerError(err error) error {
	if errors.Is(err, tar.ErrHeader) && d.count == 0 {
		return fmt.Errorf("%w: %w", ErrNotTar, err)
	}
	return truncated(err)
}

// finish checks that the archive did not just stop. A plain archive shows that by its end marker
// alone (a block of zeros, POSIX ustar "end-of-archive"); gzip has a checksum, which is compared
// once the rest of the stream has been read.
func (d *tarReader) finish(gzipped bool, end int64) error {
	if !gzipped {
		if d.in.n-end < 512 {
			return fmt.Errorf("no end-of-archive marker: %w", io.ErrUnexpectedEOF)
		}
		return nil
	}
	_, err := io.Copy(io.Discard, d.in)
	if errors.Is(err, gzip.ErrHeader) {
		return nil // padding behind the last gzip member, which gzip(1) ignores too
	}
	return err
}

// add puts one member into the tree.
func (d *tarReader) add(h *tar.Header) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil // git archive's commit id: nothing that an image could hold
	}
	name, err := memberPath(h.Name)
	if err != nil {
		return err
	}
	if h.Typeflag == tar.TypeLink {
		return d.addHardLink(name, h.Linkname)
	}
	e, err := tarEntry(h, name)
	if err != nil {
		return err
	}
	e.Origin = d.origin
	if name == "." && !e.IsDir() {
		return fmt.Errorf("%w: the root is not a directory", ErrPath)
	}
	if e.IsRegular() {
		if err := d.readContent(&e, h.Size); err != nil {
			return err
		}
	}
	return d.tree.Put(e)
}

// memberPath cleans a name and refuses an absolute one, which no archive of a tree contains.
func memberPath(name string) (string, error) {
	if strings.HasPrefix(name, "/") {
		return "", fmt.Errorf("%w: absolute", ErrPath)
	}
	return CleanPath(name)
}

// tarEntry converts a header; content and hard links come from elsewhere.
func tarEntry(h *tar.Header, name string) (Entry, error) {
	kind, ok := tarType(h.Typeflag)
	if !ok {
		return Entry{}, fmt.Errorf("unknown member type %q", h.Typeflag)
	}
	const maxID = 1<<32 - 1
	if h.Uid < 0 || int64(h.Uid) > maxID || h.Gid < 0 || int64(h.Gid) > maxID {
		return Entry{}, fmt.Errorf("owner %d:%d out of range", h.Uid, h.Gid)
	}
	e := Entry{
		Path: name, Mode: kind | uint32(h.Mode&permMask),
		UID: uint32(h.Uid), GID: uint32(h.Gid), MTime: h.ModTime.Unix(),
	}
	switch kind {
	case TypeLink:
		e.Link = h.Linkname
	case TypeChar, TypeBlock:
		if h.Devmajor < 0 || h.Devmajor > maxID || h.Devminor < 0 || h.Devminor > maxID {
			return Entry{}, fmt.Errorf("device number %d:%d out of range", h.Devmajor, h.Devminor)
		}
		e.Major, e.Minor = uint32(h.Devmajor), uint32(h.Devminor)
	}
	return e, nil
}

// tarType maps a typeflag to file type bits. Contiguous and sparse files are files.
func tarType(flag byte) (uint32, bool) {
	switch flag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		return TypeRegular, true
	case tar.TypeDir:
		return TypeDir, true
	case tar.TypeSymlink:
		return TypeLink, true
	case tar.TypeChar:
		return TypeChar, true
	case tar.TypeBlock:
		return TypeBlock, true
	case tar.TypeFifo:
		return TypeFIFO, true
	}
	return 0, false
}

// readContent reads the current member into memory, growing with what really arrives.
func (d *tarReader) readContent(e *Entry, size int64) error {
	if size > d.lim.File {
		return fmt.Errorf("%w: %d bytes in one file, the limit is %d", ErrLimit, size, d.lim.File)
	}
	b := make([]byte, 0, min(size, 1<<20))
	for int64(len(b)) < size {
		if len(b) == cap(b) {
			grown := make([]byte, len(b), min(size, 2*int64(cap(b))))
			copy(grown, b)
			b = grown
		}
		n, err := io.ReadFull(d.tar, b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err != nil {
			return truncated(err)
		}
	}
	e.Size, e.Open = size, Bytes(b)
	return nil
}

// addHardLink gives an earlier member a second name. A group is named by the ordinal of the
// member that made it: the path would not do, since a later member may replace it.
func (d *tarReader) addHardLink(name, linkname string) error {
	target, err := memberPath(linkname)
	if err != nil {
		return fmt.Errorf("hard link target: %w", err)
	}
	first := d.tree.Get(target)
	if first == nil || first.IsDir() {
		return fmt.Errorf("hard link to %q, which is no earlier file of this archive", linkname)
	}
	if name == target {
		return nil
	}
	if first.HardLink == "" {
		first.HardLink = fmt.Sprintf("tar:%d", d.count)
	}
	second := *first
	second.Path = name
	return d.tree.Put(second)
}
