// Package medium reads what a boot medium boots: an ISO, a folder for a network boot server (PXE), or an initrd
// alone. It finds the boot menus and follows them to the kernel, the initrds and the kernel arguments of each
// entry; it edits the menus, every copy of a menu alike; and it writes a medium in its form.
//
// It opens only files that a menu names, and never changes a file: an edit is a new [Medium]. Any tool may have
// made a medium, so all its bytes are untrusted.
//
// Start reading at [Medium]. Only the packages isolinux, grub, sdboot and ipxe know the syntax of menus;
// dialect.go lists them, and is the place for another loader.
package medium

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/initrd"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/manifest"
	"mkbuild/internal/overlay"
	"mkbuild/internal/tcz"
)

// ErrNoMenu is returned when no boot menu boots a kernel with an initrd.
var ErrNoMenu = fail.New(fail.Verification, "no isolinux.cfg or grub.cfg that boots a kernel with an initrd", "")

// Form is the kind of a medium.
type Form int

// The forms.
const (
	ISO    Form = iota
	PXE         // a folder for a network boot server
	Initrd      // an initrd alone, without menus and kernel
)

// Medium is an ISO, a PXE folder or an initrd.
type Medium struct {
	// Name is for messages.
	Name string
	Form Form
	// Files are the medium's files; ISO shares them.
	Files *overlay.Tree
	// ISO has the volume and its boot catalog; other forms have an empty one.
	ISO *iso9660.Image
	// Entries are the entries of all boot menus, menu by menu, the default of each first.
	Entries []Entry
	// Kernel and Initrds are the paths of the default entry's files, Arguments its kernel arguments without
	// initrd=. They are empty if no entry boots a kernel with an initrd.
	Kernel    string
	Initrds   []string
	Arguments string
	// Others are entries that boot something else than Initrds; Doubts are places in menus that mkbuild cannot
	// follow.
	Others, Doubts []Doubt

	menus  []menu
	efi    []*efiImage
	folded map[string][]string // paths by their loose form
	twins  map[string]string   // a menu's paths, and other files that a loader may find under them
	links  map[string]string   // paths by other names of the same files
	file   *os.File            // nil if there is no file to close
}

// Entry is one entry of a boot menu that boots a kernel.
type Entry struct {
	// Menu is the menu's path on the medium, or names the EFI boot image that holds it.
	Menu string `json:"menu"`
	Line int    `json:"line,omitempty"`
	// Loader is "isolinux", "grub", "systemd-boot", "pxelinux" or "ipxe".
	Loader string `json:"loader"`
	Name   string `json:"label"`
	// Kernel and Initrds are as the menu names them, Append are the kernel arguments.
	Kernel  string   `json:"kernel"`
	Initrds []string `json:"initrds,omitempty"`
	Append  string   `json:"append,omitempty"`
	// Missing are the files that the medium lacks.
	Missing []string `json:"missing,omitempty"`
	// First marks the entry that its menu boots by default.
	First bool `json:"-"`
}

// Paths of files that not only boot loaders read.
const (
	// RazorMetadata is the file that Razor's image service reads: in an ISO's root, in lower case.
	RazorMetadata = "iso-metadata.yaml"
	// PXESums lists the files of a PXE folder with their SHA-256.
	PXESums = "SHA256SUMS"
)

// ManifestPath is the path of mkbuild's manifest on a medium; "" for a form without one.
func (m *Medium) ManifestPath() string {
	return map[Form]string{ISO: manifest.Name, PXE: manifest.FolderName}[m.Form]
}

// Manifest reads mkbuild's manifest of a medium, and its text. A medium without one yields nil.
func (m *Medium) Manifest() (about *manifest.Manifest, text []byte, err error) {
	f := m.Files.Get(m.ManifestPath())
	if f == nil {
		return nil, nil, nil
	}
	if text, err = f.Content(manifest.MaxSize); err == nil {
		about, err = manifest.Parse(text)
	}
	return about, text, err
}

// Close releases the file that [Open] or [OpenISO] opened.
func (m *Medium) Close() error {
	if m.file == nil {
		return nil
	}
	return m.file.Close()
}

// Bootable returns an [ErrNoMenu] if no entry boots a kernel with an initrd.
func (m *Medium) Bootable() error {
	if m.Kernel != "" {
		return nil
	}
	for _, e := range m.Entries {
		if len(e.Missing) > 0 {
			return fail.New(fail.Verification, fmt.Sprintf("read %s: %s:%d: %s names %s, which is not on the medium", m.Name, e.Menu, e.Line, e.title(), strings.Join(e.Missing, ", ")), "correct the menu, or add the file")
		}
	}
	return fmt.Errorf("read %s: %w", m.Name, ErrNoMenu)
}

// Open reads a file of the medium.
func (m *Medium) Open(name string) (io.ReadCloser, error) {
	e := m.Files.Get(name)
	if e == nil {
		return nil, fmt.Errorf("read %s in %s: %w", name, m.Name, fs.ErrNotExist)
	}
	open := e.Open
	if open == nil {
		open = overlay.Bytes(nil)
	}
	r, err := open()
	if err != nil {
		return nil, fmt.Errorf("read %s in %s: %w", name, m.Name, err)
	}
	return r, nil
}

// Sum returns the SHA-256 of a file of the medium.
func (m *Medium) Sum(name string) (string, error) {
	r, err := m.Open(name)
	if err != nil {
		return "", err
	}
	defer r.Close() //nolint:errcheck // only read
	sum := sha256.New()
	if _, err := io.Copy(sum, r); err != nil {
		return "", fmt.Errorf("read %s in %s: %w", name, m.Name, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// maxText bounds a boot menu; real menus have less than 4 KiB.
const maxText = 1 << 20

// text reads a boot menu, or a file that one includes.
func (m *Medium) text(name string) ([]byte, error) {
	text, err := m.Files.Get(name).Content(maxText)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Name, err)
	}
	return text, nil
}

// find returns the path of a file that a menu names relative to dir. Loaders differ: GRUB follows symlinks,
// isolinux ignores case, and its old releases know only plain ISO 9660 names. A name that means different files
// to different loaders becomes a doubt.
func (m *Medium) find(dir, name string) string {
	name = strings.ReplaceAll(name, "\\", "/")
	if !strings.HasPrefix(name, "/") {
		name = path.Join("/"+dir, name)
	}
	name = strings.TrimPrefix(path.Clean(name), "/")
	found := m.links[name]
	if real, err := m.Files.Resolve(name); err == nil && m.Files.Get(real) != nil {
		found = real
	}
	if m.folded == nil {
		m.fold()
	}
	for _, twin := range m.folded[loose(name)] {
		if found == "" {
			found = twin
		}
		if twin != found && !m.Files.Get(twin).IsLink() {
			m.twins[found] = twin
		}
	}
	return found
}

// fold lists the files by their names without case, and without the characters that ISO 9660 lacks.
func (m *Medium) fold() {
	m.folded, m.twins = map[string][]string{}, map[string]string{}
	add := func(name, file string) {
		if name = loose(name); !slices.Contains(m.folded[name], file) {
			m.folded[name] = append(m.folded[name], file)
		}
	}
	for _, f := range m.Files.Entries() {
		add(f.Path, f.Path)
	}
	if m.Form != ISO {
		return
	}
	plain, err := iso9660.PlainNames(m.Files)
	if err != nil {
		return // nor can it be written
	}
	for _, name := range slices.Sorted(maps.Keys(plain)) {
		add(name, plain[name])
	}
}

// loose is a name as isolinux compares it: without case, trailing dots and version.
func loose(name string) string {
	name, _, _ = strings.Cut(name, ";")
	return strings.ToLower(strings.TrimRight(name, "."))
}

// LastInitrd is the path of the last initrd: files appended to it win.
func (m *Medium) LastInitrd() string { return m.Initrds[len(m.Initrds)-1] }

// Segments are the default entry's initrds as the boot loader loads them: each padded to a multiple of four
// bytes.
func (m *Medium) Segments() initrd.Segments {
	var out initrd.Segments
	for _, name := range m.Initrds {
		open := func() (io.ReadCloser, error) { return m.Open(name) }
		out = append(out, initrd.Segment{Name: name, Size: m.Files.Get(name).Size, Open: open}.Padded())
	}
	return out
}

// Made returns the initrd that mkbuild made of n segments: the last one, or the last n in a folder of blobs.
func (m *Medium) Made(n int) initrd.Segments {
	all := m.Segments()
	if BlobDigest(m.LastInitrd()) == "" {
		n = 1
	}
	return all[max(0, len(all)-n):]
}

// OneInitrd joins the default entry's initrds to one, under the path of the last.
func (m *Medium) OneInitrd() overlay.Entry {
	all := m.Segments()
	return overlay.Entry{Path: m.LastInitrd(), Mode: overlay.TypeRegular | 0o444, Size: all.Size(), Open: all.Open}
}

// MaxInitrd bounds an unpacked initrd. Tiny Core's largest have about 60 MB, images with big extensions some
// hundreds.
const MaxInitrd = 2 << 30

// Tree unpacks the default entry's initrds into memory.
func (m *Medium) Tree() (*overlay.Tree, error) {
	t, _, err := m.Unpack()
	return t, err
}

// Unpack is [Medium.Tree] that also returns the members of the initrds.
func (m *Medium) Unpack() (t *overlay.Tree, members []initrd.Member, err error) {
	defer fail.Recover(m.Name, &err)
	r, err := m.Segments().Open()
	if err != nil {
		return nil, nil, err
	}
	defer r.Close() //nolint:errcheck // only read
	if t, members, err = initrd.ReadMembers(r, m.Name, MaxInitrd, nil); err != nil {
		return nil, nil, fmt.Errorf("read %s in %s: %w", strings.Join(m.Initrds, " and "), m.Name, err)
	}
	return t, members, nil
}

// KernelRelease reads the name of the default entry's kernel: "3.0.21-tinycore".
func (m *Medium) KernelRelease() (string, error) {
	if err := m.Bootable(); err != nil {
		return "", err
	}
	r, err := m.Open(m.Kernel)
	if err != nil {
		return "", err
	}
	defer r.Close() //nolint:errcheck // only read
	release, err := tcz.KernelRelease(r)
	if err != nil {
		return "", fmt.Errorf("read %s in %s: %w", m.Kernel, m.Name, err)
	}
	return release, nil
}
