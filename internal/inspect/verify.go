package inspect

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"mkbuild/internal/manifest"
)

// VerifySchema is the version of a verdict's JSON.
const VerifySchema = "mkbuild.verify/v1"

// ErrNothingToVerify says that a file is no image and no initrd.
var ErrNothingToVerify = errors.New("only images and initrds can be verified")

// Verdict is what [Image.Verify] found.
type Verdict struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	// Manifest says that the image has a manifest and was held against it.
	Manifest bool      `json:"manifest"`
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
	Findings []Finding `json:"findings"`
}

// Finding is one place where a rule is broken.
type Finding struct {
	Rule     string `json:"rule"`
	Severity string `json:"severity"`
	// Path is in the booted system, or "iso:" and a path of the medium; empty for the image as a whole.
	Path manifest.Text `json:"path,omitempty"`
	Text string        `json:"text"`
}

// BrokenError says that an image broke rules.
type BrokenError struct {
	Name  string
	Count int
}

func (e *BrokenError) Error() string {
	return fmt.Sprintf("verify %s: it breaks %d rules", e.Name, e.Count)
}

// Hint says where to read more.
func (*BrokenError) Hint() string { return "mkbuild explain RULE says what a rule is for" }

// Err is nil for an image that is whole. strict counts warnings as errors.
func (v *Verdict) Err(strict bool) error {
	n := v.Errors
	if strict {
		n += v.Warnings
	}
	if n == 0 {
		return nil
	}
	return &BrokenError{v.Name, n}
}

// judge collects findings.
type judge struct {
	*Image
	found map[string][]Finding // by rule
}

// add notes that a rule is broken.
func (j *judge) add(rule, path, format string, args ...any) {
	j.found[rule] = append(j.found[rule], Finding{Rule: rule, Path: manifest.Text(path), Text: fmt.Sprintf(format, args...)})
}

// Verify holds the image against its manifest, its metadata and the rules of a microkernel. It fails
// only where something cannot be read.
func (m *Image) Verify() (*Verdict, error) {
	if m.Kind == KindLock {
		return nil, fmt.Errorf("verify %s: %w", m.Name, ErrNothingToVerify)
	}
	j := &judge{Image: m, found: map[string][]Finding{}}
	for _, part := range []func(*judge) error{checkManifest, checkSums, checkMetadata, checkBoot, checkTree, checkAccess} {
		if err := part(j); err != nil {
			return nil, fmt.Errorf("verify %s: %w", m.Name, err)
		}
	}
	v := &Verdict{Schema: VerifySchema, Name: m.Name, SHA256: m.SHA256, Manifest: m.Manifest != nil, Findings: []Finding{}}
	for _, r := range Rules() {
		for _, f := range j.found[r.ID] {
			f.Severity = r.Severity
			v.Findings = append(v.Findings, f)
			if r.Severity == SeverityError {
				v.Errors++
			} else {
				v.Warnings++
			}
		}
	}
	return v, nil
}

// maxTold is how many findings of one rule people want to read.
const maxTold = 20

// Print writes the verdict for people.
func (v *Verdict) Print(w io.Writer) error {
	p := &page{w: w}
	told := map[string]int{}
	for _, f := range v.Findings {
		if told[f.Rule]++; told[f.Rule] > maxTold {
			continue
		}
		where := ""
		if f.Path != "" {
			where = " /" + string(f.Path)
			if len(f.Path) > len(isoPrefix) && string(f.Path[:len(isoPrefix)]) == isoPrefix {
				where = " " + string(f.Path)
			}
		}
		p.line("%s: %s%s: %s", f.Severity, f.Rule, where, f.Text)
	}
	for _, id := range RuleIDs() {
		if more := told[id] - maxTold; more > 0 {
			p.line("%s: and %d more; --json has all", id, more)
		}
	}
	against := "it has no manifest to be held against"
	if v.Manifest {
		against = "held against its manifest"
	}
	p.line("%s: %d errors, %d warnings; %s", v.Name, v.Errors, v.Warnings, against)
	return p.err
}

// PrintRules lists all rules for people.
func PrintRules(w io.Writer) error {
	p := &page{w: w}
	width := 0
	for _, r := range Rules() {
		width = max(width, len(r.ID))
	}
	for _, r := range Rules() {
		p.line("%-*s  %-7s  %s", width, r.ID, r.Severity, r.About)
	}
	return p.err
}

// Print explains a rule for people.
func (r Rule) Print(w io.Writer) error {
	p := &page{w: w}
	p.line("%s (%s): %s", r.ID, r.Severity, r.About)
	p.title("%s", r.Why)
	p.title("%s", r.Fix)
	return p.err
}

// RuleIDs lists the names of all rules.
func RuleIDs() []string {
	var out []string
	for _, r := range Rules() {
		out = append(out, r.ID)
	}
	return slices.Clip(out)
}
