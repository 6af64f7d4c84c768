package medium

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/ipxe"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/manifest"
	"mkbuild/internal/overlay"
	"mkbuild/internal/wholefile"
)

// Files of a PXE folder, next to kernel and initrds.
const (
	pxelinuxMenu = "pxelinux.cfg/default" // relative to the folder of pxelinux.0
	ipxeScript   = "boot.ipxe"
	PXESums      = "SHA256SUMS"
)

// ErrNotPXEFolder is returned when a folder lacks the files of a PXE boot.
var ErrNotPXEFolder = errors.New("no folder for PXE")

// maxFolder bounds what a PXE folder holds; those made here have half a dozen files.
const maxFolder = 1000

// OpenFolder reads a PXE folder, whatever tool made it: what it boots by its menus, and its regular files.
func OpenFolder(dir string) (_ *Medium, err error) {
	defer fail.Recover(dir, &err)
	tree, files := &overlay.Tree{}, os.DirFS(dir)
	err = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if tree.Len() == maxFolder {
			return fmt.Errorf("read %s: %w: it has more than %d files", dir, ErrNotPXEFolder, maxFolder)
		}
		open := func() (io.ReadCloser, error) { return files.Open(name) }
		return tree.Put(overlay.Entry{Path: name, Mode: overlay.TypeRegular | 0o444, Size: info.Size(), Open: open})
	})
	if err != nil {
		return nil, err
	}
	return folder(dir, tree)
}

// folder reads the menus of a folder.
func folder(dir string, files *overlay.Tree) (*Medium, error) {
	m := &Medium{Name: dir, Form: PXE, ISO: &iso9660.Image{}, Files: files}
	if err := m.findMenus(); err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	if len(m.menus) == 0 {
		return nil, fmt.Errorf("read %s: %w: it has no %s", dir, ErrNotPXEFolder, pxelinuxMenu)
	}
	return m, m.readMenus()
}

// NewFolder returns a PXE folder that boots a kernel and its initrds by PXELINUX and iPXE. They get their
// base names, changed as far as two are alike or as loaders would not take them.
func NewFolder(kernel overlay.Entry, initrds []overlay.Entry, args string) (*Medium, error) {
	taken := []string{ipxeScript, path.Dir(pxelinuxMenu), manifest.FolderName, PXESums}
	kernel.Path = pxeName(kernel.Path, &taken)
	files := &overlay.Tree{}
	err := files.Put(kernel)
	var names []string
	for _, e := range initrds {
		e.Path = pxeName(e.Path, &taken)
		err = errors.Join(err, files.Put(e))
		names = append(names, e.Path)
	}
	script, badArgs := ipxe.Script(kernel.Path, names, args)
	menu := strings.TrimRight(fmt.Sprintf("DEFAULT microkernel\nPROMPT 0\nLABEL microkernel\n\tKERNEL %s\n\tAPPEND initrd=%s %s", kernel.Path, strings.Join(names, ","), args), " ") + "\n"
	err = errors.Join(err, badArgs, files.Put(overlay.File(ipxeScript, 0o444, script)), files.Put(overlay.File(pxelinuxMenu, 0o444, []byte(menu))))
	if err != nil {
		return nil, err
	}
	return folder("the PXE folder", files)
}

// pxeName returns the last part of a path with characters that TFTP servers, URLs and boot scripts all take
// as they are, different from those that are taken.
func pxeName(p string, taken *[]string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._+-", r) {
			return r
		}
		return '_'
	}, path.Base(p))
	for slices.ContainsFunc(*taken, func(t string) bool { return strings.EqualFold(t, name) }) {
		name += "_"
	}
	*taken = append(*taken, name)
	return name
}

// writeFolder writes the files and their SHA256SUMS.
func (m *Medium) writeFolder(ctx context.Context, name string) error {
	if err := CheckFolder(name); err != nil {
		return err
	}
	return wholefile.Folder(name, func(dir string) error {
		var sums bytes.Buffer
		for _, e := range m.Files.Entries() {
			if e.Path == PXESums || !e.IsRegular() {
				continue
			}
			sum := sha256.New()
			if err := fillFile(ctx, dir, e, sum); err != nil {
				return err
			}
			fmt.Fprintf(&sums, "%x  %s\n", sum.Sum(nil), e.Path)
		}
		last := overlay.File(PXESums, 0o444, sums.Bytes())
		return fillFile(ctx, dir, &last, io.Discard)
	})
}

// fillFile writes one file of a folder that nobody sees yet, readable by everybody.
func fillFile(ctx context.Context, dir string, e *overlay.Entry, sum io.Writer) error {
	name := filepath.Join(dir, filepath.FromSlash(e.Path))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // below dir
	if err != nil {
		return err
	}
	err = e.CopyTo(wholefile.Interruptible(ctx, io.MultiWriter(f, sum)))
	return errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
}

// CheckFolder refuses a folder that [Medium.Write] would have to remove with files that are not its
// own: those that its SHA256SUMS names are.
func CheckFolder(name string) error {
	info, err := os.Stat(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return occupied(name, "no folder")
	}
	own := map[string]bool{PXESums: true}
	sums, err := os.ReadFile(filepath.Join(name, PXESums)) //nolint:gosec // the user's own choice
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for line := range bytes.Lines(sums) {
		if _, file, ok := cutSum(line); ok {
			own[file] = true
		}
	}
	return filepath.WalkDir(name, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(name, p)
		if err == nil && !own[filepath.ToSlash(rel)] {
			err = occupied(name, rel)
		}
		return err
	})
}

func occupied(folder, file string) error {
	return fail.New(fail.Usage, fmt.Sprintf("write %s: it is there and holds %s, which is no part of a PXE folder made here", folder, file), "name another folder with -o, or remove this one")
}

// cutSum takes a line of SHA256SUMS apart.
func cutSum(line []byte) (sum, file string, ok bool) {
	return strings.Cut(strings.TrimRight(string(line), "\r\n"), "  ")
}

// WrongSums holds a PXE folder against its own SHA256SUMS, and returns the files that are missing or
// different. It returns SHA256SUMS itself if that cannot be read or has a line that is not of its form.
func (m *Medium) WrongSums() []string {
	list := m.Files.Get(PXESums)
	if list == nil {
		return []string{PXESums}
	}
	text, err := list.Content(maxText)
	if err != nil {
		return []string{PXESums}
	}
	var wrong []string
	for line := range bytes.Lines(text) {
		want, name, ok := cutSum(line)
		if !ok {
			wrong = append(wrong, PXESums)
		} else if sum, err := m.Sum(name); err != nil || sum != want {
			wrong = append(wrong, name)
		}
	}
	return slices.Compact(wrong)
}

// Sum returns the SHA-256 of a file of the medium.
func (m *Medium) Sum(name string) (string, error) {
	e := m.Files.Get(name)
	if e == nil {
		return "", fmt.Errorf("read %s in %s: %w", name, m.Name, fs.ErrNotExist)
	}
	sum := sha256.New()
	if err := e.CopyTo(sum); err != nil {
		return "", fmt.Errorf("%s: %w", m.Name, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
