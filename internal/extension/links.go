package extension

import "strings"

const maxHops = 40 // links followed for one path, as in the kernel

// links follows symlinks as the kernel would. Each is walked once, so that the time is linear in the size of all
// targets.
type links struct {
	targets map[string]string
	ends    map[string]end
}

// end is a link's final target and the number of links on the way: more than maxHops if it cannot be followed.
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
