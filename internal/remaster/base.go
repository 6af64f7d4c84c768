package remaster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"strings"

	"mkbuild/internal/fetch"
	"mkbuild/internal/overlay"
	"mkbuild/internal/remaster/initrd"
	"mkbuild/internal/remaster/iso9660"
	"mkbuild/internal/remaster/isolinux"
	"mkbuild/internal/tcz"
	"mkbuild/internal/ui"
)

// ErrNoISOLINUX says that an ISO has no isolinux.cfg that boots a kernel with an initrd.
var ErrNoISOLINUX = errors.New("no isolinux.cfg that boots a kernel with an initrd")

// base is the source image, taken apart.
type base struct {
	image  *iso9660.Image
	name   string // "Core-4.5.2.iso"
	cfgs   []string
	kernel string // path of vmlinuz in the ISO
	initrd string // path of the initrd that is remade
	append string // the default label's kernel arguments
	tree   *overlay.Tree
	uname  string // kernel release
}

// maxInitrd bounds an unpacked initrd; Tiny Core's largest are about 60 MB.
const maxInitrd = 512 << 20

// openBase reads a source ISO: its files, its boot configuration and its initrd.
func openBase(f *os.File, blob *fetch.Blob, name string) (b *base, err error) {
	defer recovered(name, &err)
	img, err := iso9660.Open(f, blob.Size)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	b = &base{image: img, name: name}
	if err := b.findBoot(); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if b.uname, err = b.kernelRelease(); err != nil {
		return nil, fmt.Errorf("read %s in %s: %w", b.kernel, name, err)
	}
	r, err := b.open(b.initrd)
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // only read
	if b.tree, err = initrd.Read(r, name, maxInitrd); err != nil {
		return nil, fmt.Errorf("read %s in %s: %w", b.initrd, name, err)
	}
	return b, nil
}

// recovered turns a panic of a parser into an error of the file that it parsed.
func recovered(name string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("read %s: the parser gave up: %v", name, p)
	}
}

// findBoot learns from isolinux.cfg which kernel and initrd the image boots by default.
func (b *base) findBoot() error {
	var names []string
	for i := range b.image.Files {
		if n := b.image.Files[i].Path; path.Base(n) == "isolinux.cfg" {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	for _, cfg := range names {
		labels, err := b.labels(cfg)
		if err != nil {
			return err
		}
		if len(labels) == 0 {
			continue
		}
		b.cfgs = append(b.cfgs, cfg)
		for _, l := range labels {
			if b.kernel == "" {
				b.take(path.Dir(cfg), l)
			}
		}
	}
	if b.kernel == "" {
		return ErrNoISOLINUX
	}
	return nil
}

// labels lists what a configuration boots, the default first.
func (b *base) labels(cfg string) ([]isolinux.Label, error) {
	text, err := b.content(cfg)
	if err != nil {
		return nil, err
	}
	ls, err := isolinux.Labels(text)
	sort.SliceStable(ls, func(i, j int) bool { return ls[i].Default && !ls[j].Default })
	return ls, err
}

// take adopts a label when its kernel and its initrds are in the image. The last initrd is the
// one to remake: the kernel unpacks it last, so what mkbuild adds there wins.
func (b *base) take(dir string, l isolinux.Label) {
	if l.Kernel == "" || len(l.Initrds) == 0 {
		return
	}
	kernel := b.find(dir, l.Kernel)
	last := b.find(dir, l.Initrds[len(l.Initrds)-1])
	if kernel != "" && last != "" {
		b.kernel, b.initrd, b.append = kernel, last, l.Append
	}
}

// find returns the path of a file that isolinux names; old ones compare without case.
func (b *base) find(dir, name string) string {
	name = strings.ReplaceAll(name, "\\", "/")
	if !strings.HasPrefix(name, "/") {
		name = path.Join("/"+dir, name)
	}
	if f := b.image.LookupFold(strings.TrimPrefix(path.Clean(name), "/")); f != nil {
		return f.Path
	}
	return ""
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
// modules are not in the initrd.
func (b *base) checkModules(sink ui.Sink) {
	if b.tree.Get("lib/modules/"+b.uname) != nil {
		return
	}
	sink.Event(ui.Event{Level: ui.Warning, Step: "base", Item: b.name, Text: fmt.Sprintf(
		"the initrd has no lib/modules/%s for its kernel: Tiny Core waits for ever for /dev/zram0 unless it boots with the kernel argument nozswap (--append nozswap)", b.uname)})
}
