package overlay

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoTop says that a tree does not consist of a single top folder.
var ErrNoTop = errors.New("not a single top folder")

// StripTop returns t without the one folder that holds everything, whatever that is called: source
// archives wrap their files in "name-version/" or "name-commit/". The folder's own entry and the
// root's are dropped, and so are the "._name" files that macOS puts beside it for what its file
// system knows of the folder (AppleDouble). It fails with [ErrNoTop] on any other shape.
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
