package extension

import (
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

// checkLinks refuses symlinks that are absolute, leave the tree or go round in circles. A
// link to a name that the archive does not have is harmless and allowed.
func checkLinks(members []Member) error {
	links := map[string]string{}
	for i := range members {
		if members[i].IsLink() {
			links[members[i].Path] = members[i].Link
		}
	}
	for i := range members {
		if !members[i].IsLink() {
			continue
		}
		if reason := badLink(members[i].Path, links); reason != "" {
			return &UnsafeError{Member: members[i].file.Name, Reason: reason}
		}
	}
	return nil
}

// badLink says why the link at p is refused, or "".
func badLink(p string, links map[string]string) string {
	target := links[p]
	switch {
	case strings.HasPrefix(target, "/"):
		return "absolute symlink"
	case !utf8.ValidString(target) || strings.ContainsAny(target, "\x00\\"):
		return "symlink target with NUL, backslash or bytes that are not UTF-8"
	}
	if !staysInside(p, links) {
		return "symlink leaves the archive or never ends"
	}
	return ""
}

// staysInside follows p as the kernel would, one component at a time: cleaning the text alone
// is not enough, because ".." after a link counts from where that link leads.
func staysInside(p string, links map[string]string) bool {
	todo := strings.Split(p, "/")
	var at []string
	for hops := 0; len(todo) > 0; {
		c := todo[0]
		todo = todo[1:]
		switch c {
		case "", ".":
			continue
		case "..":
			if len(at) == 0 {
				return false
			}
			at = at[:len(at)-1]
			continue
		}
		at = append(at, c)
		target, isLink := links[strings.Join(at, "/")]
		if !isLink {
			continue
		}
		if hops++; hops > maxHops || strings.HasPrefix(target, "/") {
			return false
		}
		at = at[:len(at)-1]
		todo = append(strings.Split(target, "/"), todo...)
	}
	return true
}

// known reports whether the client uses a top-level directory of that name.
func known(name string) bool { return name == "bin" || name == "lib" || name == "facts.d" }

// checkWrapped finds the commonest packing mistake: `zip -r x.zip dir` instead of the content
// of dir, which would silently add nothing.
func checkWrapped(members []Member) error {
	top, inner := "", ""
	for i := range members {
		first, rest, _ := strings.Cut(members[i].Path, "/")
		if first == "__MACOSX" || first == ".DS_Store" {
			continue
		}
		if known(first) || top != "" && first != top {
			return nil
		}
		top = first
		if second, _, _ := strings.Cut(rest, "/"); known(second) {
			inner = second
		}
	}
	if inner == "" {
		return nil
	}
	return fmt.Errorf("%w: %s is what the archive's root should be: pack the content of %q, not the directory itself",
		ErrWrapped, path.Join(top, inner), top)
}
