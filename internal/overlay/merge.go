package overlay

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"strconv"

	"mkbuild/internal/fail"
)

// Conflict is one path that a layer wanted to deliver and that something else already had.
type Conflict struct {
	// Path is where the entry would have been, symlinks in its directory resolved.
	Path string `json:"path"`
	// Kept and Skipped are the origins of what is in the image and of what is not.
	Kept    string `json:"kept"`
	Skipped string `json:"skipped"`
	// Reason says why, for people.
	Reason string `json:"reason"`
}

// Layers puts trees on top of a base image, the root file system of a stock initrd, with the rules
// of Tiny Core's own loader for extensions (design.md §4 rules 1-3) and the opposite rule for what
// the user and mkbuild add themselves. In both:
//
//   - an existing directory keeps its mode and owner, and the root's entry of a layer is ignored;
//   - an entry whose directory is a symlink in the image is placed where the symlink leads, since
//     the kernel would otherwise replace the symlink by a directory (init/initramfs.c, clean_path);
//   - missing parent directories are made 0755 root:root.
//
// Layers of one image come from many archives; their hard-link groups never mix.
type Layers struct {
	base    *Tree          // as given; not changed
	all     *Tree          // base and layers merged
	gaps    []*Entry       // directories that nothing in base stands for
	merged  *Tree          // as Merged returns it; nil after a change
	changed map[string]int // what base has not, or has differently, and which layer brought it; directories above are implied
	count   int            // layers added, to keep hard-link groups apart
}

// NewLayers starts with a base image, which it does not change. Nil is an empty base.
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

// AddFirstWins adds an extension as `yes n | cp -ai` of stock tce-load does: what the base or an
// earlier layer has stays. It returns what was skipped in path order. Directories that exist are
// merged and never reported; neither is the same file, device or link delivered again. An error
// means that content could not be compared.
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

// addFirst adds one entry, or returns why not.
func (l *Layers) addFirst(e *Entry) (*Conflict, error) {
	at, old, reason := l.place(e)
	switch {
	case reason != "":
		if e.IsDir() && old.Path != at {
			return nil, nil // below a clash that is reported already
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

// place finds where e belongs and what is there. A directory's own symlink is followed, too, when
// it leads to a directory or nowhere. With a reason, e cannot be placed, and old is in the way.
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

// loopIn returns the first symlink on the way to p, to name the owner of a loop.
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

// put adds e at a free or cleared path and makes the directories that are missing on the way.
func (l *Layers) put(e *Entry, at string) error {
	for dir := parent(at); dir != "."; dir = parent(dir) {
		if l.all.Get(dir) != nil {
			continue // not the end: a base may lack a directory above one that it has
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

// AddLastWins adds what mkbuild or the user wants to have in the image whatever is there: files
// replace files of the base and of all layers. It fails with class [fail.Usage] where an entry would
// take more with it than its own path, and then the layer is added in part.
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

// clash is the error of a layer that has to win and cannot replace old.
func clash(at string, old, e *Entry, reason string) error {
	return fail.New(fail.Usage, fmt.Sprintf("replace %s of %s with that of %s: %s", at, old.Origin, e.Origin, reason),
		"give your files another `target` in the `overlay` of mkbuild.yaml")
}

// irreplaceable says why e cannot take the place of old in a later segment of an initrd, as
// init/initramfs.c of the kernel unpacks it; "" means that it can.
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

// Added returns what differs from the base: the segment to append to it. Every directory above an
// added entry is repeated with the values that it has in the base, because the kernel applies the
// last entry of a directory (rule 2); the root, when the base has an entry for it, as 0755 root:root
// (rule 1).
func (l *Layers) Added() *Tree {
	return l.AddedBy(func(int) bool { return true })
}

// Layer returns the number of the layer that was added last, counted from 1.
func (l *Layers) Layer() int { return l.count }

// AddedBy is [Layers.Added] for the layers that take wants, by their numbers: what they brought and
// no later one replaced. Everything but directories is in the tree of one layer alone, and
// directories have the same values in all of them, so that archives of such trees may follow one
// another in any order.
func (l *Layers) AddedBy(take func(layer int) bool) *Tree {
	out := newTree(make(map[string]*Entry))
	for p, layer := range l.changed {
		if !take(layer) {
			continue
		}
		e := *l.all.entries[p]
		if l.base.Get(p) != nil {
			// Kernels of the 3.x time cannot link over a name that exists: repeat the content.
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

// Merged returns the whole image: the base, what was added, and a root of 0755 root:root.
// Directories that the base lacks above what it has are there as 0755 root:root, too. What it returns is
// shared until the next layer is added.
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

// gaps are the directories that no entry of a tree stands for, with the origin of the first path below each.
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

// plainRoot returns the root directory as every image must have it; stored is what the base has.
func plainRoot(stored *Entry) *Entry {
	root := Dir(".", 0o755)
	if stored != nil {
		root.MTime, root.Origin = stored.MTime, stored.Origin
	}
	return &root
}

// sameFile reports whether a and b are alike in type, permissions, link target, device number and
// content. Owners and times are not compared: two builds of one file differ in those.
func sameFile(a, b *Entry) (bool, error) {
	if a.IsLink() && b.IsLink() {
		return a.Link == b.Link, nil // nothing looks at a symlink's permissions
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
