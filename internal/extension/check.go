package extension

import (
	"archive/zip"
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxName     = 255     // NAME_MAX of Linux
	maxPath     = 1024    // well below PATH_MAX, with room for the generation's directory
	maxLink     = 1024    // bytes of a symlink's target
	ratioFloor  = 1 << 20 // small members may compress as well as they like
	localHeader = 30      // fixed part of a member's local header
	encrypted   = 1       // general purpose flag bit 0
	maskMode    = 0o755   // no setuid, setgid, sticky, no write for group and others
	badTarget   = "symlink target is empty or too long"
)

// badName says why a name is refused, or "".
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
	if strings.HasPrefix(parts[0], ".facts.d") {
		return "mk-client keeps its own links in .facts.d: call it facts.d"
	}
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

// badMember says why a member's kind is refused, or "".
func badMember(m *zip.File, isDir bool) (Kind, string) {
	const special = fs.ModeNamedPipe | fs.ModeSocket | fs.ModeDevice | fs.ModeCharDevice | fs.ModeIrregular
	switch mode := m.Mode(); {
	case m.Flags&encrypted != 0:
		return Format, "encrypted"
	case m.Method != zip.Store && m.Method != zip.Deflate:
		return Format, fmt.Sprintf("unsupported compression method %d", m.Method)
	case mode&special != 0:
		return Special, "special file"
	case mode&fs.ModeSymlink != 0 && isDir:
		return Link, "both a directory and a symlink"
	case mode.IsDir() && !isDir:
		return Format, "directory without a trailing slash"
	}
	return 0, ""
}

// badSize says which limit of one member its directory entry exceeds, or "".
func badSize(m *zip.File, mode fs.FileMode, lim Limits) (Kind, string) {
	size, packed := m.UncompressedSize64, m.CompressedSize64
	switch {
	case packed > uint64(lim.Compressed):
		return Format, "claims to be longer than the archive may be"
	case mode.IsDir() && size != 0:
		return Format, "directory with content"
	case mode&fs.ModeSymlink != 0 && (size == 0 || size > maxLink):
		return Link, badTarget
	case size > uint64(lim.File):
		return Limit, tooBig("", "size", lim.File).Reason
	case lim.Ratio > 0 && size > ratioFloor && size/uint64(lim.Ratio) > packed:
		return Limit, tooBig("", "compression ratio", lim.Ratio).Reason
	}
	return 0, ""
}

// taken lists the files not refused so far.
func (s *Source) taken() (files []*File) {
	for i := range s.Files {
		if f := &s.Files[i]; f.Refused == "" {
			files = append(files, f)
		}
	}
	return files
}

func (s *Source) checkTotal() {
	if s.Total() > s.Limits.Total {
		s.judge(tooBig("", "total size", s.Limits.Total))
	}
}

// checkOverlap refuses members that share packed bytes: the trick of zip bombs that stay
// within the ratio of each member.
func (s *Source) checkOverlap() {
	type span struct {
		start, end int64
		name       string
	}
	var spans []span
	for _, f := range s.taken() {
		start, err := f.member.DataOffset()
		if err != nil {
			s.judge(&Error{Kind: NotZip, Reason: notZip, Err: fmt.Errorf("member %q: %w", f.Path, err)})
			return
		}
		spans = append(spans, span{start, start + int64(f.member.CompressedSize64), f.Path}) //nolint:gosec // within the limits
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	for i := 1; i < len(spans); i++ {
		if spans[i].start < spans[i-1].end+localHeader {
			s.judge(&Error{Kind: Format, Member: spans[i].name, Reason: "overlaps another member"})
			return
		}
	}
}

// checkNames refuses duplicate names, and members below a file or a symlink.
func (s *Source) checkNames() {
	isDir := make(map[string]bool, len(s.Files))
	for _, f := range s.taken() {
		if _, twice := isDir[f.Path]; twice {
			s.judge(&Error{Kind: Format, Member: f.Path, Reason: "name appears twice"})
			return
		}
		isDir[f.Path] = f.IsDir()
	}
	for _, f := range s.taken() {
		for dir := path.Dir(f.Path); dir != "."; dir = path.Dir(dir) {
			if is, listed := isDir[dir]; listed && !is {
				s.judge(&Error{Kind: Name, Member: f.Path, Reason: "its parent is not a directory"})
				return
			}
		}
	}
}

// readLinks reads the targets of an archive's symlinks, and checks their CRC.
func (s *Source) readLinks() {
	for _, f := range s.taken() {
		if !f.IsLink() {
			continue
		}
		var b []byte
		r, err := f.open()
		if err == nil {
			b, err = io.ReadAll(io.LimitReader(r, maxLink+1))
			r.Close() //nolint:errcheck,gosec // only read
		}
		if err != nil {
			s.Unreadable(f, f.fault(err))
		}
		f.Link = string(b)
	}
}

// finish applies the rules that concern the files of directories and archives together.
func (s *Source) finish() {
	s.checkLinks()
	s.checkWrapped()
	slices.SortStableFunc(s.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
}

// checkLinks refuses symlinks that are absolute, leave the extension or go round in circles. A link to a missing
// name is harmless and allowed.
func (s *Source) checkLinks() {
	l := links{targets: map[string]string{}, ends: map[string]end{}}
	for _, f := range s.taken() {
		if f.IsLink() {
			l.targets[f.Path] = f.Link
		}
	}
	for _, f := range s.taken() {
		switch {
		case !f.IsLink():
		case f.Link == "" || len(f.Link) > maxLink:
			s.refuse(f, Link, badTarget)
		case strings.HasPrefix(f.Link, "/"):
			s.refuse(f, Link, "absolute symlink")
		case !utf8.ValidString(f.Link) || strings.ContainsAny(f.Link, "\x00\\"):
			s.refuse(f, Link, "symlink target with NUL, backslash or bytes that are not UTF-8")
		default:
			e := l.follow(f.Path)
			if f.End = e.path; e.hops > maxHops {
				s.refuse(f, Link, "symlink leaves the archive or never ends")
			}
		}
	}
}

// Role says how the client uses a top-level directory; "" if it does not.
func Role(name string) string {
	switch name {
	case "bin":
		return "prepended to PATH of Facter and all facts"
	case "lib":
		return "prepended to LD_LIBRARY_PATH; lib/ruby prepended to RUBYLIB, lib/ruby/facter/*.rb are custom facts"
	case "facts.d":
		return "read by Facter as external facts"
	}
	return ""
}

// checkWrapped finds the most common packing mistake: `zip -r x.zip dir` instead of the content of dir, which
// would silently add nothing.
func (s *Source) checkWrapped() {
	top, inner := "", ""
	for _, f := range s.taken() {
		first, rest, _ := strings.Cut(f.Path, "/")
		if first == "__MACOSX" || first == ".DS_Store" {
			continue
		}
		if Role(first) != "" || top != "" && first != top {
			return
		}
		top = first
		if second, _, _ := strings.Cut(rest, "/"); Role(second) != "" {
			inner = second
		}
	}
	if inner != "" {
		s.judge(&Error{Kind: Wrapped, Reason: fmt.Sprintf(
			"content is wrapped in a directory: %s should be %s at the top of the archive: pack the content of %q, not the directory itself", path.Join(top, inner), inner, top)})
	}
}
