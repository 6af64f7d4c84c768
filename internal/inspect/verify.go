package inspect

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/remaster"
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

// Verify holds the image against its manifest, its metadata and the rules of a microkernel. It fails only if
// something cannot be read.
func (m *Image) Verify() (*Verdict, error) {
	if m.Kind == KindLock {
		return nil, fmt.Errorf("verify %s: %w", m.Name, ErrNothingToVerify)
	}
	checks := []check{checkManifest, checkSums, checkMetadata, checkBoot}
	if m.Tree != nil {
		checks = append(checks, checkTree, checkLibraries, checkAccess, checkMenus, checkProd)
	}
	return m.verdict(checks)
}

// check looks for what breaks some of the rules.
type check func(*Image, findings) error

func (m *Image) verdict(checks []check) (*Verdict, error) {
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

// Judge refuses an image that is not written yet, and in which [Image.Verify] would find an error. What follows
// from how the image is made is not looked at: its manifest describes these very values, and a prod image has been
// held to its profile before its initrd was made.
func Judge(u *remaster.Unwritten) error {
	v, err := judge(u)
	if err != nil {
		return err
	}
	return v.refuse(nil)
}

// JudgeChange is [Judge] for an image that was made of another one: what that breaks already is not looked at.
func JudgeChange(before, after *remaster.Unwritten) error {
	v, err := judge(after)
	if err != nil || v.Errors == 0 {
		return err
	}
	old, err := judge(before)
	if err != nil {
		return err
	}
	return v.refuse(old.Findings)
}

func judge(u *remaster.Unwritten) (*Verdict, error) {
	m := &Image{Name: u.Name, Medium: u.Medium, Tree: u.System, Base: u.Base, Manifest: u.Manifest, sums: map[string]string{}}
	var checks []check
	if u.Medium != nil {
		m.Kind = map[medium.Form]string{medium.ISO: KindISO, medium.PXE: KindPXE}[u.Medium.Form]
		checks = append(checks, checkMetadata, checkBoot, checkMenus)
	}
	if u.Manifest != nil {
		for _, f := range u.Manifest.Boot {
			if !f.InfoTable {
				m.sums[f.Path] = f.SHA256
			}
		}
	}
	if u.System != nil {
		checks = append(checks, checkTree, checkAccess)
	}
	return m.verdict(checks)
}

// refuse fails if there is an error that was not there before.
func (v *Verdict) refuse(before []Finding) error {
	bad := slices.DeleteFunc(slices.Clone(v.Findings), func(f Finding) bool { return f.Severity != SeverityError || slices.Contains(before, f) })
	if len(bad) == 0 {
		return nil
	}
	rule, _ := FindRule(bad[0].Rule)
	what := fmt.Sprintf("write %s: mkbuild verify would refuse it: %s", v.Name, strings.TrimPrefix(bad[0].line(), SeverityError+": "))
	if more := len(bad) - 1; more > 0 {
		what += fmt.Sprintf("; and %d more", more)
	}
	return fail.New(fail.Verification, what, "mkbuild explain "+rule.ID+" says what the rule is for. "+rule.Fix)
}

// judgeTree holds a system against the rules that are about its files alone.
func judgeTree(t *overlay.Tree) ([]Finding, error) {
	found := findings{}
	m := &Image{Tree: t}
	err := errors.Join(checkTree(m, found), checkLibraries(m, found))
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
