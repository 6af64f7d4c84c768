package inspect

import (
	"cmp"
	"fmt"
	"io"

	"mkbuild/internal/fail"
	"mkbuild/internal/overlay"
)

// VerifySchema is the version of a verdict's JSON.
const VerifySchema = "mkbuild.verify/v1"

// ErrNothingToVerify is returned for a lock.
var ErrNothingToVerify = fail.New(fail.Usage, "only images and initrds can be verified", "name an image; mkbuild lock --check checks a lock")

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

// Err is nil for an image that is whole. strict counts warnings as errors.
func (v *Verdict) Err(strict bool) error {
	n := v.Errors
	if strict {
		n += v.Warnings
	}
	if n == 0 {
		return nil
	}
	return fail.New(fail.Verification, fmt.Sprintf("verify %s: it breaks %d rules", v.Name, n), "mkbuild explain RULE says what a rule is for")
}

// Verify holds the image against its manifest, its metadata and the rules of a microkernel. It looks
// at the value alone, so that it can judge an image that is not written yet. It fails only if
// something cannot be read.
func (m *Image) Verify() (*Verdict, error) {
	if m.Kind == KindLock {
		return nil, fmt.Errorf("verify %s: %w", m.Name, ErrNothingToVerify)
	}
	checks := []func(*Image, findings) error{checkManifest, checkSums, checkMetadata, checkBoot}
	if m.Tree != nil {
		checks = append(checks, checkTree, checkAccess)
	}
	found := findings{}
	for _, check := range checks {
		if err := check(m, found); err != nil {
			return nil, fmt.Errorf("verify %s: %w", m.Name, err)
		}
	}
	found.soften(m.Manifest)
	v := &Verdict{Schema: VerifySchema, Name: m.Name, SHA256: m.SHA256, Manifest: m.Manifest != nil, Findings: found.sorted()}
	for _, f := range v.Findings {
		if f.Severity == SeverityError {
			v.Errors++
		} else {
			v.Warnings++
		}
	}
	return v, nil
}

// judgeTree holds a system against the rules that are about its files alone.
func judgeTree(t *overlay.Tree) ([]Finding, error) {
	found := findings{}
	err := checkTree(&Image{Tree: t}, found)
	return found.sorted(), err
}

// maxTold is how many findings of one rule people want to read.
const maxTold = 20

// Print writes the verdict for people.
func (v *Verdict) Print(w io.Writer) error {
	p := &page{w: w}
	told := map[string]int{}
	for _, f := range v.Findings {
		if told[f.Rule]++; told[f.Rule] <= maxTold {
			p.line("%s", f.line())
		}
	}
	for _, id := range RuleIDs() {
		if more := told[id] - maxTold; more > 0 {
			p.line("%s: and %d more; --json has all", id, more)
		}
	}
	against := cmp.Or(when(v.Manifest, "held against its manifest"), "it has no manifest to be held against")
	p.line("%s: %d errors, %d warnings; %s", v.Name, v.Errors, v.Warnings, against)
	return p.err
}

// PrintRules lists all rules for people.
func PrintRules(w io.Writer) error {
	p := &page{w: w}
	for _, r := range Rules() {
		p.line("%-16s  %-7s  %s", r.ID, r.Severity, r.About)
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
