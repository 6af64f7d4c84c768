package extension

import (
	"archive/zip"
	"cmp"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxName     = 255     // NAME_MAX of Linux
	maxPath     = 1024    // well below PATH_MAX, with room for the generation's directory
	maxLink     = 1024    // bytes of a symlink's target
	maxHops     = 40      // links followed for one path, as in the kernel
	ratioFloor  = 1 << 20 // small members may compress as well as they like
	localHeader = 30      // fixed part of a member's local header
	encrypted   = 1       // general purpose flag bit 0
	maskMode    = 0o755   // no setuid, setgid, sticky, no write for group and others
)

// checkMember applies the rules that concern one member alone.
func checkMember(f *zip.File, lim Limits) (Member, error) {
	name, isDir := strings.CutSuffix(f.Name, "/")
	if reason := badName(name, lim.Depth); reason != "" {
		return Member{}, &UnsafeError{Member: f.Name, Reason: reason}
	}
	mode, reason := memberMode(f, isDir)
	if reason != "" {
		return Member{}, &UnsafeError{Member: f.Name, Reason: reason}
	}
	if err := checkSize(f, mode, lim); err != nil {
		return Member{}, err
	}
	return Member{Path: name, Mode: mode, Size: int64(f.UncompressedSize64), file: f}, nil
}

// badName says why a name cannot be unpacked, or "".
func badName(name string, depth int) string {
	switch {
	case name == "":
		return "empty name"
	case len(name) > maxPath:
		return "path is too long"
	case strings.HasPrefix(name, "/"):
		return "absolute path"
	case strings.ContainsRune(name, '\\'):
		return `backslash in the name: pack it with "/" as the separator`
	case !utf8.ValidString(name):
		return "name is not UTF-8"
	case strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return "control character in the name"
	}
	parts := strings.Split(name, "/")
	if len(parts) > depth {
		return fmt.Sprintf("more than %d directories deep", depth)
	}
	for _, p := range parts {
		if p == "" || p == "." || p == ".." {
			return "path is not clean"
		}
		if len(p) > maxName {
			return "name is too long"
		}
	}
	return ""
}

// memberMode works out type and permissions. A zip made on MS-DOS has no Unix modes: such
// files become 0644, so nothing in them is executable.
func memberMode(f *zip.File, isDir bool) (os.FileMode, string) {
	mode := f.Mode()
	if f.Flags&encrypted != 0 {
		return 0, "encrypted"
	}
	if f.Method != zip.Store && f.Method != zip.Deflate {
		return 0, fmt.Sprintf("unsupported compression method %d", f.Method)
	}
	const special = os.ModeNamedPipe | os.ModeSocket | os.ModeDevice | os.ModeCharDevice | os.ModeIrregular
	switch {
	case mode&special != 0:
		return 0, "special file"
	case mode&os.ModeSymlink != 0:
		if isDir {
			return 0, "both a directory and a symlink"
		}
		return os.ModeSymlink | 0o777, ""
	case isDir:
		return os.ModeDir | maskMode, ""
	case mode.IsDir():
		return 0, "directory without a trailing slash"
	}
	return mode&maskMode | 0o600, ""
}

// checkSize applies the limits of one member to what its directory entry claims.
func checkSize(f *zip.File, mode os.FileMode, lim Limits) error {
	size, packed := f.UncompressedSize64, f.CompressedSize64
	switch {
	case packed > uint64(lim.Compressed):
		return &UnsafeError{Member: f.Name, Reason: "claims to be longer than the archive may be"}
	case mode.IsDir() && size != 0:
		return &UnsafeError{Member: f.Name, Reason: "directory with content"}
	case mode&os.ModeSymlink != 0 && (size == 0 || size > maxLink):
		return &UnsafeError{Member: f.Name, Reason: "symlink target is empty or too long"}
	case size > uint64(lim.File):
		return &LimitError{Member: f.Name, What: "size", Limit: lim.File}
	case lim.Ratio > 0 && size > ratioFloor && size/uint64(lim.Ratio) > packed:
		return &LimitError{Member: f.Name, What: "compression ratio", Limit: lim.Ratio}
	}
	return nil
}

// checkOverlap refuses members that share packed bytes: the trick of zip bombs that stay
// within the ratio of each member.
func checkOverlap(members []Member) error {
	type span struct {
		start, end int64
		name       string
	}
	spans := make([]span, 0, len(members))
	for i := range members {
		f := members[i].file
		start, err := f.DataOffset()
		if err != nil {
			return fmt.Errorf("%w: member %q: %w", ErrNotZip, f.Name, err)
		}
		spans = append(spans, span{start, start + int64(f.CompressedSize64), f.Name})
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	for i := 1; i < len(spans); i++ {
		if spans[i].start < spans[i-1].end+localHeader {
			return &UnsafeError{Member: spans[i].name, Reason: "overlaps another member"}
		}
	}
	return nil
}

// checkTree refuses a name given twice and a member that lies below a file or a symlink.
func checkTree(members []Member) error {
	kind := make(map[string]bool, len(members)) // path → is a directory
	for i := range members {
		m := &members[i]
		if _, dup := kind[m.Path]; dup {
			return &UnsafeError{Member: m.file.Name, Reason: "name appears twice"}
		}
		kind[m.Path] = m.IsDir()
	}
	for i := range members {
		m := &members[i]
		for dir := path.Dir(m.Path); dir != "."; dir = path.Dir(dir) {
			if isDir, listed := kind[dir]; listed && !isDir {
				return &UnsafeError{Member: m.file.Name, Reason: "lies below something that is no directory"}
			}
		}
	}
	return nil
}

// readLinks reads the targets of the symlinks, whose CRC is checked on the way.
func readLinks(members []Member) error {
	for i := range members {
		m := &members[i]
		if !m.IsLink() {
			continue
		}
		r, err := m.Open()
		if err != nil {
			return memberError(m, err)
		}
		b, err := io.ReadAll(io.LimitReader(r, maxLink+1))
		r.Close() //nolint:errcheck,gosec // only read
		if err != nil {
			return memberError(m, err)
		}
		m.Link = string(b)
	}
	return nil
}
