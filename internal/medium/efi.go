package medium

import (
	"bytes"
	"cmp"
	"path"
	"slices"
	"strings"

	"mkbuild/internal/fat"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/overlay"
)

// maxEFI bounds an EFI boot image, which is read whole; real images have 1 to 10 MiB.
const maxEFI = 128 << 20

// efiImage is the boot image of a UEFI entry: a FAT file system with a boot loader, and sometimes
// with that loader's menu.
type efiImage struct {
	name    string
	path    string // path on the medium; "" for an image without a name
	entries []int  // boot catalog entries that boot it
	fs      *fat.FS
	bytes   []byte
	files   []string
	changed bool
}

// efiImages reads the boot images of all UEFI entries. It leaves out unreadable ones, which stay as they are.
func efiImages(img *iso9660.Image) []*efiImage {
	var out []*efiImage
	for i := range img.Boot {
		e := &img.Boot[i]
		if e.Platform != iso9660.PlatformUEFI {
			continue
		}
		if at := slices.IndexFunc(out, func(x *efiImage) bool { return e.Path != "" && x.path == e.Path }); at >= 0 {
			out[at].entries = append(out[at].entries, i)
			continue
		}
		if x := readEFI(img, e); x != nil {
			x.entries = []int{i}
			out = append(out, x)
		}
	}
	return out
}

func readEFI(img *iso9660.Image, e *iso9660.BootEntry) *efiImage {
	x := &efiImage{name: cmp.Or(e.Path, "the EFI boot image"), path: e.Path}
	f := img.BootImage(e)
	if f == nil {
		return nil
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

// has reports whether the file system holds a file that a menu names; nil holds none.
func (x *efiImage) has(name string) bool { return x.find(name) != "" }

// find returns the path of a file that a menu names, or "".
func (x *efiImage) find(name string) string {
	if x == nil {
		return ""
	}
	name = strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(name, "\\", "/")), "/")
	if i := slices.IndexFunc(x.files, func(f string) bool { return strings.EqualFold(f, name) }); i >= 0 {
		return x.files[i]
	}
	return ""
}

// replace replaces the content of a file of the file system, unless it is the same.
func (x *efiImage) replace(name string, old, text []byte) error {
	if bytes.Equal(old, text) {
		return nil
	}
	x.changed = true
	return x.fs.Replace(name, text)
}

// store writes the image to img, which has its own list of boot entries.
func (x *efiImage) store(img *iso9660.Image, mtime int64) {
	if x.path != "" {
		img.Files.Get(x.path).SetContent(x.bytes, mtime)
		return
	}
	for _, i := range x.entries {
		img.Boot[i].Open = overlay.Bytes(x.bytes)
	}
}
