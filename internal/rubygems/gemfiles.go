package rubygems

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"mkbuild/internal/overlay"
)

// readFiles unpacks data.tar.gz and makes it safe: what `gem install` would write, 0644 or 0755 by
// the x bits, root's, and nothing that reaches outside of the gem's own directory.
func readFiles(data []byte, file string) (*overlay.Tree, error) {
	t, err := overlay.ReadTar(bytes.NewReader(data), file, overlay.Limits{Total: maxGemData, Entries: maxGemFiles})
	if err != nil {
		return nil, fmt.Errorf("%w: data.tar.gz: %w", ErrNotGem, err)
	}
	out := &overlay.Tree{}
	for _, e := range t.Entries() {
		if e.Path == "." {
			continue
		}
		if err := checkFile(t, e); err != nil {
			return nil, fmt.Errorf("read %s: %q: %w", file, e.Path, err)
		}
		if err := out.Put(normalized(*e)); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
	}
	return out, nil
}

// checkFile refuses types that no gem contains, and links that leave it.
func checkFile(t *overlay.Tree, e *overlay.Entry) error {
	for d := path.Dir(e.Path); d != "."; d = path.Dir(d) {
		if p := t.Get(d); p != nil && !p.IsDir() {
			return fmt.Errorf("%w: %q is not a directory", overlay.ErrPath, d)
		}
	}
	switch {
	case e.IsDir(), e.IsRegular():
		return nil
	case e.IsLink():
		return checkLink(e.Path, e.Link)
	}
	return fmt.Errorf("%w: mode %#o in a gem", ErrNotGem, e.Mode)
}

// checkLink refuses targets outside of the tree that name lies in. ".." may only lead: then it
// starts from real directories, and what follows can only descend.
func checkLink(name, target string) error {
	up, down := 0, false
	for _, part := range strings.Split(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if down {
				return fmt.Errorf("%w: symlink to %q", overlay.ErrPath, target)
			}
			up++
		default:
			down = true
		}
	}
	if strings.HasPrefix(target, "/") || up > strings.Count(name, "/") {
		return fmt.Errorf("%w: symlink to %q", overlay.ErrPath, target)
	}
	return nil
}

// normalized gives e the owner and the mode of an installed file.
func normalized(e overlay.Entry) overlay.Entry {
	perm := uint32(0o644)
	switch {
	case e.IsLink():
		perm = 0o777
	case e.IsDir() || e.Perm()&0o111 != 0:
		perm = 0o755
	}
	e.Mode = e.Mode&overlay.TypeMask | perm
	e.UID, e.GID, e.HardLink = 0, 0, ""
	return e
}
