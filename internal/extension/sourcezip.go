package extension

import (
	"archive/zip"
	"io"
	"io/fs"
	"math"
	"strings"
)

// creatorUnix and creatorDarwin are the systems in a member's "version made by" whose external
// attributes hold a Unix mode (APPNOTE.TXT 4.4.2.2).
const (
	creatorUnix   = 3
	creatorDarwin = 19
)

// ReadZip lists the archive r of size bytes. It is an error only when its directory cannot be
// read within lim; everything else that the client would refuse is in Refused.
func ReadZip(name string, r io.ReaderAt, size int64, lim Limits) (*Source, error) {
	files, err := readDirectory(r, size, lim)
	if err != nil {
		return nil, err
	}
	s := &Source{Name: name, IsZip: true, Size: size, NoModes: len(files) > 0, lim: lim}
	var members []Member
	var total uint64
	for _, f := range files {
		if by := f.CreatorVersion >> 8; by == creatorUnix || by == creatorDarwin {
			s.NoModes = false
		}
		m, err := checkMember(f, lim)
		entry := zipFile(f, &m)
		if err != nil {
			entry.Refused = memberReason(err)
			s.refuse(entry.Path, err)
		} else {
			members = append(members, m)
		}
		if total += f.UncompressedSize64; total < f.UncompressedSize64 { // lies can add up to anything
			total = math.MaxUint64 >> 1
		}
		s.Files = append(s.Files, entry)
	}
	if total > uint64(lim.Total) {
		s.refuse("", &LimitError{What: "total size", Limit: lim.Total})
	}
	s.checkMembers(members)
	s.sort()
	return s, nil
}

// zipFile describes a member, also one that is refused.
func zipFile(f *zip.File, m *Member) File {
	out := File{
		Path: strings.TrimSuffix(f.Name, "/"), Raw: f.Mode(), Mode: m.Mode, open: f.Open,
		Size: clamp(f.UncompressedSize64), Packed: clamp(f.CompressedSize64),
	}
	if m.file == nil {
		out.Mode = out.Raw.Type() | out.Raw&maskMode
	}
	return out
}

// clamp keeps a size from an archive positive.
func clamp(n uint64) int64 { return int64(min(n, math.MaxInt64>>16)) } //nolint:gosec // bounded

// memberReason is what to say about one member, without its name.
func memberReason(err error) string {
	switch err := err.(type) { //nolint:errorlint // made by checkMember, never wrapped
	case *UnsafeError:
		return err.Reason
	case *LimitError:
		return (&LimitError{What: err.What, Limit: err.Limit}).Error()
	}
	return err.Error()
}

// checkMembers applies the rules that concern members together, and notes what each finds.
func (s *Source) checkMembers(members []Member) {
	for _, check := range []func([]Member) error{checkOverlap, checkTree} {
		if err := check(members); err != nil {
			s.refuse(errorMember(err), err)
		}
	}
	if err := readLinks(members); err != nil {
		s.refuse(errorMember(err), err)
		return
	}
	targets := map[string]string{}
	for i := range members {
		targets[members[i].Path] = members[i].Link
	}
	for i := range s.Files {
		if f := &s.Files[i]; f.Mode&fs.ModeSymlink != 0 && f.Refused == "" {
			f.Link = targets[f.Path]
		}
	}
	s.checkLinks(members)
	s.refuse("", checkWrapped(members))
}

// errorMember is the member that an error is about, or "".
func errorMember(err error) string {
	switch err := err.(type) { //nolint:errorlint // made by the checks, never wrapped
	case *UnsafeError:
		return strings.TrimSuffix(err.Member, "/")
	case *ChecksumError:
		return err.Member
	}
	return ""
}
