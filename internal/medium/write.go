package medium

import (
	"bytes"
	"cmp"
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

	"mkbuild/internal/bootmenu"
	"mkbuild/internal/fail"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/manifest"
	"mkbuild/internal/overlay"
	"mkbuild/internal/wholefile"
)

// Write writes the medium in its form, a folder with its SHA256SUMS. It appears whole or not at all.
func (m *Medium) Write(ctx context.Context, out wholefile.Output) error {
	write := m.ISO.Write
	switch m.Form {
	case PXE:
		return m.writeFolder(ctx, out.Name)
	case Initrd:
		write = m.Files.Get(m.LastInitrd()).CopyTo
	}
	return out.Write(func(w io.Writer) error {
		if err := write(wholefile.Interruptible(ctx, w)); err != nil {
			return fmt.Errorf("write %s: %w", out.Name, err)
		}
		return nil
	})
}

// Places returns the files and folders that a medium of a form is written to. An ISO has its manifest next to it.
func (f Form) Places(out wholefile.Output) []hostfile.Place {
	switch {
	case out.Stream != nil:
		return nil
	case f == PXE:
		return []hostfile.Place{hostfile.Folder(out.Name, "-o DIR", isPXEFolder)}
	case f == ISO:
		return []hostfile.Place{hostfile.File(out.Name, "-o FILE"), hostfile.File(manifest.Beside(out.Name), "-o FILE")}
	}
	return []hostfile.Place{hostfile.File(out.Name, "-o FILE")}
}

// WriteForOneBoot writes an opened ISO with more kernel arguments in every entry that a BIOS can boot, and
// timeouts of one second. Nothing else changes: boot loader, kernel and initrd keep their bytes and places, so
// the copy boots as the image does.
func (m *Medium) WriteForOneBoot(ctx context.Context, w io.Writer, args string) error {
	forBIOS := func(x *menu) bool { return x.efi == nil }
	edited, err := m.edit(bootmenu.Edit{Append: args, TimeoutTenths: 10, AtMost: true}, 0, forBIOS)
	if err != nil {
		return fmt.Errorf("add kernel arguments to %s: %w", m.Name, err)
	}
	texts := map[string][]byte{}
	for _, x := range m.menus {
		if !forBIOS(&x) || !x.boots {
			continue
		}
		for _, p := range slices.Concat(x.parts, []part{x.self()}) {
			if texts[p.path], err = edited.text(p.path); err != nil {
				return err
			}
		}
	}
	if len(texts) == 0 {
		return fmt.Errorf("add kernel arguments to %s: %w", m.Name, ErrNoMenu)
	}
	info, err := m.file.Stat()
	if err != nil {
		return err
	}
	return iso9660.Replace(wholefile.Interruptible(ctx, w), m.file, info.Size(), texts)
}

// writeFolder writes the files and their SHA256SUMS.
func (m *Medium) writeFolder(ctx context.Context, name string) error {
	if err := CheckFolder(name); err != nil {
		return err
	}
	if BlobDigest(m.Kernel) == "" {
		return wholefile.Folder(name, func(dir string) error { return m.fill(ctx, name, dir) })
	}
	return wholefile.Grow(name, func(dir string) error { return m.fill(ctx, name, dir) }, func(old, dir string) error { return carry(ctx, old, dir) })
}

// fill writes the files and their SHA256SUMS into a temporary folder. Blobs may come from the folder that it will
// replace.
func (m *Medium) fill(ctx context.Context, name, dir string) error {
	var sums bytes.Buffer
	for _, e := range m.Files.Entries() {
		if e.Path == PXESums || !e.IsRegular() {
			continue
		}
		digest, err := BlobDigest(e.Path), error(nil)
		if digest == "" {
			sum := sha256.New()
			err = fillFile(ctx, dir, e, sum)
			digest = hex.EncodeToString(sum.Sum(nil))
		} else {
			err = errors.Join(fillBlob(ctx, name, dir, e), shorten(dir, digest))
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%s  %s\n", digest, e.Path)
	}
	last := overlay.File(PXESums, 0o444, sums.Bytes())
	return fillFile(ctx, dir, &last, io.Discard)
}

// fillFile writes one file of a temporary folder. The umask decides who may read it.
func fillFile(ctx context.Context, dir string, e *overlay.Entry, sum io.Writer) error {
	name := filepath.Join(dir, filepath.FromSlash(e.Path))
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666) //nolint:gosec // below dir
	if err != nil {
		return err
	}
	err = e.CopyTo(wholefile.Interruptible(ctx, io.MultiWriter(f, sum)))
	return errors.Join(err, f.Sync(), f.Close())
}

// fillBlob writes a blob into a temporary folder. It takes the file of the folder at name, if that file is whole.
func fillBlob(ctx context.Context, name, dir string, e *overlay.Entry) error {
	digest, sum := BlobDigest(e.Path), sha256.New()
	there := filepath.Join(name, filepath.FromSlash(e.Path))
	if f, err := wholefile.OpenRegular(there); err == nil {
		_, err = io.Copy(wholefile.Interruptible(ctx, sum), f)
		f.Close() //nolint:errcheck,gosec // only read
		if err == nil && hex.EncodeToString(sum.Sum(nil)) == digest {
			return keep(ctx, name, dir, e.Path)
		}
		sum.Reset()
	}
	err := fillFile(ctx, dir, e, sum)
	if err == nil && hex.EncodeToString(sum.Sum(nil)) != digest {
		err = fmt.Errorf("read %s: it changed meanwhile", e.Path)
	}
	return err
}

// keep links a file of one folder into another, unless that has it.
func keep(ctx context.Context, from, dir, name string) error {
	there, here := filepath.Join(from, filepath.FromSlash(name)), filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(here), 0o777); err != nil { //nolint:gosec // the umask decides
		return err
	}
	if err := os.Link(there, here); err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	info, err := os.Stat(there) // the file system has no hard links
	if err != nil {
		return err
	}
	open := func() (io.ReadCloser, error) { return os.Open(there) } //nolint:gosec // as above
	return fillFile(ctx, dir, &overlay.Entry{Path: name, Mode: overlay.TypeRegular, Size: info.Size(), Open: open}, io.Discard)
}

func shorten(dir, digest string) error {
	name := filepath.Join(dir, filepath.FromSlash(shortOf(digest)))
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil { //nolint:gosec // the umask decides
		return err
	}
	err := os.Symlink("../"+blobDir+"/"+digest, name)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	err = os.Link(filepath.Join(dir, filepath.FromSlash(blobDir), digest), name) // as on Windows
	if err != nil {
		return fmt.Errorf("make a short name for PXELINUX: %w", err)
	}
	return nil
}

// carry keeps the blobs of earlier builds in the folder of a new one. It dates those that it no longer names:
// [Prune] uses the date, since a node may still fetch them.
func carry(ctx context.Context, old, dir string) error {
	before, err := sumsOf(os.DirFS(old))
	if err != nil {
		return err
	}
	now, err := os.Stat(dir)
	if err != nil {
		return err
	}
	for _, digest := range digests(old) {
		name := blobDir + "/" + digest
		if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(name))); err == nil {
			continue
		}
		err := errors.Join(keep(ctx, old, dir, name), shorten(dir, digest))
		if err == nil && strings.Contains(string(before), name) {
			err = os.Chtimes(filepath.Join(dir, filepath.FromSlash(name)), now.ModTime(), now.ModTime())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// CheckFolder refuses a folder with foreign files, which [Medium.Write] would remove.
func CheckFolder(name string) error {
	if err := hostfile.Look(name, isPXEFolder); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// isPXEFolder refuses a folder with files that its SHA256SUMS does not name, or without mkbuild's boot scripts.
func isPXEFolder(files fs.FS) error {
	sums, err := sumsOf(files)
	if err != nil {
		return err
	}
	own := map[string]bool{}
	for line := range bytes.Lines(sums) {
		if _, file, ok := cutSum(line); ok {
			own[file], own[path.Dir(file)] = true, true
		}
	}
	for _, dir := range []string{path.Dir(blobDir), blobDir, shortDir} {
		own[dir] = true
	}
	own[PXESums] = own[ipxeScript] && own[pxelinuxMenu]
	return fs.WalkDir(files, ".", func(name string, _ fs.DirEntry, err error) error {
		if err == nil && name != "." && !(own[PXESums] && (own[name] || BlobDigest(name) != "" || isShort(name))) {
			err = fail.New(fail.Usage, fmt.Sprintf("it exists and holds %s, which is not part of a PXE folder made by mkbuild", name), "name another folder with -o, or remove this one")
		}
		return err
	})
}

// sumsOf reads SHA256SUMS, if it is a file.
func sumsOf(files fs.FS) ([]byte, error) {
	info, err := fs.Stat(files, PXESums)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxText {
		return nil, nil //nolint:nilerr
	}
	return fs.ReadFile(files, PXESums)
}

// cutSum splits a line of SHA256SUMS.
func cutSum(line []byte) (sum, file string, ok bool) {
	return strings.Cut(strings.TrimRight(string(line), "\r\n"), "  ")
}

// WrongSums checks a PXE folder against its own SHA256SUMS, and returns the files that are missing or different.
// It returns SHA256SUMS itself if that is unreadable or malformed.
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
		} else if sum, err := m.Sum(name); err != nil || sum != want || cmp.Or(BlobDigest(name), sum) != sum {
			wrong = append(wrong, name)
		}
	}
	return slices.Compact(wrong)
}
