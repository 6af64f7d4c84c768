package inspect

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/tcz"
)

// trees compares the booted systems, file by file.
func (d *Diff) trees(a, b *Image) error {
	err := d.pairs(AreaFile, a.filePaths(b), b.filePaths(a), func(p string) error {
		details, err := compareEntries(a.Tree.Get(p), b.Tree.Get(p))
		if err != nil {
			return fmt.Errorf("compare %s of %s and %s: %w", p, a.Name, b.Name, err)
		}
		d.add(AreaFile, p, details...)
		return nil
	})
	return err
}

// filePaths lists the files of a system, sorted. Markers of extensions and specifications of gems
// that only one side has are left out: the extension or the gem is named instead.
func (m *Image) filePaths(other *Image) []string {
	var out []string
	for _, e := range m.Tree.Entries() {
		if other.Tree.Get(e.Path) == nil && !e.IsDir() && (path.Dir(e.Path) == tcz.InstalledDir ||
			path.Base(path.Dir(e.Path)) == "specifications" && strings.HasSuffix(e.Path, ".gemspec")) {
			continue
		}
		out = append(out, e.Path)
	}
	slices.Sort(out)
	return out
}

// compareEntries tells what differs between two entries of one path.
func compareEntries(x, y *overlay.Entry) ([]Detail, error) {
	if x.Mode&overlay.TypeMask != y.Mode&overlay.TypeMask {
		return []Detail{{"type", typeName(x.Mode), typeName(y.Mode)}}, nil
	}
	owner := func(e *overlay.Entry) string { return fmt.Sprintf("%d:%d", e.UID, e.GID) }
	out := differ([3]string{"owner", owner(x), owner(y)})
	switch {
	case x.IsLink():
		return append(out, differ([3]string{"link", x.Link, y.Link})...), nil // nothing looks at a link's mode
	case x.IsRegular():
		same, err := sameContent(x, y)
		if err != nil {
			return nil, err
		}
		if !same {
			out = append(out, Detail{"content", fmt.Sprintf("%d bytes", x.Size), fmt.Sprintf("%d bytes", y.Size)})
		}
	case x.Major != y.Major || x.Minor != y.Minor:
		out = append(out, Detail{"device", fmt.Sprintf("%d:%d", x.Major, x.Minor), fmt.Sprintf("%d:%d", y.Major, y.Minor)})
	}
	mode := func(e *overlay.Entry) string { return fmt.Sprintf("%04o", e.Perm()) }
	return append(differ([3]string{"mode", mode(x), mode(y)}), out...), nil
}

func sameContent(x, y *overlay.Entry) (bool, error) {
	if x.Size != y.Size {
		return false, nil
	}
	sx, err := sumEntry(x)
	if err != nil {
		return false, err
	}
	sy, err := sumEntry(y)
	return sx == sy, err
}

func typeName(mode uint32) string {
	switch mode & overlay.TypeMask {
	case overlay.TypeRegular:
		return "file"
	case overlay.TypeDir:
		return "directory"
	case overlay.TypeLink:
		return "symlink"
	case overlay.TypeChar:
		return "character device"
	case overlay.TypeBlock:
		return "block device"
	case overlay.TypeFIFO:
		return "pipe"
	}
	return "socket"
}

// media compares the other files of the media. What is named already is left out: kernels, initrds,
// the catalog, menus of which some entry has changed, and the two descriptions of the image itself.
func (d *Diff) media(a, b *Image) error {
	skip := map[string]bool{metadataName: true, medium.PXESums: a.Kind == KindPXE, a.manifestName(): true}
	for _, m := range []*Image{a, b} {
		skip[m.Medium.Kernel], skip[m.ISO.CatalogPath] = true, true
		for _, name := range m.Medium.Initrds {
			skip[name] = true
		}
	}
	for _, c := range d.Changes {
		if c.Area == AreaMenu {
			menu, _, _ := strings.Cut(c.Name, " ")
			skip[menu] = true
		}
	}
	return d.pairs(AreaMedium, mediumPaths(a, skip), mediumPaths(b, skip), func(p string) error {
		same, err := sameFile(a, b, p)
		if err == nil && !same {
			d.add(AreaMedium, p, Detail{Property: "content"})
		}
		return err
	})
}

func mediumPaths(m *Image, skip map[string]bool) []string {
	var out []string
	for _, f := range m.Medium.Files.Entries() {
		if f.IsRegular() && !skip[f.Path] {
			out = append(out, f.Path)
		}
	}
	slices.Sort(out)
	return out
}

// sameFile compares a file of two media, without the tables that say where it lies.
func sameFile(a, b *Image, p string) (bool, error) {
	x, y := a.Medium.Files.Get(p), b.Medium.Files.Get(p)
	if x.Size != y.Size {
		return false, nil
	}
	sx, err := a.mediumSum(x)
	if err != nil {
		return false, err
	}
	sy, err := b.mediumSum(y)
	return sx == sy, err
}

// mediumSum is the digest that a manifest has of a file of the medium.
func (m *Image) mediumSum(f *overlay.Entry) (string, error) {
	if !m.ISO.HasTables(f.Path) {
		return m.sumFile(f)
	}
	b, err := m.ISO.WithoutTables(f)
	if err != nil {
		return "", fmt.Errorf("read %s in %s: %w", f.Path, m.Name, err)
	}
	return sumOf(strings.NewReader(string(b)))
}
