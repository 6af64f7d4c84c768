package remaster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"mkbuild/internal/bootmenu"
	"mkbuild/internal/cmdline"
	"mkbuild/internal/config"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/ui"
	"mkbuild/internal/wholefile"
)

// isoPiece makes the ISO around an initrd. A file gets its manifest next to it.
func (i *image) isoPiece(ctx context.Context, out wholefile.Output) (*piece, error) {
	made, err := i.remake()
	if err != nil {
		return nil, err
	}
	m, text, err := i.putManifest(ctx, made)
	return &piece{out.Name, made, m, func(ctx context.Context) error {
		i.noteUSB(made.ISO)
		if err := made.Write(ctx, out); err != nil || out.Stream != nil {
			return err
		}
		return wholefile.Write(manifest.Beside(out.Name), func(w io.Writer) error {
			_, err := w.Write(text)
			return err
		})
	}}, err
}

// remake returns the source image with the new initrd, boot arguments, metadata and name. It keeps the volume's
// times: GRUB on 64-bit images finds its volume by them (search --fs-uuid).
func (i *image) remake() (*medium.Medium, error) {
	c := i.staged.Plan.Config
	made, err := i.staged.base.Edit(bootEdit(c.Boot), i.staged.Epoch)
	if err != nil {
		return nil, err
	}
	f := made.Files.Get(i.staged.base.LastInitrd())
	f.Size, f.MTime, f.HardLink, f.Open = i.initrd.Size, i.staged.Epoch, "", i.initrd.Open
	made.ISO.VolumeID = "Razor MK " + c.Image.Version
	made.ISO.ApplicationID = "Razor Microkernel"
	return made, put(made, medium.RazorMetadata, i.metadata(), i.staged.Epoch)
}

func bootEdit(c config.Boot) bootmenu.Edit {
	e := bootmenu.Edit{Append: c.Append}
	if c.Timeout != nil {
		e.TimeoutTenths = *c.Timeout
	}
	return e
}

// put adds a file to a medium, or replaces it.
func put(m *medium.Medium, name string, text []byte, mtime int64) error {
	e := overlay.File(name, 0o444, text)
	e.MTime = mtime
	return m.Files.Put(e)
}

// metadata renders the seven keys that Razor reads, in the order of the original build. Razor hashes the two
// files itself and compares; the time must be a YAML timestamp, not a string.
func (i *image) metadata() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "---\niso_version: %q\nkernel: %s\ninitrd: %s\n", i.staged.Plan.Config.Image.Version, i.staged.base.Kernel, i.staged.base.LastInitrd())
	fmt.Fprintf(&b, "hash_description:\n  type: Digest::SHA2\n  bitlen: 256\n")
	fmt.Fprintf(&b, "kernel_hash: %s\ninitrd_hash: %s\n", i.kernelSum, i.initrd.SHA256)
	fmt.Fprintf(&b, "iso_build_time: %s\n", time.Unix(i.staged.Epoch, 0).UTC().Format("2006-01-02 15:04:05.000000 Z"))
	return b.Bytes()
}

// noteUSB describes how to put an ISO onto a USB stick if its bytes alone do not boot there.
func (i *image) noteUSB(img *iso9660.Image) {
	if img.Hybrid() {
		return
	}
	i.b.say(ui.Info, "iso", i.staged.base.Name, "not a hybrid image: it does not boot from a USB stick written with dd; "+
		"boot it as a CD, a virtual CD or from the network (--format pxe), or write the stick with Ventoy or Rufus (ISO mode)")
}

// image is a complete image before its form is made.
type image struct {
	b         *Builder
	staged    *Staged
	initrd    *Initrd
	kernelSum string
	files     []manifest.File // of the booted system
}

// image makes the initrd of a staged image. The caller closes it.
func (b *Builder) image(ctx context.Context, s *Staged) (*image, error) {
	defer b.step("initrd")()
	rd, err := makeInitrd(ctx, b.store(), s)
	if err != nil {
		return nil, err
	}
	i := &image{b: b, staged: s, initrd: rd}
	i.files, err = s.fileRecords(ctx, rd.sums)
	if err == nil {
		i.kernelSum, err = s.base.Sum(s.base.Kernel)
	}
	if err != nil {
		i.Close() //nolint:errcheck,gosec // nothing of it is needed
		return nil, fmt.Errorf("make manifest: %w", err)
	}
	return i, nil
}

// Close releases the initrd.
func (i *image) Close() error { return i.initrd.Close() }

// kernelArgs returns the image's kernel arguments: the source's default entry's, then the configuration's.
func (s *Staged) kernelArgs() string {
	return strings.TrimSpace(cmdline.Add(s.base.Arguments, strings.TrimSpace(s.Plan.Config.Boot.Append)))
}
