package registry

import (
	"context"
	"fmt"
	"io"
	"os"

	"mkbuild/internal/fail"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/remaster"
	"mkbuild/internal/wholefile"
)

// Image is an image that was pulled and checked. It lies in the folder that [Client.Pull] was given.
type Image struct {
	// Ref has the digest of the image's own manifest.
	Ref Reference
	// Form is the one that was pushed.
	Form remaster.Form
	// Path is where it lies, with the files that belong to it next to it.
	Path string
	// Name is what an ISO of it is called where nobody names it.
	Name string

	about  *manifest.Manifest
	beside []string // suffixes of what lies next to it
}

// put writes a file next to the image.
func (img *Image) put(suffix string, text []byte) error {
	img.beside = append(img.beside, suffix)
	return os.WriteFile(img.Path+suffix, text, 0o600)
}

// Places are the files and folders that [Image.Write] writes.
func (img *Image) Places(o remaster.Output) []hostfile.Place {
	out := o.Places()
	for _, suffix := range img.companions(o) {
		if suffix != manifest.Beside("") {
			out = append(out, hostfile.File(o.Path+suffix, "-o FILE"))
		}
	}
	return out
}

// companions are the suffixes of what is written next to a form: only to that which was pushed.
func (img *Image) companions(o remaster.Output) []string {
	if o.Form != img.Form || o.Stream != nil {
		return nil
	}
	return img.beside
}

// Write writes the image in a form, with what lies next to that.
func (img *Image) Write(ctx context.Context, o remaster.Output) error {
	m, err := medium.Open(img.Path)
	if err != nil {
		return err
	}
	defer m.Close() //nolint:errcheck // only read
	out := wholefile.Output{Name: o.Path, Stream: o.Stream}
	switch {
	case o.Form != img.Form && o.Form == remaster.FormISO:
		return fail.New(fail.Usage, fmt.Sprintf("write %s: %s is a PXE folder, which has no ISO", o.Path, img.Ref), "push the ISO: PXE folders can be made of it")
	case o.Form != img.Form:
		return remaster.Convert(ctx, m, *img.about, o)
	case o.Form == remaster.FormPXE:
		err = m.Write(ctx, out)
	default:
		err = out.Write(func(w io.Writer) error { return copyFile(wholefile.Interruptible(ctx, w), img.Path) })
	}
	for _, suffix := range img.companions(o) {
		if err == nil {
			err = wholefile.Write(o.Path+suffix, func(w io.Writer) error { return copyFile(w, img.Path+suffix) })
		}
	}
	return err
}

func copyFile(w io.Writer, name string) error {
	f, _, err := hostfile.Open(name)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	_, err = io.Copy(w, f)
	return err
}
