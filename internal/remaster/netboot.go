package remaster

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"time"

	"mkbuild/internal/fail"
	"mkbuild/internal/initrd"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/ui"
	"mkbuild/internal/wholefile"
)

// pxePiece makes the folder for a network boot server.
func (i *image) pxePiece(ctx context.Context, name string) (*piece, error) {
	made, layOut := initrd.Segments{{Name: i.staged.base.LastInitrd(), Size: i.initrd.Size, Open: i.initrd.Open}}, medium.NewFolder
	if i.staged.Plan.Config.PXE.Layout == "segments" {
		made, layOut = i.initrd.Segments, medium.NewSegments
	}
	var initrds []overlay.Entry
	for _, p := range i.staged.base.Initrds[:len(i.staged.base.Initrds)-1] {
		initrds = append(initrds, *i.staged.base.Files.Get(p))
	}
	for _, s := range made {
		initrds = append(initrds, overlay.Entry{Path: s.Name, Mode: overlay.TypeRegular | 0o444, Size: s.Size, Open: s.Open})
	}
	folder, err := layOut(*i.staged.base.Files.Get(i.staged.base.Kernel), initrds, i.staged.kernelArgs())
	if err != nil {
		return nil, err
	}
	m, _, err := i.putManifest(ctx, folder)
	return &piece{name, folder, m, func(ctx context.Context) error { return folder.Write(ctx, wholefile.Output{Name: name}) }}, err
}

// razorFolder is the only folder of the archive that razor-server unpacks into its repository (repo_store_root).
// The server's boot script asks for these names.
const (
	razorFolder = "microkernel/"
	razorKernel = "vmlinuz0"
	razorInitrd = "initrd0.img"
	razorSums   = "SHA256SUM"
)

// writeRazor writes the archive for razor-server: a plain tar with one folder.
func (i *image) writeRazor(ctx context.Context, out wholefile.Output) error {
	if args := i.staged.Plan.Config.Boot.Append; args != "" {
		i.b.say(ui.Info, "razor", out.Name, "boot.append does not apply to this form: razor-server's boot script sets the kernel arguments; set microkernel.kernel_args on the server")
	}
	all := i.staged.base.Segments()
	all[len(all)-1].Size, all[len(all)-1].Open = i.initrd.Size, i.initrd.Open
	return razorArchive(ctx, *i.staged.base.Files.Get(i.staged.base.Kernel), all, i.staged.Epoch, out)
}

// razorArchive writes the archive of a kernel and its initrds, joined to one: the server takes only one.
func razorArchive(ctx context.Context, kernel overlay.Entry, initrds initrd.Segments, mtime int64, out wholefile.Output) error {
	one := overlay.Entry{Path: razorInitrd, Mode: overlay.TypeRegular, Size: initrds.Size(), Open: initrds.Open}
	kernel.Path = razorKernel
	return out.Write(func(w io.Writer) error {
		err := razorTar(wholefile.Interruptible(ctx, w), []overlay.Entry{one, kernel}, mtime)
		if err != nil {
			return fmt.Errorf("write %s: %w", out.Name, err)
		}
		return nil
	})
}

// Convert writes mkbuild's ISO in another form, with the same bytes as the build's own. about is the ISO's
// manifest.
func Convert(ctx context.Context, iso *medium.Medium, about manifest.Manifest, o Output) error {
	switch o.Form {
	case FormRazor:
		return razorArchive(ctx, *iso.Files.Get(iso.Kernel), iso.Segments(), about.SourceDate, o.to())
	case FormPXE:
		return convertToPXE(ctx, iso, about, o.Path)
	}
	return fail.New(fail.Usage, fmt.Sprintf("write %s: mkbuild cannot make the form %s from an image", o.Path, o.Form), "choose pxe or razor")
}

func convertToPXE(ctx context.Context, iso *medium.Medium, about manifest.Manifest, name string) error {
	var initrds []overlay.Entry
	for _, p := range iso.Initrds {
		initrds = append(initrds, *iso.Files.Get(p))
	}
	folder, err := medium.NewFolder(*iso.Files.Get(iso.Kernel), initrds, iso.Arguments)
	if err != nil {
		return err
	}
	sum, err := iso.Sum(iso.LastInitrd())
	if err == nil {
		about.Boot, err = bootRecords(ctx, map[string]string{folder.LastInitrd(): sum}, folder)
	}
	if err != nil {
		return fmt.Errorf("make manifest: %w", err)
	}
	text, err := about.Render()
	if err != nil {
		return err
	}
	if err := put(folder, folder.ManifestPath(), text, about.SourceDate); err != nil {
		return err
	}
	return folder.Write(ctx, wholefile.Output{Name: name})
}

// razorTar writes the archive. The same files give the same bytes.
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
