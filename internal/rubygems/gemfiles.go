package rubygems

import (
	"bytes"
	"fmt"
	"path"

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
		if err := out.Put(overlay.Installed(*e)); err != nil {
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

// checkLink refuses targets outside of the tree that name lies in.
func checkLink(name, target string) error {
	if overlay.LinkLeaves(name, target) {
		return fmt.Errorf("%w: symlink to %q", overlay.ErrPath, target)
	}
	return nil
}
