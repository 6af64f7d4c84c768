package remaster

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"mkbuild/internal/manifest"
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
	kernel := source{razorKernel, manifest.RoleKernel, func() (io.ReadCloser, error) { return s.base.Open(s.base.Kernel) }}
	initrd := source{razorInitrd, manifest.RoleInitrd, func() (io.ReadCloser, error) { return s.openInitrds(rd) }}
	return wholefile.Write(name, func(w io.Writer) error {
		err := razorTar(interruptible{ctx, w}, []source{initrd, kernel}, s.Epoch)
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		return nil
	})
}

// openInitrds reads the image's initrds as one: the server has a place for one only.
func (s *Staged) openInitrds(rd *Initrd) (io.ReadCloser, error) {
	all := s.base.Segments()
	all[len(all)-1].Open = rd.Open
	return all.Open()
}

// razorTar writes the archive: the same files give the same bytes.
func razorTar(w io.Writer, files []source, mtime int64) error {
	t := tar.NewWriter(w)
	when := time.Unix(mtime, 0)
	err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: razorFolder, Mode: 0o755, ModTime: when, Format: tar.FormatUSTAR})
	if err != nil {
		return err
	}
	sums := ""
	for _, f := range files {
		size, sum, err := measure(f)
		if err != nil {
			return err
		}
		sums += fmt.Sprintf("%s  %s\n", sum, f.name)
		if err := addMember(t, f, size, when); err != nil {
			return err
		}
	}
	if err := addMember(t, textSource(razorSums, "", sums), int64(len(sums)), when); err != nil {
		return err
	}
	return t.Close()
}

// measure reads a file for its length and its digest, which stand in front of its bytes.
func measure(f source) (int64, string, error) {
	r, err := f.open()
	if err != nil {
		return 0, "", err
	}
	defer r.Close() //nolint:errcheck // only read
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	return n, fmt.Sprintf("%x", sum.Sum(nil)), err
}

func addMember(t *tar.Writer, f source, size int64, when time.Time) error {
	err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: razorFolder + f.name, Mode: 0o644, Size: size, ModTime: when, Format: tar.FormatUSTAR})
	if err != nil {
		return err
	}
	r, err := f.open()
	if err != nil {
		return err
	}
	_, err = io.Copy(t, r)
	return errors.Join(err, r.Close())
}
