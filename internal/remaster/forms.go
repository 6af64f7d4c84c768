package remaster

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/ui"
	"mkbuild/internal/wholefile"
)

// Form is a way in which an image is handed out.
type Form string

// The forms. All of one build hold the same kernel and the same initrd.
const (
	// FormISO is an ISO 9660 image, for CDs, virtual CDs and, where its source is hybrid, USB sticks.
	FormISO Form = "iso"
	// FormPXE is a folder for a network boot server: kernel, initrds, and what boots them.
	FormPXE Form = "pxe"
	// FormRazor is the tar archive that razor-server unpacks into its repository.
	FormRazor Form = "razor"
	// FormTar is the overlay: what the image has beyond its base.
	FormTar Form = "tar"
)

// Forms lists all forms.
func Forms() []Form { return []Form{FormISO, FormPXE, FormRazor, FormTar} }

// Output is a form and where it goes: a file, or a folder for [FormPXE].
type Output struct {
	Form Form
	Path string
}

// Outputs reads the names of forms and gives each its place: that of OutputPath for an ISO called name,
// or name itself if it is given for the only form. A place that cannot be written is an error before
// anything is fetched.
func Outputs(forms []string, name string, given bool) ([]Output, error) {
	const next = "for example: --format iso,pxe"
	if len(forms) == 0 {
		return nil, fail.New(fail.Usage, "--format names no form", next)
	}
	var out []Output
	for _, f := range forms {
		o := Output{Form: Form(strings.TrimSpace(f)), Path: name}
		switch {
		case !slices.Contains(Forms(), o.Form):
			return nil, fail.New(fail.Usage, fmt.Sprintf("--format: no form is called %q", f), "the forms are iso, pxe, razor and tar; "+next)
		case slices.ContainsFunc(out, func(x Output) bool { return x.Form == o.Form }):
			return nil, fail.New(fail.Usage, fmt.Sprintf("--format: %s is named twice", o.Form), next)
		case !given || len(forms) > 1:
			o.Path = OutputPath(o.Form, name)
		}
		if err := o.Check(); err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// Check refuses a place that cannot be written.
func (o Output) Check() error {
	if o.Form != FormPXE || o.Path == "" {
		return wholefile.Check(o.Path)
	}
	if err := medium.CheckFolder(o.Path); err != nil {
		return err
	}
	return wholefile.Check(filepath.Clean(o.Path) + ".part") // what has to be writable is the folder around it
}

// OutputPath derives the name of a form from that of the ISO: "x.iso" becomes "x-pxe",
// "x.razor.tar" and "x.overlay.tar.gz".
func OutputPath(form Form, iso string) string {
	base := iso
	if strings.EqualFold(filepath.Ext(iso), ".iso") {
		base = iso[:len(iso)-len(".iso")]
	}
	switch form {
	case FormPXE:
		return base + "-pxe"
	case FormRazor:
		return base + ".razor.tar"
	case FormTar:
		return base + ".overlay.tar.gz"
	}
	return iso
}

// Write writes an image in several forms, made of one initrd. Each appears whole or not at all, in
// the order given.
func (b *Builder) Write(ctx context.Context, s *Staged, outputs []Output) error {
	var rd *Initrd
	if slices.ContainsFunc(outputs, func(o Output) bool { return o.Form != FormTar }) {
		var err error
		if rd, err = b.WriteInitrd(ctx, s); err != nil {
			return err
		}
		defer rd.Close() //nolint:errcheck // only read
	}
	for _, o := range outputs {
		if err := b.writeForm(ctx, s, rd, o); err != nil {
			return err
		}
	}
	return nil
}

func (b *Builder) writeForm(ctx context.Context, s *Staged, rd *Initrd, o Output) error {
	switch o.Form {
	case FormISO:
		return b.writeISO(ctx, s, rd, o.Path)
	case FormPXE:
		return b.writePXE(ctx, s, rd, o.Path)
	case FormRazor:
		return b.writeRazor(ctx, s, rd, o.Path)
	case FormTar:
		return b.WriteOverlay(ctx, s, o.Path)
	}
	return fmt.Errorf("write %s: no form %q", o.Path, o.Form)
}

// writePXE writes the folder for a network boot server.
func (b *Builder) writePXE(ctx context.Context, s *Staged, rd *Initrd, name string) error {
	defer b.step("pxe")()
	var initrds []overlay.Entry
	for _, p := range s.base.Initrds {
		e := *s.base.Files.Get(p)
		if p == s.base.LastInitrd() {
			e.Size, e.Open = rd.Size, rd.Open
		}
		initrds = append(initrds, e)
	}
	folder, err := medium.NewFolder(*s.base.Files.Get(s.base.Kernel), initrds, s.kernelArgs())
	if err != nil {
		return err
	}
	if _, err := b.putManifest(ctx, s, rd, folder); err != nil {
		return err
	}
	return folder.Write(ctx, name)
}

// kernelArgs are the arguments that the image boots with: those of the source's default entry, then
// the configuration's.
func (s *Staged) kernelArgs() string {
	args, add := s.base.Arguments, strings.TrimSpace(s.Plan.Config.Boot.Append)
	if add == "" || strings.HasSuffix(" "+args, " "+add) {
		return args
	}
	return strings.TrimSpace(args + " " + add)
}

// noteUSB says how an ISO gets onto a USB stick when writing its bytes there does not do.
func (b *Builder) noteUSB(img *iso9660.Image, source string) {
	if img.Hybrid() {
		return
	}
	b.Inputs.Sink.Event(ui.Event{Level: ui.Info, Step: "iso", Item: source, Text: "not a hybrid image: written to a USB stick byte for byte (dd) it does not boot; " +
		"boot it as a CD or virtual CD, from the network (--format pxe), or put it on the stick with a program that brings its own boot loader (Ventoy, Rufus in ISO mode)"})
}
