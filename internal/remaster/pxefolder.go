package remaster

import (
	"bytes"
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

	"mkbuild/internal/iso9660"
)

// ErrNoPXEFolder says that a folder is none for a network boot server.
var ErrNoPXEFolder = errors.New("no folder for PXE")

// maxFolder bounds what a PXE folder holds; those made here have half a dozen files.
const maxFolder = 1000

// ReadPXEFolder reads a folder for PXE, whoever made it: what it boots by its PXELINUX menu, and its
// files, as those of a medium without any boot catalog. What is no regular file is left out.
func ReadPXEFolder(dir string) (_ *iso9660.Image, _ *Medium, err error) {
	defer recovered(dir, &err)
	if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(pxeMenu))); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w: it has no %s", dir, ErrNoPXEFolder, pxeMenu)
	}
	img, err := folderImage(dir)
	if err != nil {
		return nil, nil, err
	}
	b := &base{image: img, name: dir, menus: []menu{{path: pxeMenu}}}
	m, err := b.medium()
	return img, m, err
}

// folderImage lists the files of a folder.
func folderImage(dir string) (*iso9660.Image, error) {
	img, files := &iso9660.Image{}, os.DirFS(dir)
	return img, fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if len(img.Files) == maxFolder {
			return fmt.Errorf("read %s: %w: it has more than %d files", dir, ErrNoPXEFolder, maxFolder)
		}
		img.Put(iso9660.File{Path: name, Mode: 0o100444, Size: info.Size(), Open: func() (io.ReadCloser, error) { return files.Open(name) }})
		return nil
	})
}

// dir is the folder that a menu's names are relative to: GRUB takes them from the root of its device,
// PXELINUX from the folder of pxelinux.0.
func (m *menu) dir() string {
	if m.grub || m.path == pxeMenu {
		return ""
	}
	return path.Dir(m.path)
}

// loader is what reads a menu.
func (m *menu) loader() string {
	switch {
	case m.grub:
		return "grub"
	case m.path == pxeMenu:
		return "pxelinux"
	}
	return "isolinux"
}

// WrongSums holds a PXE folder against its own SHA256SUMS, and returns the files that are not there or
// not as that says. It is SHA256SUMS itself that cannot be read or names what is no file of the folder.
func WrongSums(dir string) []string {
	sums, err := os.ReadFile(filepath.Join(dir, PXESums)) //nolint:gosec // the user's own choice
	if err != nil {
		return []string{PXESums}
	}
	var wrong []string
	for line := range bytes.Lines(sums) {
		want, name, ok := strings.Cut(strings.TrimRight(string(line), "\r\n"), "  ")
		if !ok || !filepath.IsLocal(filepath.FromSlash(name)) {
			wrong = append(wrong, PXESums)
			continue
		}
		h := sha256.New()
		err := copyFrom(h, func() (io.ReadCloser, error) { return os.Open(filepath.Join(dir, filepath.FromSlash(name))) }) //nolint:gosec // below dir
		if err != nil || hex.EncodeToString(h.Sum(nil)) != want {
			wrong = append(wrong, name)
		}
	}
	return slices.Compact(wrong)
}
