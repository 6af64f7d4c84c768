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

// Form is an output format of an image.
type Form string

// The forms. All forms of a build hold the same kernel and initrd.
const (
	// FormISO is an ISO 9660 image, for CDs, virtual CDs and, if its source is hybrid, USB sticks.
	FormISO Form = "iso"
	// FormPXE is a folder for a network boot server: kernel, initrds and boot files.
	FormPXE Form = "pxe"
	// FormRazor is the tar archive that razor-server unpacks into its repository.
	FormRazor Form = "razor"
	// FormTar is the overlay: the files that the image adds to its base.
	FormTar Form = "tar"
)

// Forms lists all forms.
func Forms() []Form { return []Form{FormISO, FormPXE, FormRazor, FormTar} }

// Output is a form and its path: a file, or a folder for [FormPXE].
type Output struct {
	Form Form
	Path string
	// Stream, if set, takes the content, and Path is for messages. A folder has no stream.
	Stream io.Writer
}

// Outputs parses the names of forms and gives each its path: that of OutputPath for an ISO called name, or name
// itself if it is set and there is only one form.
func Outputs(forms []string, name string, given bool) ([]Output, error) {
	const next = "for example: --format iso,pxe"
	if len(forms) == 0 {
		return nil, fail.New(fail.Usage, "--format is empty", next)
	}
	var out []Output
	for _, f := range forms {
		o := Output{Form: Form(strings.TrimSpace(f)), Path: name}
		switch {
		case !slices.Contains(Forms(), o.Form):
			return nil, fail.New(fail.Usage, fmt.Sprintf("--format: unknown form %q", f), "the forms are iso, pxe, razor and tar; "+next)
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

// OutputPath derives a form's path from the ISO's: "x.iso" becomes "x-pxe", "x.razor.tar" and "x.overlay.tar.gz".
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
