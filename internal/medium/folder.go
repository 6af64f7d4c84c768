package medium

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mkbuild/internal/iso9660"
	"mkbuild/internal/overlay"
)

// Files of a PXE folder, next to kernel and initrds.
const (
	PXEScript   = "boot.ipxe"
	PXEManifest = "manifest.json"
	PXESums     = "SHA256SUMS"
)

// ErrNotPXEFolder is returned when a folder lacks the files of a PXE boot.
var ErrNotPXEFolder = errors.New("no folder for PXE")

// maxFolder bounds what a PXE folder holds; those made here have half a dozen files.
const maxFolder = 1000

// OpenFolder reads a PXE folder, whatever tool made it: what it boots by its PXELINUX menu, and its
// regular files.
func OpenFolder(dir string) (_ *Medium, err error) {
	defer recovered(dir, &err)
	if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(PXEMenu))); err != nil {
		return nil, fmt.Errorf("read %s: %w: it has no %s", dir, ErrNotPXEFolder, PXEMenu)
	}
	files, err := folderFiles(dir)
	if err != nil {
		return nil, err
	}
	m := &Medium{Name: dir, ISO: &iso9660.Image{}, Files: files, menus: []menu{{path: PXEMenu, dialect: pxelinux()}}}
	return m, m.readMenus()
}

// folderFiles lists the regular files of a folder.
func folderFiles(dir string) (*overlay.Tree, error) {
	tree, files := &overlay.Tree{}, os.DirFS(dir)
	return tree, fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
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
		return tree.Put(overlay.Entry{Path: name, Mode: overlay.TypeRegular | 0o444, Size: info.Size(), Open: func() (io.ReadCloser, error) { return files.Open(name) }})
	})
}

// WrongSums holds a PXE folder against its own SHA256SUMS, and returns the files that are missing or
// different. It returns SHA256SUMS itself if that cannot be read or has a line that is not of its form.
func (m *Medium) WrongSums() []string {
	f := m.Files.Get(PXESums)
	if f == nil {
		return []string{PXESums}
	}
	sums, err := f.Content(maxText)
	if err != nil {
		return []string{PXESums}
	}
	var wrong []string
	for line := range bytes.Lines(sums) {
		want, name, ok := strings.Cut(strings.TrimRight(string(line), "\r\n"), "  ")
		switch file := m.Files.Get(name); {
		case !ok:
			wrong = append(wrong, PXESums)
		case file == nil || !file.IsRegular():
			wrong = append(wrong, name)
		default:
			if sum, err := m.Sum(name); err != nil || sum != want {
				wrong = append(wrong, name)
			}
		}
	}
	return slices.Compact(wrong)
}
