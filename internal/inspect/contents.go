package inspect

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/manifest"
	"mkbuild/internal/overlay"
)

// ErrNoFile is returned for a file that an image does not have.
var ErrNoFile = fail.New(fail.Usage, "no such file in the image", "")

// records describes the booted system as a manifest does, with all digests: anyone who has the image can read its
// files.
func records(m *Image) ([]manifest.File, error) {
	origins := originsOf(m.Manifest)
	var out []manifest.File
	for _, e := range m.Tree.Entries() {
		sum := ""
		if e.IsRegular() {
			var err error
			if sum, err = sumEntry(e); err != nil {
				return nil, fmt.Errorf("read %s: %w", m.Name, err)
			}
		}
		f := manifest.Describe(e, sum)
		f.Origin = origins[e.Path]
		out = append(out, f)
	}
	return out, nil
}

// originsOf are the origins of the booted system's files by path; nil without a manifest.
func originsOf(m *manifest.Manifest) map[string]string {
	out := map[string]string{}
	if m != nil {
		for i := range m.Files {
			out[string(m.Files[i].Path)] = m.Files[i].Origin
		}
	}
	return out
}

// mediumPrefix marks a path of the medium.
const mediumPrefix = "iso:"

// WriteFile writes a file of the booted system, symlinks followed, or of the medium if the path begins with
// "iso:".
func (m *Image) WriteFile(w io.Writer, name string) error {
	e, err := m.lookup(name)
	if errors.Is(err, overlay.ErrNotExist) {
		err = ErrNoFile
	}
	if err == nil && !e.IsRegular() {
		err = fmt.Errorf("%w: it is not a regular file", ErrNoFile)
	}
	if err != nil {
		return fmt.Errorf("read %s of %s: %w", name, m.Name, err)
	}
	return e.CopyTo(w)
}

func (m *Image) lookup(name string) (*overlay.Entry, error) {
	p, onMedium := strings.CutPrefix(name, mediumPrefix)
	switch {
	case onMedium && m.Medium == nil:
		return nil, fmt.Errorf("%w: it is not an ISO", ErrNoFile)
	case onMedium:
		return m.Medium.Files.Lookup(strings.Trim(path.Clean("/"+p), "/"))
	case m.Tree == nil:
		return nil, fmt.Errorf("%w: it boots nothing", ErrNoFile)
	}
	return m.Tree.Lookup(strings.TrimLeft(name, "/"))
}

// Sizes say which regular files take the space of the booted system. A file with several names counts once.
type Sizes struct {
	// Origins are the sums by origin in the manifest; nil without one.
	Origins []Amount `json:"origins,omitempty"`
	// Directories are the two upper levels of the booted system.
	Directories []Amount `json:"directories"`
	// Largest are its largest files, at most twenty.
	Largest []Amount `json:"largest"`
}

// Amount is a part of a sum: bytes of content, and of memory.
type Amount struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
	RAM   int64  `json:"ram"`
	Files int    `json:"files"`
}

const (
	maxLargest = 20
	// pageSize is the kernel's unit of memory for files of a root file system, in bytes.
	pageSize = 4096
)

func (a *Amount) add(size int64) {
	a.Bytes += size
	a.RAM += (size + pageSize - 1) / pageSize * pageSize
	a.Files++
}

// contents are the regular files of a system, one of the names of each.
func contents(t *overlay.Tree) []*overlay.Entry {
	var out []*overlay.Entry
	seen := map[string]bool{}
	for _, e := range t.Entries() {
		if e.IsRegular() && (e.HardLink == "" || !seen[e.HardLink]) {
			out = append(out, e)
			seen[e.HardLink] = true
		}
	}
	return out
}

func sizes(m *Image) *Sizes {
	origins, files := originsOf(m.Manifest), contents(m.Tree)
	largest := amounts(files, func(e *overlay.Entry) string { return e.Path })
	return &Sizes{
		Origins:     amounts(files, func(e *overlay.Entry) string { return origins[e.Path] }),
		Directories: amounts(files, func(e *overlay.Entry) string { return upper(e.Path) }),
		Largest:     largest[:min(len(largest), maxLargest)],
	}
}

// upper is the directory of a path, two levels at most.
func upper(p string) string {
	parts := strings.Split(path.Dir(p), "/")
	return strings.Join(parts[:min(len(parts), 2)], "/")
}

// amounts sums files by the result of name, the largest sum first.
func amounts(files []*overlay.Entry, name func(*overlay.Entry) string) []Amount {
	sums := map[string]*Amount{}
	for _, e := range files {
		n := name(e)
		if sums[n] == nil {
			sums[n] = &Amount{Name: n}
		}
		sums[n].add(e.Size)
	}
	delete(sums, "")
	out := []Amount{}
	for _, a := range sums {
		out = append(out, *a)
	}
	slices.SortFunc(out, func(a, b Amount) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name)) })
	return out
}
