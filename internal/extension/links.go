package extension

import (
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxHops   = 40 // links followed for one path, as in the kernel
	badTarget = "symlink target is empty or too long"
)

// readLinks reads the targets of an archive's symlinks, whose CRC is checked on the way.
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

// checkLinks refuses symlinks that are absolute, leave the extension or go round in circles. A link
// to a name that the extension does not have is harmless and allowed.
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

// links follows symlinks as the kernel would. Each is walked once, so that the time is linear in the
// size of all targets, however they lead through each other.
type links struct {
	targets map[string]string
	ends    map[string]end
}

// end is where a link leads and how many links that takes: more than maxHops if it cannot be followed.
type end struct {
	path string
	hops int
}

// follow walks the target of the link at p one component at a time: cleaning the text alone is not
// enough, because ".." after a link counts from where that link leads.
func (l *links) follow(p string) end {
	if e, ok := l.ends[p]; ok {
		return e
	}
	l.ends[p] = end{hops: maxHops + 1} // holds if it leads to itself
	at, hops := parent(p), 1
	if strings.HasPrefix(l.targets[p], "/") {
		return l.ends[p]
	}
	for c := range strings.SplitSeq(l.targets[p], "/") {
		switch {
		case c == "" || c == ".":
			continue
		case c == ".." && at == "" || len(at) > maxPath:
			return l.ends[p]
		case c == "..":
			at = parent(at)
			continue
		case at != "":
			c = at + "/" + c
		}
		if at = c; l.isLink(at) {
			e := l.follow(at)
			if hops += e.hops; hops > maxHops {
				return l.ends[p]
			}
			at = e.path
		}
	}
	l.ends[p] = end{at, hops}
	return l.ends[p]
}

func (l *links) isLink(p string) bool {
	_, ok := l.targets[p]
	return ok
}

// parent is the directory of a clean path, "" for the root.
func parent(p string) string { return p[:max(strings.LastIndexByte(p, '/'), 0)] }
