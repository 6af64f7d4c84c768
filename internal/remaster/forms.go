package remaster

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"mkbuild/internal/fail"
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
