package overlay

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"

	"mkbuild/internal/fail"
)

// ErrNotTar is returned for a stream that is neither a tar nor a tar.gz archive.
var ErrNotTar = fail.New(fail.Verification, "not a tar archive", "")

// ErrLimit is returned for an archive that exceeds its limits.
var ErrLimit = fail.New(fail.Verification, "archive exceeds a limit", "")

// Limits bounds the input of [ReadTar]. A zero field means the default.
type Limits struct {
	// Total is the number of bytes of the unpacked archive, its headers included: 512 MiB.
	Total int64
	// File is the number of bytes of one file: 256 MiB.
	File int64
	// Entries is the number of archive members: 200,000.
	Entries int
}

func (l Limits) withDefaults() Limits {
	return Limits{Total: cmp.Or(l.Total, 512<<20), File: cmp.Or(l.File, 256<<20), Entries: cmp.Or(l.Entries, 200_000)}
}

// ReadTar reads a whole tar archive (v7, ustar, pax or GNU; plain or gzip by its magic number) into a Tree with its
// contents in memory. origin names the archive in every entry and in errors.
//
// Device nodes are kept; the caller refuses them. Of two members with one name the last wins. The target of a hard
// link must come earlier in the same archive, as tar(1) writes it. It fails with [ErrPath] on absolute names and
// "..", with [ErrNotTar] on input other than tar, with [ErrLimit] beyond lim, and with [io.ErrUnexpectedEOF] on a
// truncated archive.
func ReadTar(r io.Reader, origin string, lim Limits) (*Tree, error) {
	lim = lim.withDefaults()
	plain, gzipped, err := unzip(r)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", origin, err)
	}
	in := &LimitedReader{R: plain, Left: lim.Total}
	d := &tarReader{in: in, tar: tar.NewReader(in), origin: origin, lim: lim, tree: &Tree{}}
	if err := d.readAll(gzipped); err != nil {
		return nil, fmt.Errorf("read %s: %w", origin, err)
	}
	return d.tree, nil
}

// unzip returns the tar stream inside r, and whether it has a gzip checksum.
func unzip(r io.Reader) (plain io.Reader, gzipped bool, err error) {
	br := bufio.NewReaderSize(r, 64<<10)
	start, err := br.Peek(512)
	if err != nil && err != io.EOF {
		return nil, false, err
	}
	switch {
	case len(start) == 0:
		return nil, false, fmt.Errorf("%w: it is empty", ErrNotTar)
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
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

// truncated turns io.EOF into io.ErrUnexpectedEOF where more input is expected.
func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// LimitedReader reads at most Left bytes from R and then fails with [ErrLimit], unlike [io.LimitedReader], which
// returns io.EOF.
type LimitedReader struct {
	R    io.Reader
	Left int64
}

// Read implements [io.Reader].
func (l *LimitedReader) Read(p []byte) (int, error) {
	n, err := l.R.Read(p[:min(int64(len(p)), l.Left+1)])
	if l.Left -= int64(n); l.Left < 0 {
		return 0, fmt.Errorf("%w: too many bytes unpacked", ErrLimit)
	}
	return n, err
}

// tarReader collects the members of one archive.
type tarReader struct {
	in     *LimitedReader
	tar    *tar.Reader
	origin string
	lim    Limits
	tree   *Tree
	count  int
}

// readAll reads every member and the end of the archive.
func (d *tarReader) readAll(gzipped bool) error {
	left := d.in.Left // after the last member's content
	for {
		h, err := d.tar.Next()
		if err == io.EOF {
			return d.finish(gzipped, left)
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
		left = d.in.Left
	}
}

// headerError distinguishes a damaged archive from other input.
func (d *tarReader) headerError(err error) error {
	if errors.Is(err, tar.ErrHeader) && d.count == 0 {
		return fmt.Errorf("%w: %w", ErrNotTar, err)
	}
	return truncated(err)
}

// finish checks that the archive is complete. A plain archive has only its end marker (a block of zeros, POSIX
// ustar "end-of-archive"); gzip has a checksum, which is compared after the rest of the stream.
func (d *tarReader) finish(gzipped bool, left int64) error {
	if !gzipped {
		if left-d.in.Left < 512 {
			return fmt.Errorf("no end-of-archive marker: %w", io.ErrUnexpectedEOF)
		}
		return nil
	}
	_, err := io.Copy(io.Discard, d.in)
	if errors.Is(err, gzip.ErrHeader) {
		return nil // padding after the last gzip member, which gzip(1) also ignores
	}
	return err
}

// add adds one member to the tree.
func (d *tarReader) add(h *tar.Header) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil // the commit id of git archive, which an image cannot store
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

// memberPath cleans a name and refuses absolute names: no archive of a tree has any.
func memberPath(name string) (string, error) {
	if strings.HasPrefix(name, "/") {
		return "", fmt.Errorf("%w: absolute", ErrPath)
	}
	return CleanPath(name)
}

// tarEntry converts a header; the callers add content and hard links.
func tarEntry(h *tar.Header, name string) (Entry, error) {
	kind, ok := tarType(h.Typeflag)
	if !ok {
		return Entry{}, fmt.Errorf("unknown member type %q", h.Typeflag)
	}
	if (int64(h.Uid)|int64(h.Gid))>>32 != 0 { // also negative values
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
		if (h.Devmajor|h.Devminor)>>32 != 0 {
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

// readContent reads the current member into memory; the buffer grows with the input.
func (d *tarReader) readContent(e *Entry, size int64) error {
	if size > d.lim.File {
		return fmt.Errorf("%w: %d bytes in one file, the limit is %d", ErrLimit, size, d.lim.File)
	}
	var b bytes.Buffer
	b.Grow(int(min(size, 1<<20)) + bytes.MinRead)
	if _, err := io.CopyN(&b, d.tar, size); err != nil {
		return truncated(err)
	}
	e.Size, e.Open = size, Bytes(b.Bytes())
	return nil
}

// addHardLink gives an earlier member a second name. A group is named by the ordinal of its first member, because a
// later member may replace the path.
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

// LooksLikeHTML reports whether b, the first bytes of a download, begins a web page: some mirrors and captive
// portals send a page with status 200 in place of a file. Readers then report that instead of "bad magic".
func LooksLikeHTML(b []byte) bool {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	b = bytes.ToLower(bytes.TrimLeft(b[:min(len(b), 256)], " \t\r\n"))
	for _, start := range []string{"<!doctype", "<html", "<head", "<body", "<?xml", "<!--"} {
		if bytes.HasPrefix(b, []byte(start)) {
			return true
		}
	}
	return false
}
