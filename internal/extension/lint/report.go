package lint

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"mkbuild/internal/fail"
	"mkbuild/internal/medium"
	"mkbuild/internal/ui"
)

// Text returns each finding as two lines: the fault with its place, and the fix.
func Text(found []Finding) string {
	var b strings.Builder
	for _, f := range found {
		where := f.File
		if where == "" {
			where = "(all)"
		}
		where = ui.Clean(where)
		if f.Line > 0 {
			where += fmt.Sprintf(":%d", f.Line)
		}
		fmt.Fprintf(&b, "%s: %s: %s [%s]\n    %s\n", where, f.Severity, ui.Clean(f.What), f.Rule, ui.Clean(f.Fix))
	}
	return b.String()
}

// ReportSchema is the version of a [Report]'s JSON.
const ReportSchema = "mkbuild.extension-lint/v2"

// Report is the findings of one extension as JSON.
type Report struct {
	Schema    string    `json:"schema"`
	Extension string    `json:"extension"`
	Errors    int       `json:"errors"`
	Warnings  int       `json:"warnings"`
	Findings  []Finding `json:"findings"`
}

// NewReport returns the findings of an extension as a report.
func NewReport(name string, found []Finding) *Report {
	errs, warnings := Count(found)
	return &Report{ReportSchema, name, errs, warnings, append([]Finding{}, found...)}
}

// CountText returns the number of errors and warnings as text.
func CountText(found []Finding) string {
	errs, warnings := Count(found)
	return ui.Plural(errs, "error") + ", " + ui.Plural(warnings, "warning")
}

// ReadImage reads the root file system that an ISO boots.
func ReadImage(name string) (*Image, error) {
	m, err := medium.OpenISO(name)
	if errors.Is(err, syscall.ENOENT) {
		return nil, fail.New(fail.Usage, "read "+name+": no such file", "build one with `mkbuild iso`, or leave --image out")
	}
	if err != nil {
		return nil, err
	}
	defer m.Close() //nolint:errcheck // only read
	release, err := m.KernelRelease()
	if err != nil {
		return nil, err
	}
	tree, err := m.Tree()
	if err != nil {
		return nil, fmt.Errorf("read the initrd of %s: %w", name, err)
	}
	arch := "x86"
	if strings.HasSuffix(release, "64") {
		arch = "x86_64"
	}
	return NewImage(name, arch, tree), nil
}
