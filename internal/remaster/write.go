package remaster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"time"

	"mkbuild/internal/config"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/wholefile"
)

// WriteOverlay writes everything that the image adds to its base as a gzip'd tar archive: the
// snapshot of the manual procedure.
func (b *Builder) WriteOverlay(ctx context.Context, s *Staged, name string) error {
	defer b.step("write")()
	return wholefile.Write(name, func(w io.Writer) error {
		if err := overlay.WriteTarGz(wholefile.Interruptible(ctx, w), s.Added(), s.Epoch); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		return nil
	})
}

// WriteISO writes the image as an ISO alone, and its manifest beside it as [manifest.Beside] says.
func (b *Builder) WriteISO(ctx context.Context, s *Staged, name string) error {
	return b.Write(ctx, s, []Output{{FormISO, name}})
}

// writeISO writes the ISO around an initrd.
func (b *Builder) writeISO(ctx context.Context, s *Staged, rd *Initrd, name string) error {
	defer b.step("iso")()
	made, err := s.remake(rd)
	if err != nil {
		return err
	}
	text, err := b.putManifest(ctx, s, rd, made)
	if err != nil {
		return err
	}
	b.noteUSB(made.ISO, s.base.Name)
	if err := made.Write(ctx, name); err != nil {
		return err
	}
	return wholefile.Write(manifest.Beside(name), func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// counter counts what goes through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// remake returns the source image with the new initrd, boot arguments, metadata and name. The
// volume's times stay: GRUB on 64-bit images finds its volume by them (search --fs-uuid).
func (s *Staged) remake(rd *Initrd) (*medium.Medium, error) {
	c := s.Plan.Config
	made, err := s.base.Edit(bootEdit(c.Boot), s.Epoch)
	if err != nil {
		return nil, err
	}
	f := made.Files.Get(s.base.LastInitrd())
	f.Size, f.MTime, f.HardLink, f.Open = rd.Size, s.Epoch, "", rd.Open
	meta, err := s.metadata(rd)
	if err != nil {
		return nil, err
	}
	made.ISO.VolumeID = "Razor MK " + c.Image.Version
	made.ISO.ApplicationID = "Razor Microkernel"
	return made, put(made, medium.RazorMetadata, meta, s.Epoch)
}

// bootEdit says what to change in the boot menus.
func bootEdit(c config.Boot) medium.Edit {
	e := medium.Edit{Append: c.Append}
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

// metadata renders the seven keys that Razor reads, in the order in which the original build
// wrote them. Razor hashes the two files itself and compares; the time must be a YAML timestamp,
// not a string.
func (s *Staged) metadata(rd *Initrd) ([]byte, error) {
	k, err := s.base.Open(s.base.Kernel)
	if err != nil {
		return nil, err
	}
	defer k.Close() //nolint:errcheck // only read
	sum := sha256.New()
	if _, err := io.Copy(sum, k); err != nil {
		return nil, fmt.Errorf("read %s in %s: %w", s.base.Kernel, s.base.Name, err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "---\niso_version: %q\nkernel: %s\ninitrd: %s\n", s.Plan.Config.Image.Version, s.base.Kernel, s.base.LastInitrd())
	fmt.Fprintf(&b, "hash_description:\n  type: Digest::SHA2\n  bitlen: 256\n")
	fmt.Fprintf(&b, "kernel_hash: %x\ninitrd_hash: %s\n", sum.Sum(nil), rd.SHA256)
	fmt.Fprintf(&b, "iso_build_time: %s\n", time.Unix(s.Epoch, 0).UTC().Format("2006-01-02 15:04:05.000000 Z"))
	return b.Bytes(), nil
}
