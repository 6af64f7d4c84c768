package inspect

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"mkbuild/internal/manifest"
	"mkbuild/internal/overlay"
)

// ErrNoFile says that an image does not have a file that was asked for.
var ErrNoFile = errors.New("no such file in the image")

func sumEntry(e *overlay.Entry) (string, error) {
	sum := sha256.New()
	if err := e.CopyTo(sum); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// record describes an entry as a manifest does, with its digest: what can be read out of an image
// is no secret from whoever has it. The origin is the manifest's word.
func (m *Image) record(e *overlay.Entry, origins map[manifest.Text]string) (manifest.File, error) {
	var sum string
	if e.IsRegular() {
		var err error
		if sum, err = sumEntry(e); err != nil {
			return manifest.File{}, err
		}
	}
	f := manifest.Describe(e, sum)
	f.Origin = origins[f.Path]
	return f, nil
}

// records describes the booted system.
func (m *Image) records() ([]manifest.File, error) {
	if m.Tree == nil {
		return nil, nil
	}
	origins := m.origins()
	var out []manifest.File
	for _, e := range m.Tree.Entries() {
		f, err := m.record(e, origins)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", m.Name, err)
		}
		out = append(out, f)
	}
	return out, nil
}

// origins are where the files come from by the manifest.
func (m *Image) origins() map[manifest.Text]string {
	out := map[manifest.Text]string{}
	if m.Manifest != nil {
		for i := range m.Manifest.Files {
			out[m.Manifest.Files[i].Path] = m.Manifest.Files[i].Origin
		}
	}
	return out
}

// isoPrefix marks a path of the medium in [Image.WriteFile].
const isoPrefix = "iso:"

// WriteFile writes a file of the booted system, symlinks followed; of the medium when the path
// begins with "iso:".
func (m *Image) WriteFile(w io.Writer, name string) error {
	if p, ok := strings.CutPrefix(name, isoPrefix); ok {
		return m.writeMedium(w, p)
	}
	if m.Tree == nil {
		return fmt.Errorf("read %s: %w: %s boots nothing", name, ErrNoFile, m.Name)
	}
	e, err := m.Tree.Lookup(strings.TrimLeft(name, "/"))
	if errors.Is(err, overlay.ErrNotExist) {
		return fmt.Errorf("read %s of %s: %w", name, m.Name, ErrNoFile)
	}
	if err != nil {
		return fmt.Errorf("read %s of %s: %w", name, m.Name, err)
	}
	if !e.IsRegular() {
		return fmt.Errorf("read %s of %s: %w: it is not a regular file", name, m.Name, ErrNoFile)
	}
	return e.CopyTo(w)
}

func (m *Image) writeMedium(w io.Writer, name string) error {
	if m.Medium == nil {
		return fmt.Errorf("read %s%s: %w: %s is no ISO", isoPrefix, name, ErrNoFile, m.Name)
	}
	f := m.Medium.Files.Get(strings.Trim(path.Clean("/"+name), "/"))
	if f == nil || !f.IsRegular() {
		return fmt.Errorf("read %s%s of %s: %w", isoPrefix, name, m.Name, ErrNoFile)
	}
	return (&overlay.Entry{Path: f.Path, Mode: f.Mode, Size: f.Size, Open: f.Open}).CopyTo(w)
}

// Sizes say what takes the space. They are sums of files' contents in bytes, unpacked; one file
// with several names counts once.
type Sizes struct {
	// Origins are what the files came from, by the manifest; without one there are none.
	Origins []Amount `json:"origins,omitempty"`
	// Directories are the two upper levels of the booted system.
	Directories []Amount `json:"directories"`
	// Largest are its largest files, at most twenty.
	Largest []Amount `json:"largest"`
}

// Amount is a part of a sum.
type Amount struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
	Files int    `json:"files"`
}

const maxLargest = 20

func (m *Image) sizes() *Sizes {
	if m.Tree == nil {
		return nil
	}
	origins, byOrigin, byDir := m.origins(), map[string]*Amount{}, map[string]*Amount{}
	out := &Sizes{Directories: []Amount{}, Largest: []Amount{}}
	seen := map[string]bool{}
	for _, e := range m.Tree.Entries() {
		if !e.IsRegular() || e.HardLink != "" && seen[e.HardLink] {
			continue
		}
		seen[e.HardLink] = true
		if o := origins[manifest.Text(e.Path)]; o != "" {
			count(byOrigin, o, e.Size)
		}
		count(byDir, upper(e.Path), e.Size)
		out.Largest = append(out.Largest, Amount{e.Path, e.Size, 1})
	}
	out.Origins, out.Directories = ranked(byOrigin), ranked(byDir)
	slices.SortStableFunc(out.Largest, largestFirst)
	out.Largest = out.Largest[:min(len(out.Largest), maxLargest)]
	return out
}

// upper is the directory of a path, two levels at most.
func upper(p string) string {
	parts := strings.Split(path.Dir(p), "/")
	return strings.Join(parts[:min(len(parts), 2)], "/")
}

func count(in map[string]*Amount, name string, size int64) {
	if in[name] == nil {
		in[name] = &Amount{Name: name}
	}
	in[name].Bytes += size
	in[name].Files++
}

func ranked(in map[string]*Amount) []Amount {
	out := make([]Amount, 0, len(in))
	for _, a := range in {
		out = append(out, *a)
	}
	slices.SortFunc(out, largestFirst)
	return out
}

func largestFirst(a, b Amount) int {
	return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name))
}
