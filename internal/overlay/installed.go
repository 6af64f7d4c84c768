package overlay

import "strings"

// Installed returns e as an installer running as root leaves a file of an archive: owner root,
// mode 0755 for directories and whatever the archive marks as executable, 0644 for the rest.
// Names of one inode become files of their own.
func Installed(e Entry) Entry {
	perm := uint32(0o644)
	switch {
	case e.IsLink():
		perm = 0o777
	case e.IsDir() || e.Perm()&0o111 != 0:
		perm = 0o755
	}
	e.Mode = e.Mode&TypeMask | perm
	e.UID, e.GID, e.HardLink = 0, 0, ""
	return e
}

// LinkLeaves reports whether a symlink at name, relative to some tree, may lead out of that tree.
// ".." is fine at the front of target, where it starts from real directories; what follows can
// then only descend.
func LinkLeaves(name, target string) bool {
	up, down := 0, false
	for _, part := range strings.Split(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if down {
				return true
			}
			up++
		default:
			down = true
		}
	}
	return strings.HasPrefix(target, "/") || up > strings.Count(name, "/")
}
