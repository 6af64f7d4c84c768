package remaster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/initrd"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/wholefile"
)

// Customize writes a copy of an image with the changes of c, in the form that the image has: an ISO,
// a PXE folder, or an initrd alone. It appends one segment to the initrd and leaves all bytes in front
// of that as they are; boot menus, Razor's metadata and the manifest follow. Nothing is fetched or
// built.
func Customize(ctx context.Context, in, out string, c Custom) (err error) {
	defer recovered(in, &err)
	if err := config.CheckArguments("kernel arguments", c.Append); err != nil {
		return err
	}
	info, err := os.Stat(in)
	if err != nil {
		return config.Mistake(in, err.Error(), "name an image: mkbuild iso makes one")
	}
	if to, err := os.Stat(out); err == nil && os.SameFile(info, to) {
		return config.Mistake(out, "it is the image itself", "name another output with -o")
	}
	if info.IsDir() {
		return customizeFolder(ctx, in, out, c)
	}
	f, err := os.Open(in) //nolint:gosec // the user's own choice
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	if isISO(f) {
		return customizeISO(ctx, f, info.Size(), out, c)
	}
	return customizeInitrd(ctx, f, info.Size(), out, c)
}

// isISO looks for the primary volume descriptor (ECMA-119 8.4).
func isISO(r io.ReaderAt) bool {
	var b [5]byte
	_, err := r.ReadAt(b[:], 0x8001)
	return err == nil && string(b[:]) == "CD001"
}

// customizeInitrd changes an initrd that stands alone.
func customizeInitrd(ctx context.Context, f *os.File, size int64, out string, c Custom) error {
	if c.Append != "" {
		return config.Mistake("kernel arguments", "an initrd has none", "customize the ISO or the PXE folder, or set them where the initrd is booted")
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(f, 0, size)), nil }
	b, err := asBuilt(open, size, f.Name())
	if err != nil {
		return err
	}
	tree, err := readTree(b.reader, f.Name())
	if err != nil {
		return err
	}
	rd, err := b.customize(tree, c, newestTime(tree))
	if err != nil {
		return err
	}
	return wholefile.Write(out, func(w io.Writer) error {
		return copyFrom(interruptible{ctx, w}, rd.reader)
	})
}

// newestTime is the time of the newest file: what a customization is dated where nothing else says.
func newestTime(t *overlay.Tree) (newest int64) {
	for _, e := range t.Entries() {
		newest = max(newest, e.MTime)
	}
	return newest
}

func readTree(open opener, name string) (*overlay.Tree, error) {
	r, err := open()
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // only read
	return initrd.Read(r, name, medium.MaxInitrd)
}

func copyFrom(w io.Writer, open opener) error {
	r, err := open()
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, r.Close())
}

// customizeISO changes an ISO.
func customizeISO(ctx context.Context, f *os.File, size int64, out string, c Custom) error {
	b, err := medium.ReadISO(f, size, f.Name())
	if err == nil {
		err = b.Bootable()
	}
	if err != nil {
		return err
	}
	m, err := imageManifest(b.ISO)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	if err := c.allowed(m); err != nil {
		return err
	}
	rd, err := customInitrd(b, c, sourceDate(m, b.ISO))
	if err != nil {
		return err
	}
	made, err := withCustom(b, rd, c, sourceDate(m, b.ISO))
	if err != nil {
		return err
	}
	var about []byte
	if m != nil {
		if about, err = customManifest(ctx, m, made, rd); err != nil {
			return err
		}
		made.Files.Get(manifest.Name).SetContent(about, m.SourceDate)
	}
	err = wholefile.Write(out, func(w io.Writer) error { return made.Write(interruptible{ctx, w}) })
	if err != nil || m == nil {
		return err
	}
	return writeText(ManifestName(out), about)
}

// imageManifest reads the manifest of an image; nil when it has none.
func imageManifest(img *iso9660.Image) (*manifest.Manifest, error) {
	f := img.Files.Get(manifest.Name)
	if f == nil {
		return nil, nil //nolint:nilnil // no manifest is a normal answer
	}
	text, err := f.Content(manifest.MaxSize)
	if err != nil {
		return nil, err
	}
	return manifest.Parse(text)
}

// sourceDate dates what is made here: as the image itself is.
func sourceDate(m *manifest.Manifest, img *iso9660.Image) int64 {
	if m != nil {
		return m.SourceDate
	}
	return max(img.Created, img.Modified, 0)
}

// customInitrd makes the last initrd of the image.
func customInitrd(b *medium.Medium, c Custom, mtime int64) (*customized, error) {
	last := b.Initrd()
	built, err := asBuilt(func() (io.ReadCloser, error) { return b.Open(last) }, b.Files.Get(last).Size, last)
	if err != nil {
		return nil, err
	}
	all := b.Segments()
	all[len(all)-1].Open = built.reader
	tree, err := readTree(all.Open, b.Name)
	if err != nil {
		return nil, err
	}
	return built.customize(tree, c, mtime)
}

// customEdit takes the arguments of an earlier run out of the menus, and puts the new ones in.
func (c *customized) customEdit(args, have string) (medium.Edit, error) {
	e := medium.Edit{Append: strings.TrimSpace(args)}
	if c.old != nil {
		e.Remove = c.old.Append
	}
	return e, c.distinct(e, have)
}

// distinct refuses arguments that the image has as built: nobody could tell later whose they are.
func (c *customized) distinct(e medium.Edit, have string) error {
	have = " " + have
	if e.Remove != "" {
		have = strings.TrimSuffix(have, " "+e.Remove)
	}
	if e.Append != "" && strings.HasSuffix(have, " "+e.Append) {
		return config.Mistake("kernel arguments", fmt.Sprintf("the image boots with %q as it was built", e.Append), "leave them out")
	}
	return nil
}

// initrdHash is the digest in iso-metadata.yaml, in front of it what the line says in all forms of it.
var initrdHash = regexp.MustCompile(`(?m)^([ \t]*["']?initrd_hash["']?[ \t]*:[ \t]*["']?)[0-9a-fA-F]{64}\b`) //nolint:gochecknoglobals // a constant

// withHash puts a digest of the initrd into Razor's metadata, which another tool may have written.
func withHash(meta []byte, sum string) ([]byte, error) {
	if !initrdHash.Match(meta) {
		return nil, config.Mistake(metadataName, "it has no initrd_hash that is a SHA-256, and would not agree with the new initrd", "build an image with mkbuild iso, and customize that")
	}
	return initrdHash.ReplaceAll(meta, []byte("${1}"+sum)), nil
}

// withCustom returns the image with another last initrd, and with what depends on that.
func withCustom(b *medium.Medium, rd *customized, c Custom, mtime int64) (*iso9660.Image, error) {
	e, err := rd.customEdit(c.Append, b.Arguments)
	if err != nil {
		return nil, err
	}
	edited, err := b.Edit(e, mtime)
	if err != nil {
		return nil, err
	}
	img := edited.ISO
	f := img.Files.Get(b.Initrd())
	f.Size, f.HardLink, f.Open = rd.length(), "", rd.reader
	meta := img.Files.Get(metadataName)
	if meta == nil {
		return img, nil
	}
	text, err := meta.Content(1 << 20)
	if err != nil {
		return nil, err
	}
	sum, err := rd.sum()
	if err != nil {
		return nil, err
	}
	if text, err = withHash(text, sum); err != nil {
		return nil, err
	}
	meta.SetContent(text, mtime)
	return img, nil
}

// sum is the digest of the whole initrd.
func (c *customized) sum() (string, error) {
	h := sha256.New()
	err := copyFrom(h, c.reader)
	return hex.EncodeToString(h.Sum(nil)), err
}
