package extension

import (
	"archive/zip"
	"io"
	"io/fs"
	"math"
	"strings"
)

const (
	directoryEntry = 1024      // generous share of one member in the archive's directory
	directoryBase  = 256 << 10 // end record, with the longest comment, searched twice
)

// creatorUnix and creatorDarwin are the systems in a member's "version made by" whose external
// attributes hold a Unix mode (APPNOTE.TXT 4.4.2.2).
const (
	creatorUnix   = 3
	creatorDarwin = 19
)

// ReadZip lists the archive r of size bytes. It is an error only if its directory cannot be
// read within lim; everything else that the client would refuse is in Refused. The members' bytes are
// not read yet, except for the targets of symlinks.
func ReadZip(name string, r io.ReaderAt, size int64, lim Limits) (*Source, error) {
	members, err := readDirectory(r, size, lim)
	if err != nil {
		return nil, err
	}
	s := &Source{Name: name, IsZip: true, Size: size, NoModes: len(members) > 0, Limits: lim}
	s.Files = make([]File, 0, len(members))
	for _, m := range members {
		if by := m.CreatorVersion >> 8; by == creatorUnix || by == creatorDarwin {
			s.NoModes = false
		}
		s.addMember(m)
	}
	s.checkTotal()
	s.checkOverlap()
	s.checkNames()
	s.readLinks()
	s.finish()
	return s, nil
}

// readDirectory lists an archive's members without judging them.
func readDirectory(r io.ReaderAt, size int64, lim Limits) ([]*zip.File, error) {
	if size > lim.Compressed {
		return nil, tooBig("", "archive size", lim.Compressed)
	}
	br := &budgetReader{r: r, left: int64(lim.Count)*directoryEntry + directoryBase}
	zr, err := zip.NewReader(br, size)
	if br.spent {
		return nil, tooBig("", "directory of an archive with members", int64(lim.Count))
	}
	if err != nil {
		return nil, &Error{Kind: NotZip, Reason: notZip, Err: err}
	}
	br.left = math.MaxInt64
	if len(zr.File) > lim.Count {
		return nil, tooBig("", "members", int64(lim.Count))
	}
	return zr.File, nil
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
		return 0, io.ErrUnexpectedEOF
	}
	return b.r.ReadAt(p, off)
}

// addMember applies the rules that concern one member alone.
func (s *Source) addMember(m *zip.File) {
	name, isDir := strings.CutSuffix(m.Name, "/")
	f := File{
		Path: name, Raw: m.Mode(), Mode: m.Mode().Type() | m.Mode()&maskMode,
		Size: clamp(m.UncompressedSize64), open: m.Open, member: m,
	}
	if reason := badName(name, s.Limits.Depth); reason != "" {
		s.refuse(&f, Name, reason)
	} else if kind, reason := badMember(m, isDir); reason != "" {
		s.refuse(&f, kind, reason)
	} else {
		f.Mode = memberMode(m, isDir)
		if kind, reason := badSize(m, f.Mode, s.Limits); reason != "" {
			s.refuse(&f, kind, reason)
		}
	}
	s.Files = append(s.Files, f)
}

// clamp keeps a size from an archive positive, and the sum of all sizes.
func clamp(n uint64) int64 { return int64(min(n, math.MaxInt64>>16)) } //nolint:gosec // bounded

// memberMode works out type and permissions. A zip made on MS-DOS has no Unix modes: such
// files become 0644, so nothing in them is executable.
func memberMode(m *zip.File, isDir bool) fs.FileMode {
	switch {
	case isDir:
		return fs.ModeDir | maskMode
	case m.Mode()&fs.ModeSymlink != 0:
		return fs.ModeSymlink | 0o777
	}
	return m.Mode()&maskMode | 0o600
}
