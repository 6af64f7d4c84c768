package remaster

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"mkbuild/internal/fetch"
	"mkbuild/internal/initrd"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/overlay"
	"mkbuild/internal/tcz"
	"mkbuild/internal/ui"
)

// base is the source image, taken apart.
type base struct {
	image   *iso9660.Image
	name    string // "Core-4.5.2.iso"
	sha256  string // of the whole image
	menus   []menu
	efi     []*efiBoot
	kernel  string   // path of vmlinuz in the ISO
	initrds []string // paths of the default label's initrds, in load order
	append  string   // the default label's kernel arguments
	others  []string // labels that boot without the initrd that is remade
	tree    *overlay.Tree
	uname   string // kernel release
}

// initrd is the path of the one to remake: the kernel unpacks the last one last, so what
// mkbuild adds there wins.
func (b *base) initrd() string { return b.initrds[len(b.initrds)-1] }

// maxInitrd bounds an unpacked initrd; Tiny Core's largest are about 60 MB.
const maxInitrd = 512 << 20

// openBase reads a source ISO: its files and its boot configuration. Its tree is [base.unpack]'s.
func openBase(f *os.File, blob *fetch.Blob, name string) (b *base, err error) {
	defer recovered(name, &err)
	img, err := iso9660.Open(f, blob.Size)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	b = &base{image: img, name: name, sha256: blob.SHA256}
	if err := b.findBoot(); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if b.uname, err = b.kernelRelease(); err != nil {
		return nil, fmt.Errorf("read %s in %s: %w", b.kernel, name, err)
	}
	return b, nil
}

// unpack reads the files of the initrds into memory.
func (b *base) unpack() (t *overlay.Tree, err error) {
	defer recovered(b.name, &err)
	r, err := b.openInitrds()
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // only read
	if t, err = initrd.Read(r, b.name, maxInitrd); err != nil {
		return nil, fmt.Errorf("read %s in %s: %w", strings.Join(b.initrds, " and "), b.name, err)
	}
	return t, nil
}

// recovered turns a panic of a parser into an error of the file that it parsed.
func recovered(name string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("read %s: the parser gave up: %v", name, p)
	}
}

// open reads a file of the image; an empty one has nothing to open.
func (b *base) open(name string) (io.ReadCloser, error) {
	open := b.image.Lookup(name).Open
	if open == nil {
		open = overlay.Bytes(nil)
	}
	r, err := open()
	if err != nil {
		return nil, fmt.Errorf("read %s in %s: %w", name, b.name, err)
	}
	return r, nil
}

// maxBootText bounds isolinux.cfg; real ones are below 4 KiB.
const maxBootText = 1 << 20

func (b *base) content(name string) ([]byte, error) {
	text, err := b.image.Lookup(name).Content(maxBootText)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.name, err)
	}
	return text, nil
}

// kernelHead holds the whole setup part of a bzImage: at most 64 sectors of 512 bytes
// (Documentation/x86/boot.rst).
const kernelHead = 64 << 10

func (b *base) kernelRelease() (string, error) {
	r, err := b.open(b.kernel)
	if err != nil {
		return "", err
	}
	defer r.Close() //nolint:errcheck // only read
	head, err := io.ReadAll(io.LimitReader(r, kernelHead))
	if err != nil {
		return "", err
	}
	return tcz.KernelRelease(strings.NewReader(string(head)), int64(len(head)))
}

// checkModules warns of the trap that leaves a booting machine waiting for ever: a kernel whose
// modules are not in the initrd. args are the kernel arguments that the image will boot with.
func (b *base) checkModules(sink ui.Sink, args string) {
	if b.tree.Get("lib/modules/"+b.uname) != nil || slices.Contains(strings.Fields(args), "nozswap") {
		return
	}
	sink.Event(ui.Event{Level: ui.Warning, Step: "base", Item: b.name, Text: fmt.Sprintf(
		"the initrd has no lib/modules/%s for its kernel: Tiny Core waits for ever for /dev/zram0 unless it boots with the kernel argument nozswap (--append nozswap)", b.uname)})
}
