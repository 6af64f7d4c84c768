package overlay

import (
	"fmt"
	"path"
	"strings"

	"mkbuild/internal/fail"
)

// ErrNoTop is returned for a tree that does not consist of a single top folder.
var ErrNoTop = fail.New(fail.Verification, "not a single top folder", "")

// StripTop returns t without its single top folder: source archives wrap their files in "name-version/" or
// "name-commit/". It drops the folder's own entry, the root's, and the "._name" file of macOS metadata
// (AppleDouble) next to the folder. It fails with [ErrNoTop] on any other shape.
func (t *Tree) StripTop() (*Tree, error) {
	top := ""
	for _, e := range t.Entries() {
		first, _, _ := strings.Cut(e.Path, "/")
		switch {
		case e.Path == "." || strings.HasPrefix(first, "._"):
		case top == "" || top == first:
			top = first
		default:
			return nil, fmt.Errorf("strip the top folder: %w: there are %q and %q", ErrNoTop, top, first)
		}
	}
	if e := t.Get(top); top == "" || e != nil && !e.IsDir() {
		return nil, fmt.Errorf("strip the top folder: %w: there is no folder", ErrNoTop)
	}
	out := &Tree{}
	for _, e := range t.Entries() {
		rest, below := strings.CutPrefix(e.Path, top+"/")
		if !below {
			continue
		}
		moved := *e
		moved.Path = rest
		if err := out.Put(moved); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ErrType is returned for a device, pipe or socket in an archive to install.
var ErrType = fail.New(fail.Verification, "not a file, directory or symlink", "")

// Installed returns the entries of an archive as installed by root: owner root, mode 0755 for directories and
// executable files, 0644 for other files. Hard links become separate files, and the root's own entry is dropped. It
// fails with [ErrPath] on symlinks that may leave the tree and on entries below a non-directory, and with
// [ErrType].
func (t *Tree) Installed() (*Tree, error) {
	out := &Tree{}
	for _, e := range t.Entries() {
		if e.Path == "." {
			continue
		}
		if err := t.checkInstallable(e); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", e.Origin, e.Path, err)
		}
		installed := *e
		perm := uint32(0o644)
		switch {
		case e.IsLink():
			perm = 0o777
		case e.IsDir() || e.Perm()&0o111 != 0:
			perm = 0o755
		}
		installed.Mode = e.Mode&TypeMask | perm
		installed.UID, installed.GID, installed.HardLink = 0, 0, ""
		if err := out.Put(installed); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (t *Tree) checkInstallable(e *Entry) error {
	for d := parent(e.Path); d != "."; d = parent(d) {
		if up := t.Get(d); up != nil && !up.IsDir() {
			return fmt.Errorf("%w: %q is not a directory", ErrPath, d)
		}
	}
	if !e.IsDir() && !e.IsRegular() && !e.IsLink() {
		return ErrType
	}
	if e.IsLink() && linkLeaves(e.Path, e.Link) {
		return fmt.Errorf("%w: symlink to %q", ErrPath, e.Link)
	}
	return nil
}

// linkLeaves reports whether a symlink at name, relative to some tree, may leave that tree. ".." is safe at the
// front of target, which starts in real directories; the parts after it can only descend.
func linkLeaves(name, target string) bool {
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

// PutBelow adds e and its missing directories from base on, 0755 and owned by root. A directory above base belongs
// to another layer: an entry here would reset its mode and owner.
func (t *Tree) PutBelow(base string, e Entry) error {
	clean, err := CleanPath(e.Path)
	if err != nil {
		return err
	}
	base = strings.TrimPrefix(base, "/")
	for d := path.Dir(clean); t.Get(d) == nil && (d == base || strings.HasPrefix(d, base+"/")); d = path.Dir(d) {
		dir := Dir(d, 0o755)
		dir.MTime, dir.Origin = e.MTime, e.Origin
		if err := t.Put(dir); err != nil {
			return err
		}
	}
	return t.Put(e)
}
