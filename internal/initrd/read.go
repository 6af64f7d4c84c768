// Package initrd reads and writes the initial root file system of a Linux kernel: concatenated cpio newc archives
// in one file, each compressed or not. Reading follows the kernel's init/initramfs.c, so the tree equals that of a
// booting machine. Writing makes one segment, for use alone or after a stock core.gz.
//
// It does not choose the content of an image and never touches the host's file system. Start reading at [Read] and
// [WriteSegment].
package initrd

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"mkbuild/internal/cpio"
	"mkbuild/internal/fail"
	"mkbuild/internal/overlay"
)

// ErrNotInitrd is returned for input that is not an initrd.
var ErrNotInitrd = fail.New(fail.Verification, "not an initrd", "")

// ErrCorrupt is returned for an initrd that is damaged or incomplete. A truncated initrd also has
// [io.ErrUnexpectedEOF] in the error chain.
var ErrCorrupt = fail.New(fail.Verification, "corrupt initrd", "")

const (
	// defaultLimit bounds the unpacked size if the caller sets no limit.
	defaultLimit = 1 << 30
	// maxEntries bounds the headers of one initrd; a stock core.gz has 4,000.
	maxEntries = 500_000
	// window is the read-ahead. It is large enough for cpio.NewReader to share the buffer.
	window = 64 << 10
)

// Read reads a whole initrd of at most limit unpacked bytes (0: 1 GiB) into a tree with its contents in memory.
// Members are gzip, xz, zstd, lz4 (legacy) or plain newc archives in any mix, with NUL bytes between them. Each
// member must hold whole archives: an archive that is split over several members panics kernels and is refused.
//
// Later entries replace earlier entries as in the kernel: names follow symlinks of existing directories, a
// non-empty directory stays, an overwritten file changes under all its hard links, a device node keeps its number.
// An entry for the root itself is kept as ".". Unlike in the kernel, an entry without its directory is kept.
//
// It fails with [ErrNotInitrd], [ErrCorrupt] or [overlay.ErrLimit]. origin names the file in all entries and in
// errors.
func Read(r io.Reader, origin string, limit int64) (*overlay.Tree, error) {
	t, _, err := ReadMembers(r, origin, limit, nil)
	return t, err
}

// Member is a separately packed part of an initrd.
type Member struct {
	// Offset and Size give its place in the file, without the NUL bytes after it.
	Offset int64 `json:"offset"`
	Size   int64 `json:"size"`
	// Packing is "gzip", "xz", "zstd", "lz4" or "none".
	Packing string `json:"packing"`
	// Unpacked is the length of its archives in bytes. Entries is the number of their entries.
	Unpacked int64 `json:"unpacked"`
	Entries  int   `json:"entries"`
}

// ReadMembers is [Read] that also returns the members of the initrd in order. If before is not nil, it is called
// with the offset of each member and the tree so far.
func ReadMembers(r io.Reader, origin string, limit int64, before func(offset int64, t *overlay.Tree)) (*overlay.Tree, []Member, error) {
	if limit <= 0 {
		limit = defaultLimit
	}
	src := &source{r: r}
	u := &unpacker{
		src: src, in: bufio.NewReaderSize(src, window), left: limit,
		root: newRootfs(origin), before: before,
	}
	if err := u.readMembers(); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", origin, u.explain(err))
	}
	return u.root.finish(), u.members, nil
}

// source counts the bytes read and records read errors: a broken disk is not a corrupt file.
type source struct {
	r   io.Reader
	n   int64
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n += int64(n)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// unpacker reads the members of an initrd.
type unpacker struct {
	src     *source
	in      *bufio.Reader
	left    int64 // unpacked bytes still allowed
	entries int
	members []Member // read completely
	before  func(offset int64, t *overlay.Tree)
	root    *rootfs
}

// offset returns the position of the next byte in the file.
func (u *unpacker) offset() int64 { return u.src.n - int64(u.in.Buffered()) }

// explain adds the matching sentinel to an error.
func (u *unpacker) explain(err error) error {
	switch {
	case u.src.err != nil:
		return u.src.err
	case errors.Is(err, ErrNotInitrd), errors.Is(err, ErrCorrupt), errors.Is(err, overlay.ErrLimit):
		return err
	case len(u.members) == 0 && u.entries == 0 && errors.Is(err, cpio.ErrFormat):
		return fmt.Errorf("%w: no cpio archive inside: %w", ErrNotInitrd, err)
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// readMembers reads all members of the file.
func (u *unpacker) readMembers() error {
	for {
		if err := u.skipNULs(); err == io.EOF { //nolint:errorlint // skipNULs' own
			break
		} else if err != nil {
			return err
		}
		at := u.offset()
		if u.before != nil {
			u.before(at, u.root.tree)
		}
		left, entries := u.left, u.entries
		packing, err := u.readMember(at)
		if err != nil {
			return fmt.Errorf("member at byte %d: %w", at, err)
		}
		u.members = append(u.members, Member{
			Offset: at, Size: u.offset() - at, Packing: packing.String(), Unpacked: left - u.left, Entries: u.entries - entries,
		})
	}
	if len(u.members) == 0 {
		return fmt.Errorf("%w: it is empty", ErrNotInitrd)
	}
	return nil
}

func (u *unpacker) skipNULs() error {
	for {
		b, err := u.in.ReadByte()
		if err != nil {
			return err
		}
		if b != 0 {
			return u.in.UnreadByte()
		}
	}
}

// readMember reads the archives of one member and returns its packing.
func (u *unpacker) readMember(at int64) (k kind, err error) {
	defer func() {
		// The decompressors are third-party code and their input is untrusted.
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: decompressor failed: %v", ErrCorrupt, p)
		}
	}()
	start, err := u.in.Peek(sniffLen)
	if err != nil && err != io.EOF { //nolint:errorlint // bufio passes io.EOF on as it is
		return kindUnknown, err
	}
	k = sniff(start)
	switch {
	case k == kindRaw && at%4 != 0:
		return k, errors.New("an uncompressed archive has to begin at a multiple of 4 bytes")
	case k == kindUnknown || k == kindUnsupported:
		return k, u.unknown(k, start)
	}
	plain, done, err := openMember(k, u.in)
	if err != nil {
		return k, noEOF(err)
	}
	defer done()
	if k == kindRaw {
		return k, u.readArchives(u.in, true)
	}
	return k, u.readArchives(&overlay.LimitedReader{R: plain, Left: u.left}, false)
}

// unknown describes the bytes at the place of a member.
func (u *unpacker) unknown(k kind, start []byte) error {
	sentinel := ErrNotInitrd
	if len(u.members) > 0 {
		sentinel = ErrCorrupt
	}
	switch {
	case k == kindUnsupported:
		return fmt.Errorf("%w: %w", sentinel, errUnsupported)
	case overlay.LooksLikeHTML(start):
		return fmt.Errorf("%w: it is a web page", sentinel)
	}
	return fmt.Errorf("%w: neither an archive nor padding: %.8q", sentinel, start)
}

// readArchives adds the entries of a member to the tree. A single archive is read from a shared buffer, which then
// stands right after the trailer.
func (u *unpacker) readArchives(r io.Reader, single bool) error {
	d := cpio.NewReader(r)
	d.Multistream(!single)
	before := u.left
	for archive := d.Archives(); ; {
		h, err := d.Next()
		if err == io.EOF { //nolint:errorlint // cpio.Reader returns it unwrapped
			u.root.endArchive()
			u.left = before - d.Offset()
			return nil
		}
		if err != nil {
			return err
		}
		if n := d.Archives(); n != archive {
			archive = n
			u.root.endArchive()
		}
		if u.entries++; u.entries > maxEntries {
			return fmt.Errorf("%w: more than %d entries", overlay.ErrLimit, maxEntries)
		}
		if u.left = before - d.Offset() - h.Size; u.left < 0 {
			return fmt.Errorf("%.200q: %w", h.Name, overlay.ErrLimit)
		}
		if err := u.root.add(h, d); err != nil {
			return fmt.Errorf("%.200q: %w", h.Name, err)
		}
	}
}
