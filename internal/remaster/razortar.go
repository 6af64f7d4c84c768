package remaster

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"time"

	"mkbuild/internal/overlay"
	"mkbuild/internal/ui"
	"mkbuild/internal/wholefile"
)

// razorFolder is the one folder of the archive that razor-server unpacks into its repository
// (repo_store_root); its boot script asks for these names in it.
const (
	razorFolder = "microkernel/"
	razorKernel = "vmlinuz0"
	razorInitrd = "initrd0.img"
	razorSums   = "SHA256SUM"
)

// writeRazor writes the archive for razor-server: a plain tar with one folder.
func (b *Builder) writeRazor(ctx context.Context, s *Staged, rd *Initrd, name string) error {
	defer b.step("razor")()
	if args := s.Plan.Config.Boot.Append; args != "" {
		b.Inputs.Sink.Event(ui.Event{Level: ui.Info, Step: "razor", Item: name, Text: "razor-server's own boot script decides the kernel arguments: boot.append is not in this form; set microkernel.kernel_args at the server"})
	}
	// The server has a place for one initrd only.
	all := s.base.Segments()
	all[len(all)-1].Size, all[len(all)-1].Open = rd.Size, rd.Open
	one := overlay.Entry{Path: razorInitrd, Mode: overlay.TypeRegular, Size: all.Size(), Open: all.Open}
	kernel := *s.base.Files.Get(s.base.Kernel)
	kernel.Path = razorKernel
	return wholefile.Write(name, func(w io.Writer) error {
		err := razorTar(wholefile.Interruptible(ctx, w), []overlay.Entry{one, kernel}, s.Epoch)
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		return nil
	})
}

// razorTar writes the archive: the same files give the same bytes.
func razorTar(w io.Writer, files []overlay.Entry, mtime int64) error {
	t := tar.NewWriter(w)
	when := time.Unix(mtime, 0)
	err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: razorFolder, Mode: 0o755, ModTime: when, Format: tar.FormatUSTAR})
	if err != nil {
		return err
	}
	var sums bytes.Buffer
	for i := range files {
		sum := sha256.New()
		if err := addMember(t, &files[i], when, sum); err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sum.Sum(nil), files[i].Path)
	}
	last := overlay.File(razorSums, 0, sums.Bytes())
	if err := addMember(t, &last, when, io.Discard); err != nil {
		return err
	}
	return t.Close()
}

func addMember(t *tar.Writer, e *overlay.Entry, when time.Time, sum io.Writer) error {
	err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: razorFolder + e.Path, Mode: 0o644, Size: e.Size, ModTime: when, Format: tar.FormatUSTAR})
	if err != nil {
		return err
	}
	return e.CopyTo(io.MultiWriter(t, sum))
}
