package remaster

import (
	"bytes"
	"io"
	"path"
	"slices"
	"strings"

	"mkbuild/internal/fat"
	"mkbuild/internal/iso9660"
)

// maxEFI bounds an EFI boot image, which is read whole; real ones have 1 to 10 MiB.
const maxEFI = 128 << 20

// efiBoot is the boot image of a UEFI entry: a FAT file system with a boot loader, and sometimes
// with that loader's menu.
type efiBoot struct {
	name    string // for people
	path    string // in the ISO; "" for an image that no name leads to
	entries []int  // of the boot catalog that boot it
	fs      *fat.FS
	bytes   []byte
	files   []string
}

// findEFI reads the boot images of all UEFI entries. One that cannot be read is left out: it is
// kept as it is, and [base.checkFirmware] says so.
func (b *base) findEFI() []*efiBoot {
	var out []*efiBoot
	for i := range b.image.Boot {
		e := &b.image.Boot[i]
		if e.Platform != iso9660.PlatformUEFI {
			continue
		}
		if at := slices.IndexFunc(out, func(x *efiBoot) bool { return e.Path != "" && x.path == e.Path }); at >= 0 {
			out[at].entries = append(out[at].entries, i)
			continue
		}
		if x := b.readEFI(e); x != nil {
			x.entries = []int{i}
			out = append(out, x)
		}
	}
	return out
}

func (b *base) readEFI(e *iso9660.BootEntry) *efiBoot {
	x := &efiBoot{name: "the EFI boot image", path: e.Path}
	f := &iso9660.File{Path: x.name, Mode: 0o100444, Size: e.Size, Open: e.Open}
	if e.Path != "" {
		x.name = e.Path
		if f = b.image.Lookup(e.Path); f == nil {
			return nil
		}
	}
	var err error
	if x.bytes, err = f.Content(maxEFI); err != nil {
		return nil
	}
	if x.fs, err = fat.Open(x.bytes); err != nil {
		return nil
	}
	if x.files, err = x.fs.Files(); err != nil {
		return nil
	}
	return x
}

// has reports whether the file system holds a file that a menu names.
func (e *efiBoot) has(name string) bool {
	name = strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(name, "\\", "/")), "/")
	return slices.ContainsFunc(e.files, func(f string) bool { return strings.EqualFold(f, name) })
}

// cloneEFI copies the images, so that an edit leaves the source as it is.
func cloneEFI(list []*efiBoot) (map[*efiBoot]*efiBoot, error) {
	out := make(map[*efiBoot]*efiBoot, len(list))
	for _, e := range list {
		c := *e
		c.bytes = bytes.Clone(e.bytes)
		var err error
		if c.fs, err = fat.Open(c.bytes); err != nil {
			return nil, err
		}
		out[e] = &c
	}
	return out, nil
}

// storeEFI puts the EFI images that have changed into img.
func storeEFI(img *iso9660.Image, list []*efiBoot, edited map[*efiBoot]*efiBoot, mtime int64) {
	for _, e := range list {
		content := edited[e].bytes
		switch {
		case bytes.Equal(content, e.bytes):
		case e.path != "":
			setContent(img.Lookup(e.path), content, mtime)
		default:
			img.Boot = slices.Clone(img.Boot)
			for _, i := range e.entries {
				img.Boot[i].Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
			}
		}
	}
}
