package medium

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mkbuild/internal/fail"
	"mkbuild/internal/initrd"
	"mkbuild/internal/manifest"
	"mkbuild/internal/overlay"
	"mkbuild/internal/wholefile"
)

// A PXE folder in segments keeps kernel and initrds as blobs: files named by their SHA-256, which never change.
// PXELINUX names all of them in one line, so it uses links with short names.
const (
	blobDir  = "blobs/sha256"
	shortDir = "s"
	shortLen = 12  // digits of the digest
	maxBlobs = 1e5 // bounds the blobs of a folder, which years of builds may share
)

// BlobDigest returns the digest in a blob's name; "" for another file.
func BlobDigest(name string) string {
	dir, digest := path.Split(name)
	if dir == blobDir+"/" && isHex(digest, 2*sha256.Size) {
		return digest
	}
	return ""
}

func isHex(s string, n int) bool { return len(s) == n && strings.Trim(s, "0123456789abcdef") == "" }

// isShort reports whether a path is a short link's.
func isShort(name string) bool {
	return path.Dir(name) == shortDir && isHex(path.Base(name), shortLen)
}

func shortOf(digest string) string { return shortDir + "/" + digest[:shortLen] }

// NewSegments returns a PXE folder of blobs that boots a kernel and its initrds with PXELINUX and iPXE. Initrds
// are padded, because old UEFI stubs join them without padding.
func NewSegments(kernel overlay.Entry, initrds []overlay.Entry, args string) (*Medium, error) {
	files := &overlay.Tree{}
	var paths, names []string
	for i, e := range slices.Concat([]overlay.Entry{kernel}, initrds) {
		if i > 0 {
			padded := initrd.Segment{Size: e.Size, Open: e.Open}.Padded()
			e.Size, e.Open = padded.Size, padded.Open
		}
		sum := sha256.New()
		if err := e.CopyTo(sum); err != nil {
			return nil, err
		}
		digest := hex.EncodeToString(sum.Sum(nil))
		e.Path, e.HardLink = blobDir+"/"+digest, ""
		if err := files.Put(e); err != nil {
			return nil, err
		}
		paths, names = append(paths, e.Path), append(names, shortOf(digest))
	}
	return bootFolder(files, paths, names, args)
}

// Blobs returns the paths of the blobs that a folder boots, the kernel's first; nil for other media.
func Blobs(dir string) []string {
	m, err := OpenFolder(dir)
	if err != nil || BlobDigest(m.Kernel) == "" {
		return nil
	}
	return append([]string{m.Kernel}, m.Initrds...)
}

func shortLinks(files *overlay.Tree) map[string]string {
	out := map[string]string{}
	for _, f := range files.Entries() {
		if digest := BlobDigest(f.Path); digest != "" {
			out[shortOf(digest)] = f.Path
		}
	}
	return out
}

// linksOf are a folder's short names that lead to their blobs.
func linksOf(files fs.FS, tree *overlay.Tree) map[string]string {
	links := shortLinks(tree)
	maps.DeleteFunc(links, func(short, blob string) bool {
		one, err1 := fs.Stat(files, short)
		other, err2 := fs.Stat(files, blob)
		return err1 != nil || err2 != nil || !os.SameFile(one, other)
	})
	return links
}

// dropUnnamed drops the blobs of other builds: no menu names them.
func dropUnnamed(m *Medium) {
	named := map[string]bool{}
	for _, e := range m.Entries {
		for _, name := range slices.Concat([]string{e.Kernel}, e.Initrds) {
			named[m.find("", name)] = true
		}
	}
	for _, f := range m.Files.Entries() {
		if BlobDigest(f.Path) != "" && !named[f.Path] {
			m.Files.Remove(f.Path)
		}
	}
	m.folded = nil
}

// digests lists the blobs of a folder.
func digests(dir string) []string {
	entries, _ := os.ReadDir(filepath.Join(dir, filepath.FromSlash(blobDir)))
	var out []string
	for _, e := range entries {
		if e.Type().IsRegular() && BlobDigest(blobDir+"/"+e.Name()) != "" {
			out = append(out, e.Name())
		}
	}
	return out
}

// maxPrunes bounds how often [Prune] starts again after a build replaced the folder.
const maxPrunes = 100

// Prune removes the blobs of a PXE folder that no other file in it names, or has named since a time. It returns
// their digests and their size in bytes. With dry it only lists them.
func Prune(dir string, since time.Time, dry bool) (gone []string, size int64, err error) {
	target, err := wholefile.Target(filepath.Clean(dir))
	if err != nil {
		return nil, 0, err
	}
	const next = "name the folder that mkbuild iso --format pxe --layout segments -o DIR has written"
	if _, err := os.Stat(target); err != nil {
		return nil, 0, &fail.Error{Class: fail.Usage, What: "prune " + dir, Hint: next, Err: errors.Unwrap(err)}
	}
	if len(digests(target)) == 0 {
		return nil, 0, fail.New(fail.Usage, "prune "+dir+": it has no "+blobDir, next)
	}
	for range maxPrunes {
		err = wholefile.Locked(target, func() (err error) {
			gone, size, err = prune(target, since, dry)
			return err
		})
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return nil, 0, fmt.Errorf("prune %s: %w", dir, err)
	}
	return gone, size, nil
}

func prune(dir string, since time.Time, dry bool) (gone []string, size int64, err error) {
	texts, err := namesIn(os.DirFS(dir))
	if err != nil {
		return nil, 0, err
	}
	for _, digest := range digests(dir) {
		blob, short := filepath.Join(dir, filepath.FromSlash(blobDir), digest), shortOf(digest)
		info, err := os.Stat(blob)
		if err != nil {
			return nil, 0, err
		}
		if strings.Contains(texts, digest) || strings.Contains(texts, short) || info.ModTime().After(since) {
			continue
		}
		if !dry {
			if err := os.Remove(blob); err != nil {
				return nil, 0, err
			}
			os.Remove(filepath.Join(dir, filepath.FromSlash(short))) //nolint:errcheck,gosec // a link that leads nowhere
		}
		gone, size = append(gone, digest), size+info.Size()
	}
	return gone, size, nil
}

// namesIn returns the text of all files of a folder that may name blobs: boot files, SHA256SUMS, and the user's
// own.
func namesIn(files fs.FS) (string, error) {
	var out strings.Builder
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == path.Dir(blobDir) || name == shortDir):
			return fs.SkipDir
		case !d.Type().IsRegular() || name == manifest.FolderName:
			return nil
		}
		info, err := d.Info()
		if err == nil && info.Size() > maxText {
			err = fail.New(fail.Usage, fmt.Sprintf("%s has %d bytes, too many for a boot file", name, info.Size()), "move it out of the folder")
		}
		if err != nil {
			return err
		}
		text, err := fs.ReadFile(files, name)
		out.Write(text)
		return err
	})
	return out.String(), err
}
