package remaster

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/medium"
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
	// Stream, if set, takes the content, and Path is for messages. A folder has none.
	Stream io.Writer
}

// Outputs reads the names of forms and gives each its place: that of OutputPath for an ISO called name,
// or name itself if it is given for the only form.
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
		out = append(out, o)
	}
	return out, nil
}

// Places returns the files and folders that the output is written to.
func (o Output) Places() []hostfile.Place {
	switch o.Form {
	case FormISO:
		return medium.ISO.Places(o.to())
	case FormPXE:
		return medium.PXE.Places(o.to())
	}
	if o.Stream != nil {
		return nil
	}
	return []hostfile.Place{hostfile.File(o.Path, "-o FILE")}
}

func (o Output) to() wholefile.Output { return wholefile.Output{Name: o.Path, Stream: o.Stream} }

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
