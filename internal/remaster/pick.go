package remaster

import (
	"fmt"
	"path"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/overlay"
)

// pick takes single files out of an extension, in the layout of the manual procedure: the file in
// /tmp/tcloop/<extension>/<path>, as if the extension were mounted there, and a symlink from <path> to it. The
// owner is root, as after "sudo cp"; the mode is the extension's.
func pick(tcz *overlay.Tree, file string, files []string) (*overlay.Tree, error) {
	out := &overlay.Tree{}
	root := "tmp/tcloop/" + strings.TrimSuffix(file, ".tcz")
	for _, want := range files {
		name, err := locate(tcz, file, want)
		if err != nil {
			return nil, err
		}
		e, err := tcz.Lookup(name)
		if err != nil {
			return nil, fmt.Errorf("pick %s from %s: %w", name, file, err)
		}
		if !e.IsRegular() {
			return nil, fmt.Errorf("pick %s from %s: not a file", name, file)
		}
		copied := *e
		copied.Path, copied.UID, copied.GID, copied.HardLink = path.Join(root, name), 0, 0, ""
		link := overlay.Symlink(name, "/"+copied.Path)
		link.Origin = file
		if err := putAll(out, copied, link); err != nil {
			return nil, err
		}
	}
	loop := overlay.Dir("tmp/tcloop", 0o775) // as tc-config makes it: group staff
	loop.GID = staff
	return out, out.Put(loop)
}

// staff is Tiny Core's group 50, tcUser its account tc.
const (
	staff  = 50
	tcUser = 1001
)

// locate finds a file by its path, or by a bare name that only one file has.
func locate(tcz *overlay.Tree, extension, want string) (string, error) {
	clean, err := overlay.CleanPath(want)
	if err != nil {
		return "", fmt.Errorf("pick from %s: %w", extension, err)
	}
	if tcz.Get(clean) != nil {
		return clean, nil
	}
	var near []string
	for _, e := range tcz.Entries() {
		if !e.IsDir() && path.Base(e.Path) == path.Base(clean) {
			near = append(near, e.Path)
		}
	}
	if len(near) == 1 && !strings.Contains(clean, "/") {
		return near[0], nil
	}
	hint := "change `pick` in mkbuild.yaml; the mirror's " + extension + ".list names its files"
	if len(near) > 0 {
		hint = "it has " + strings.Join(near, ", ") + ": change `pick` in mkbuild.yaml"
	}
	return "", fail.New(fail.Usage, fmt.Sprintf("pick %s: %s has no such file", clean, extension), hint)
}

func putAll(t *overlay.Tree, es ...overlay.Entry) error {
	for _, e := range es {
		if err := t.Put(e); err != nil {
			return err
		}
	}
	return nil
}
