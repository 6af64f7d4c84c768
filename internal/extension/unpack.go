// Package extension models mk-extension.zip, the archive that adds executables, libraries,
// external facts and Ruby code to a running microkernel.
//
// Unpacking treats the archive as hostile: it refuses names that could leave the target
// directory, links that point out of it, special files, duplicate and overlapping members,
// encrypted ones, and anything beyond [Limits]. It never sets setuid, setgid or sticky bits. An
// archive is taken whole or not at all: one bad member refuses all of it.
package extension

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

const (
	directoryEntry = 1024      // generous share of one member in the archive's directory
	directoryBase  = 256 << 10 // end record, with the longest comment, searched twice
)

var (
	// ErrNotZip says that the bytes are no readable zip archive: garbage, truncated, empty.
	ErrNotZip = errors.New("not a zip archive")
	// ErrWrapped says that the whole content sits in one directory, where nothing looks for it.
	ErrWrapped = errors.New("content is wrapped in a directory")
)

// UnsafeError says which member broke which rule; the archive is refused as a whole.
type UnsafeError struct {
	Member string // name as the archive spells it
	Reason string
}

// Error names the member quoted, since its name may hold anything.
func (e *UnsafeError) Error() string { return fmt.Sprintf("member %q: %s", e.Member, e.Reason) }

// LimitError says which limit an archive exceeded.
type LimitError struct {
	Member string // empty when the archive as a whole is meant
	What   string // "total size", "members", …
	Limit  int64
}

// Error names the limit and its number, so that an operator can compare.
func (e *LimitError) Error() string {
	if e.Member == "" {
		return fmt.Sprintf("%s exceeds %d", e.What, e.Limit)
	}
	return fmt.Sprintf("member %q: %s exceeds %d", e.Member, e.What, e.Limit)
}

// ChecksumError says that a member's bytes are not those the archive promises.
type ChecksumError struct{ Member string }

// Error names the damaged member.
func (e *ChecksumError) Error() string { return fmt.Sprintf("member %q: checksum mismatch", e.Member) }

// Limits bounds what an archive may cost. Sizes are in bytes.
type Limits struct {
	Compressed int64 // size of the archive itself
	Total      int64 // sum of all members, unpacked
	File       int64 // one member, unpacked
	Count      int   // members
	Ratio      int64 // unpacked to packed, for members over 1 MiB
	Depth      int   // path components
}

// DefaultLimits fits a microkernel that lives in RAM: far above real extensions, far below
// what would starve a machine of 512 MiB.
func DefaultLimits() Limits {
	return Limits{
		Compressed: 64 << 20, Total: 192 << 20, File: 128 << 20,
		Count: 10000, Ratio: 250, Depth: 16,
	}
}

// Member is one checked entry of an archive.
type Member struct {
	Path string      // relative, slash-separated, clean, without a trailing slash
	Mode os.FileMode // type bits and the mode that it gets on disk
	Size int64       // unpacked bytes; for a link the length of its target
	Link string      // target of a symlink
	file *zip.File
}

// IsDir reports whether m is a directory.
func (m *Member) IsDir() bool { return m.Mode.IsDir() }

// IsLink reports whether m is a symlink.
func (m *Member) IsLink() bool { return m.Mode&os.ModeSymlink != 0 }

// Open reads the member's content; the last Read reports a [ChecksumError]-worthy mismatch as
// [zip.ErrChecksum].
func (m *Member) Open() (io.ReadCloser, error) { return m.file.Open() }

// Archive is an archive whose directory passed every check. Its members' bytes have not been
// read yet: [Archive.Verify] and [Archive.Extract] do that.
type Archive struct {
	Members []Member // in the archive's order
	lim     Limits
}

// Open checks the directory of the archive r of size bytes against lim and every safety rule.
// Errors: [ErrNotZip], [ErrWrapped], [*UnsafeError], [*LimitError].
func Open(r io.ReaderAt, size int64, lim Limits) (*Archive, error) {
	files, err := readDirectory(r, size, lim)
	if err != nil {
		return nil, err
	}
	a := &Archive{lim: lim, Members: make([]Member, 0, len(files))}
	var total uint64
	for _, f := range files {
		m, err := checkMember(f, lim)
		if err != nil {
			return nil, err
		}
		if total += f.UncompressedSize64; total > uint64(lim.Total) {
			return nil, &LimitError{What: "total size", Limit: lim.Total}
		}
		a.Members = append(a.Members, m)
	}
	return a, a.check()
}

// readDirectory lists an archive's members without judging them.
func readDirectory(r io.ReaderAt, size int64, lim Limits) ([]*zip.File, error) {
	if size > lim.Compressed {
		return nil, &LimitError{What: "archive size", Limit: lim.Compressed}
	}
	br := &budgetReader{r: r, left: int64(lim.Count)*directoryEntry + directoryBase}
	zr, err := zip.NewReader(br, size)
	if br.spent {
		return nil, &LimitError{What: "directory of an archive with members", Limit: int64(lim.Count)}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotZip, err)
	}
	br.left = math.MaxInt64
	if len(zr.File) > lim.Count {
		return nil, &LimitError{What: "members", Limit: int64(lim.Count)}
	}
	return zr.File, nil
}

// check applies the rules that concern members together.
func (a *Archive) check() error {
	if err := checkOverlap(a.Members); err != nil {
		return err
	}
	if err := checkTree(a.Members); err != nil {
		return err
	}
	if err := readLinks(a.Members); err != nil {
		return err
	}
	if err := checkLinks(a.Members); err != nil {
		return err
	}
	return checkWrapped(a.Members)
}

// Unpack opens the archive and extracts it into the existing, empty directory dir. On an error
// dir may hold a part of it: the caller removes it.
func Unpack(ctx context.Context, r io.ReaderAt, size int64, dir string, lim Limits) (*Archive, error) {
	a, err := Open(r, size, lim)
	if err != nil {
		return nil, err
	}
	return a, a.Extract(ctx, dir)
}

// budgetReader bounds what archive/zip reads, and so allocates, while it loads the archive's
// directory: it would take as many entries as there are, whatever the end record claims.
type budgetReader struct {
	r     io.ReaderAt
	left  int64
	spent bool
}

// ReadAt implements [io.ReaderAt].
func (b *budgetReader) ReadAt(p []byte, off int64) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		b.spent = true
		return 0, ErrNotZip
	}
	return b.r.ReadAt(p, off)
}
