package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/extension"
	"mkbuild/internal/fail"
	"mkbuild/internal/manifest"
	"mkbuild/internal/mcoconfig"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/profile"
	"mkbuild/internal/remaster"
)

// VerifySchema is the version of a verdict's JSON.
const VerifySchema = "mkbuild.verify/v1"

// ErrNothingToVerify is returned for a lock.
var ErrNothingToVerify = fail.New(fail.Usage, "only images and initrds can be verified", "name an image; mkbuild lock --check checks a lock")

// Verdict is the result of [Image.Verify].
type Verdict struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	// Manifest says that the image has a manifest and was checked against it.
	Manifest bool      `json:"manifest"`
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
	Findings []Finding `json:"findings"`
}

// Err is nil for an image without errors. strict counts warnings as errors.
func (v *Verdict) Err(strict bool) error {
	n := v.Errors
	if strict {
		n += v.Warnings
	}
	if n == 0 {
		return nil
	}
	return fail.New(fail.Verification, fmt.Sprintf("verify %s: it breaks %d rules", v.Name, n), "mkbuild explain RULE explains a rule")
}

// Verify checks the image against its manifest, its metadata and the rules of a microkernel. It fails only on
// unreadable content, or when ctx ends.
func (m *Image) Verify(ctx context.Context) (*Verdict, error) {
	if m.Kind == KindLock {
		return nil, fmt.Errorf("verify %s: %w", m.Name, ErrNothingToVerify)
	}
	checks := []check{checkManifest, checkSums, checkMetadata, checkBoot}
	if m.Tree != nil {
		checks = append(checks, checkTree, checkLibraries, checkAccess, checkMenus, checkProd)
	}
	return m.verdict(ctx, checks)
}

// check looks for violations of some of the rules.
type check func(context.Context, *Image, findings) error

func (m *Image) verdict(ctx context.Context, checks []check) (*Verdict, error) {
	found := findings{}
	for _, check := range checks {
		if err := cmp.Or(check(ctx, m, found), ctx.Err()); err != nil {
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

// Judge refuses an unwritten image in which [Image.Verify] would find an error. It skips checks that the build
// itself guarantees: the manifest describes these very values, and the profile of a prod image was checked before
// its initrd was made.
func Judge(ctx context.Context, u *remaster.Unwritten) error {
	v, err := judge(ctx, u)
	if err != nil {
		return err
	}
	return v.refuse(nil)
}

// JudgeChange is [Judge] for an image made of another one: it ignores violations of the original.
func JudgeChange(ctx context.Context, before, after *remaster.Unwritten) error {
	v, err := judge(ctx, after)
	if err != nil || v.Errors == 0 {
		return err
	}
	old, err := judge(ctx, before)
	if err != nil {
		return err
	}
	return v.refuse(old.Findings)
}

func judge(ctx context.Context, u *remaster.Unwritten) (*Verdict, error) {
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
	return m.verdict(ctx, checks)
}

// refuse fails if there is a new error.
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
	return fail.New(fail.Verification, what, "mkbuild explain "+rule.ID+" explains the rule. "+rule.Fix)
}

// judgeTree checks a system against the rules about its files alone.
func judgeTree(ctx context.Context, t *overlay.Tree) ([]Finding, error) {
	found := findings{}
	m := &Image{Tree: t, Manifest: &manifest.Manifest{}}
	err := errors.Join(checkTree(ctx, m, found), checkLibraries(ctx, m, found))
	return found.sorted(), err
}

// maxTold is the number of findings shown of one rule.
const maxTold = 20

// Print writes the verdict as text.
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
	against := cmp.Or(when(v.Manifest, "checked against its manifest"), "it has no manifest")
	p.line("%s: %d errors, %d warnings; %s", v.Name, v.Errors, v.Warnings, against)
	return p.err
}

// PrintRules lists all rules as text.
func PrintRules(w io.Writer) error {
	p := &page{w: w}
	for _, r := range Rules() {
		p.line("%-16s  %-7s  %s", r.ID, r.Severity, r.About)
	}
	return p.err
}

// Print explains a rule as text.
func (r Rule) Print(w io.Writer) error {
	p := &page{w: w}
	p.line("%s (%s): %s", r.ID, r.Severity, r.About)
	p.title("%s", r.Why)
	p.title("%s", r.Fix)
	return p.err
}

// checkAccess looks for ways into a machine with this image.
func checkAccess(_ context.Context, m *Image, f findings) error {
	t := m.Tree
	for _, name := range []string{"etc/shadow", "etc/shadow-", "etc/gshadow"} {
		if e := t.Get(name); e != nil && e.IsRegular() && e.Perm()&0o004 != 0 {
			add := f.add
			if m.Manifest == nil && !slices.ContainsFunc(lines(t, name), hasHash) {
				add = f.warn
			}
			add(ruleShadowMode, name, "its mode is %04o", e.Perm())
		}
	}
	for _, e := range t.Entries() {
		if isHostKey(e) {
			f.add(ruleHostKey, e.Path, "it is a private key")
		}
	}
	checkSecrets(t, f)
	if m.isProd() {
		return nil
	}
	for _, a := range accounts(t) {
		if a.Password == "none" {
			f.add(ruleOpenAccount, "etc/shadow", "user %s has no password", a.Name)
		}
	}
	return nil
}

// hasHash reports whether a line of shadow(5) or gshadow(5) has a password hash.
func hasHash(line string) bool {
	f := strings.Split(line, ":")
	return len(f) > 1 && f[1] != "" && f[1] != "x" && !strings.ContainsAny(f[1][:1], "*!")
}

// isHostKey recognises the private half of an ssh host key by its name.
func isHostKey(e *overlay.Entry) bool {
	base := path.Base(e.Path)
	ssh := strings.HasPrefix(base, "ssh_host_") && strings.HasSuffix(base, "key")
	dropbear := strings.HasPrefix(base, "dropbear_") && strings.HasSuffix(base, "_host_key")
	return e.IsRegular() && e.Size > 0 && (ssh || dropbear)
}

// checkSecrets reads the values of server.cfg: "key = value" lines, as MCollective reads them.
func checkSecrets(t *overlay.Tree, f findings) {
	for _, name := range []string{mcoconfig.ServerCfg, "etc/mcollective/server.cfg"} {
		values := map[string]string{}
		for _, l := range lines(t, name) {
			if key, value, ok := strings.Cut(l, "="); ok {
				values[strings.TrimSpace(key)] = strings.TrimSpace(value)
			}
		}
		if mcoconfig.IsSample(values) {
			f.add(ruleSampleSecret, name, "it is published")
		}
	}
}

// checkUnsigned checks whether mk-client accepts unsigned extensions.
func checkUnsigned(t *overlay.Tree, f findings) {
	off := slices.ContainsFunc(lines(t, profile.ClientConfig), func(l string) bool { return extendOff.MatchString(l) })
	if t.Get(profile.ClientPath) != nil && t.Get(extension.KeysFile) == nil && !off {
		f.add(ruleUnsigned, profile.ClientPath, "the image has no extension keys: it runs any extension that its server, or a fake server, sends")
	}
}

// extendOff matches the setting that turns extensions off.
var extendOff = regexp.MustCompile(`^\s*"extend":\s*"(?i:off)",?\s*$`)

func (m *Image) isProd() bool { return m.Manifest != nil && m.Manifest.Profile == "prod" }

// config is a prod image's configuration; nil for other images.
func (m *Image) config() (*config.Config, error) {
	if !m.isProd() {
		return nil, nil //nolint:nilnil // no prod image is a normal answer
	}
	c, err := config.Parse("the manifest", m.Manifest.Config)
	return &c, err
}

// checkProd checks the promise of a prod image's profile.
func checkProd(_ context.Context, m *Image, f findings) error {
	c, err := m.config()
	if err != nil || c == nil {
		return err
	}
	for _, way := range profile.WaysIn(m.Tree, profile.Allow{Inittab: c.Boot.AllowInittab, Services: c.Services.Allow}) {
		rule := ruleProdOpen
		if way.Server {
			rule = ruleProdServer
		}
		f.add(rule, way.Path, "%s", way.What)
	}
	checkUnsigned(m.Tree, f)
	return nil
}

// checkMenus checks a prod image's boot menus.
func checkMenus(_ context.Context, m *Image, f findings) error {
	c, err := m.config()
	if err != nil || c == nil || m.Medium == nil {
		return err
	}
	for _, d := range m.Medium.WaysIn(c.Boot.Allow) {
		f.add(ruleProdOpen, mediumPrefix+d.Menu, "%s", d.InMenu())
	}
	return nil
}
