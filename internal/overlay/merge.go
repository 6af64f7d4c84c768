package overlay

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"strconv"

	"mkbuild/internal/fail"
)

// Conflict is a path of a layer that something else already occupies.
type Conflict struct {
	// Path is the intended path, with the symlinks of its directory resolved.
	Path string `json:"path"`
	// Kept and Skipped are the origins of the entry in the image and of the skipped entry.
	Kept    string `json:"kept"`
	Skipped string `json:"skipped"`
	// Reason is a text for the user.
	Reason string `json:"reason"`
}

// Layers puts trees on top of a base image, the root file system of a stock initrd. Extensions follow the rules of
// Tiny Core's own loader (design.md §4 rules 1-3); additions of the user and mkbuild follow the opposite rule. In
// both:
//
//   - an existing directory keeps its mode and owner, and the root's entry of a layer is ignored;
//   - an entry whose directory is a symlink in the image is placed at the symlink's target, because
//     the kernel would otherwise replace the symlink with a directory (init/initramfs.c, clean_path);
//   - missing parent directories are made 0755 root:root.
//
// Layers of one image come from many archives; their hard-link groups never mix.
type Layers struct {
	base    *Tree          // as given; never changed
	all     *Tree          // base and layers merged
	gaps    []*Entry       // directories without an entry in base
	merged  *Tree          // as Merged returns it; nil after a change
	changed map[string]int // additions to base, and the layer of each; directories above are implied
	count   int            // number of layers, to separate their hard-link groups
}

// NewLayers starts with a base image and does not change it. Nil is an empty base.
func NewLayers(base *Tree) *Layers {
	if base == nil {
		base = &Tree{}
	}
	l := &Layers{base: base.Clone(), changed: make(map[string]int)}
	for _, e := range l.base.entries {
		e.HardLink = groupIn(0, e.HardLink)
	}
	l.all = l.base.Clone()
	l.gaps = gaps(l.base)
	return l
}

// groupIn names a hard-link group of the n-th layer.
func groupIn(n int, group string) string {
	if group == "" {
		return ""
	}
	return strconv.Itoa(n) + "/" + group
}

// AddFirstWins adds an extension like `yes n | cp -ai` of stock tce-load: entries of the base and of earlier layers
// stay. It returns the skipped entries in path order. Existing directories are merged and never reported, and
// neither are identical files, devices or links. An error means that content could not be compared.
func (l *Layers) AddFirstWins(layer *Tree) ([]Conflict, error) {
	l.count++
	l.merged = nil
	var skipped []Conflict
	for _, e := range layer.Entries() {
		if e.Path == "." {
			continue
		}
		c, err := l.addFirst(e)
		if err != nil {
			return nil, err
		}
		if c != nil {
			skipped = append(skipped, *c)
		}
	}
	return skipped, nil
}

// addFirst adds one entry, or returns the conflict.
func (l *Layers) addFirst(e *Entry) (*Conflict, error) {
	at, old, reason := l.place(e)
	switch {
	case reason != "":
		if e.IsDir() && old.Path != at {
			return nil, nil // below a clash that is already reported
		}
		return &Conflict{Path: at, Kept: old.Origin, Skipped: e.Origin, Reason: reason}, nil
	case old == nil:
		return nil, l.put(e, at)
	case e.IsDir() && old.IsDir():
		return nil, nil
	case e.IsDir() != old.IsDir():
		return &Conflict{Path: at, Kept: old.Origin, Skipped: e.Origin, Reason: typeClash(old, e)}, nil
	}
	same, err := sameFile(old, e)
	if same || err != nil {
		return nil, err
	}
	return &Conflict{Path: at, Kept: old.Origin, Skipped: e.Origin, Reason: "already there"}, nil
}

// place returns the path of e and the entry there. It also follows a directory's own symlink that points to a
// directory or to nothing. If it returns a reason, e cannot be placed and old is in the way.
func (l *Layers) place(e *Entry) (at string, old *Entry, reason string) {
	at, err := l.all.ResolveParent(e.Path)
	if err != nil {
		return e.Path, loopIn(l.all, e.Path), "its directory is a symlink loop"
	}
	for dir := parent(at); dir != "."; dir = parent(dir) {
		if up := l.all.Get(dir); up != nil && !up.IsDir() {
			return at, up, fmt.Sprintf("%s is not a directory", dir)
		}
	}
	old = l.all.Get(at)
	if !e.IsDir() || old == nil || !old.IsLink() {
		return at, old, ""
	}
	target, err := l.all.Resolve(at)
	if err != nil {
		return at, old, "a symlink loop is in the place of the directory"
	}
	if there := l.all.Get(target); there == nil || there.IsDir() {
		return target, there, ""
	}
	return at, old, ""
}

// loopIn returns the first symlink on the way to p, for the error about a loop.
func loopIn(t *Tree, p string) *Entry {
	found := &Entry{}
	for ; p != "."; p = parent(p) {
		if e := t.Get(p); e != nil && e.IsLink() {
			found = e
		}
	}
	return found
}

func typeClash(old, e *Entry) string {
	if e.IsDir() {
		return "a directory cannot be merged with what is not one"
	}
	if old.IsDir() {
		return "there is a directory"
	}
	return "another file type"
}

// put adds e at a free or cleared path, with its missing directories.
func (l *Layers) put(e *Entry, at string) error {
	for dir := parent(at); dir != "."; dir = parent(dir) {
		if l.all.Get(dir) != nil {
			continue // continue: a base may lack a directory above an existing directory
		}
		made := Dir(dir, 0o755)
		made.Origin, made.MTime = e.Origin, e.MTime
		if err := l.all.Put(made); err != nil {
			return err
		}
	}
	placed := *e
	placed.Path = at
	placed.HardLink = groupIn(l.count, e.HardLink)
	l.changed[at] = l.count
	return l.all.Put(placed)
}

// AddLastWins adds entries of mkbuild or the user: files replace files of the base and of all layers. It fails with
// class [fail.Usage] if an entry would replace more than its own path; the layer is then added in part.
func (l *Layers) AddLastWins(layer *Tree) error {
	l.count++
	l.merged = nil
	for _, e := range layer.Entries() {
		if e.Path == "." {
			continue
		}
		if err := l.addLast(e); err != nil {
			return err
		}
	}
	return nil
}

func (l *Layers) addLast(e *Entry) error {
	at, old, reason := l.place(e)
	switch {
	case reason != "":
		return clash(at, old, e, reason)
	case old == nil:
		return l.put(e, at)
	case e.IsDir() && old.IsDir():
		return nil
	}
	if reason := l.irreplaceable(at, old, e); reason != "" {
		return clash(at, old, e, reason)
	}
	if b := l.base.Get(at); b != nil && b.UID == e.UID && b.GID == e.GID {
		same, err := sameFile(b, e)
		if err != nil {
			return err
		}
		if same {
			delete(l.changed, at)
			return l.all.Put(*b)
		}
	}
	return l.put(e, at)
}

// clash is the error of a layer that must win but cannot replace old.
func clash(at string, old, e *Entry, reason string) error {
	return fail.New(fail.Usage, fmt.Sprintf("replace %s of %s with that of %s: %s", at, old.Origin, e.Origin, reason),
		"give your files another `target` in the `overlay` of mkbuild.yaml")
}

// irreplaceable returns the reason why e in a later segment of an initrd cannot replace old when init/initramfs.c
// of the kernel unpacks it, or "".
func (l *Layers) irreplaceable(at string, old, e *Entry) string {
	if old.IsDir() && len(l.all.Children(at)) > 0 {
		return "the directory is not empty"
	}
	b := l.base.Get(at)
	if b == nil || b.Mode&TypeMask != e.Mode&TypeMask {
		return ""
	}
	if b.HardLink != "" && b.IsRegular() {
		for _, other := range l.all.Entries() {
			if other.HardLink == b.HardLink && other.Path != at {
				return "it is a hard link of " + other.Path + ", and the kernel would change both"
			}
		}
	}
	if b.Major != e.Major || b.Minor != e.Minor {
		return "the kernel does not renumber a device node that exists"
	}
	return ""
}

// Added returns the difference from the base: the segment to append to it. Every directory above an added entry is
// repeated with its values from the base, because the kernel applies the last entry of a directory (rule 2). If the
// base has an entry for the root, it is added as 0755 root:root (rule 1).
func (l *Layers) Added() *Tree {
	return l.AddedBy(func(int) bool { return true })
}

// Layer returns the number of the last added layer, counted from 1.
func (l *Layers) Layer() int { return l.count }

// AddedBy is [Layers.Added] for the layers whose numbers take accepts: their entries that no later layer replaced.
// Entries other than directories are in the tree of one layer only, and directories have the same values in all
// trees, so archives of such trees can follow each other in any order.
func (l *Layers) AddedBy(take func(layer int) bool) *Tree {
	out := newTree(make(map[string]*Entry))
	for p, layer := range l.changed {
		if !take(layer) {
			continue
		}
		e := *l.all.entries[p]
		if l.base.Get(p) != nil {
			// Kernels of the 3.x time cannot link over an existing name: repeat the content.
			e.HardLink = ""
		}
		out.entries[p] = &e
		for dir := parent(p); dir != "." && out.entries[dir] == nil; dir = parent(dir) {
			parent := *l.all.entries[dir]
			out.entries[dir] = &parent
		}
	}
	if root := l.base.Get("."); root != nil {
		out.entries["."] = plainRoot(root)
	}
	return out
}

// Merged returns the whole image: the base, the additions, and a root of 0755 root:root. Missing directories of the
// base are added as 0755 root:root. The result is shared until the next layer is added.
func (l *Layers) Merged() *Tree {
	if l.merged != nil {
		return l.merged
	}
	l.merged = newTree(maps.Clone(l.all.entries))
	for _, dir := range l.gaps {
		if l.merged.entries[dir.Path] == nil {
			l.merged.entries[dir.Path] = dir
		}
	}
	l.merged.entries["."] = plainRoot(l.all.entries["."])
	return l.merged
}

// gaps are the directories without an entry in a tree, with the origin of the first path below each.
func gaps(t *Tree) []*Entry {
	var out []*Entry
	seen := map[string]bool{".": true}
	for _, e := range t.Entries() {
		for dir := parent(e.Path); !seen[dir]; dir = parent(dir) {
			seen[dir] = true
			if t.entries[dir] == nil {
				made := Dir(dir, 0o755)
				made.Origin = e.Origin
				out = append(out, &made)
			}
		}
	}
	return out
}

// plainRoot returns the root directory of every image; stored is the base's entry.
func plainRoot(stored *Entry) *Entry {
	root := Dir(".", 0o755)
	if stored != nil {
		root.MTime, root.Origin = stored.MTime, stored.Origin
	}
	return &root
}

// sameFile reports whether a and b have the same type, permissions, link target, device number and content. Owners
// and times are ignored: they differ between two builds of one file.
func sameFile(a, b *Entry) (bool, error) {
	if a.IsLink() && b.IsLink() {
		return a.Link == b.Link, nil // the permissions of a symlink have no effect
	}
	if a.Mode != b.Mode || a.Major != b.Major || a.Minor != b.Minor || a.Size != b.Size {
		return false, nil
	}
	ha, hb := sha256.New(), sha256.New()
	err := a.CopyTo(ha)
	if err == nil {
		err = b.CopyTo(hb)
	}
	if err != nil {
		return false, fmt.Errorf("compare %s of %s and %s: %w", b.Path, a.Origin, b.Origin, err)
	}
	return string(ha.Sum(nil)) == string(hb.Sum(nil)), nil
}
