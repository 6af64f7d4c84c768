package inspect

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"path"
	"slices"
	"strings"
	"sync"

	"mkbuild/internal/manifest"
	"mkbuild/internal/overlay"
	"mkbuild/internal/remaster"
	"mkbuild/internal/tcz"
	"mkbuild/internal/ui"
	"mkbuild/internal/wholefile"
)

// Plan reports on an unwritten image, called name, as [Image.Report] does on the written one. said are the
// warnings of the build. The report has no secrets and no content of the user's own files.
func Plan(ctx context.Context, name string, p *remaster.Preview, said []Finding, files bool) (*Report, error) {
	m, err := ReadMedium(p.Medium)
	if err != nil {
		return nil, err
	}
	m.Name = name
	if m.Size, err = p.Medium.ISO.Size(); err != nil {
		return nil, err
	}
	sum := sha256.New()
	if err := p.Medium.ISO.Write(wholefile.Interruptible(ctx, sum)); err != nil {
		return nil, err
	}
	m.SHA256 = hex.EncodeToString(sum.Sum(nil))
	r, err := m.Report(Options{Sizes: true})
	if err != nil {
		return nil, err
	}
	if files {
		r.Files = m.Manifest.Files // without digests of files with secrets
	}
	r.Manifest.Inputs = p.Inputs // with their places
	origins := originsOf(m.Manifest)
	r.Services = slices.DeleteFunc(r.Services, func(s Service) bool { return origins[s.From] == manifest.OriginOverlay })
	v, err := m.verdict(ctx, []check{checkBoot, checkMenus, checkAccess})
	if err != nil {
		return nil, err
	}
	refused := slices.DeleteFunc(v.Findings, func(f Finding) bool { return f.Severity != SeverityError }) // by [Judge]
	r.Plan = &Planned{LeftOut: p.LeftOut, Changes: changes(p), Conflicts: append([]overlay.Conflict{}, p.Conflicts...), Private: p.Private}
	r.Plan.Findings, err = planFindings(ctx, p, slices.Concat(said, refused))
	if m.Manifest.Profile == "prod" {
		found := findings{}
		checkUnsigned(p.System, found)
		r.Plan.Findings = append(r.Plan.Findings, found.sorted()...)
	}
	return r, err
}

// Warnings is a sink that keeps a build's warnings for its plan, which prints them once.
type Warnings struct {
	// Next receives all other events except conflicts, which the plan lists.
	Next     ui.Sink
	Findings []Finding
	mu       sync.Mutex
}

// Event implements [ui.Sink].
func (w *Warnings) Event(e ui.Event) {
	switch {
	case e.Level == ui.Warning:
		w.mu.Lock()
		defer w.mu.Unlock()
		text := e.Text
		if e.Item != "" {
			text = e.Item + ": " + text
		}
		w.Findings = append(w.Findings, Finding{Rule: e.Step, Severity: SeverityWarning, Text: text})
	case e.Level != ui.Info:
		w.Next.Event(e)
	}
}

// changes compares the image with its base.
func changes(p *remaster.Preview) []FileChange {
	out := []FileChange{}
	for _, e := range p.System.Entries() {
		if e.IsDir() || fromBase(p, e) {
			continue
		}
		change := "add"
		if p.Base.Get(e.Path) != nil {
			change = "replace"
		}
		out = append(out, FileChange{e.Path, change, owner(e)})
	}
	return out
}

func owner(e *overlay.Entry) string { return cmp.Or(e.Origin, "mkbuild") }

// fromBase reports whether an entry is the base's own, by its origin.
func fromBase(p *remaster.Preview, e *overlay.Entry) bool {
	old := p.Base.Get(e.Path)
	return old != nil && old.Origin == e.Origin && old.Mode == e.Mode && old.UID == e.UID && old.GID == e.GID &&
		old.Size == e.Size && old.Link == e.Link && old.MTime == e.MTime
}

// planFindings checks the system against the rules about its files, except violations of the base itself.
func planFindings(ctx context.Context, p *remaster.Preview, said []Finding) ([]Finding, error) {
	base, err := judgeTree(ctx, p.Base)
	if err != nil {
		return nil, err
	}
	image, err := judgeTree(ctx, p.System)
	if err != nil {
		return nil, err
	}
	out := append([]Finding{}, said...)
	for _, f := range slices.Concat(image, shadows(p)) {
		if slices.Contains(base, f) {
			continue
		}
		if e := p.System.Get(string(f.Path)); e != nil {
			f.Origin = owner(e)
		}
		if slices.Contains(makersRules(), f.Rule) && path.Ext(f.Origin) == tcz.Suffix {
			f.Severity = SeverityWarning
		}
		out = append(out, f)
	}
	slices.SortStableFunc(out, func(a, b Finding) int { return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Path, b.Path)) })
	return out, nil
}

// shadows are added programs that replace one of busybox's.
func shadows(p *remaster.Preview) []Finding {
	applets := appletsOf(p.Base)
	var out []Finding
	for _, dir := range programDirs() {
		for _, e := range p.System.Children(dir) {
			applet := applets[path.Base(e.Path)]
			if applet == "" || e.IsDir() || fromBase(p, e) || owner(e) == "mkbuild" || rank(e.Path) > rank(applet) {
				continue
			}
			out = append(out, Finding{
				Rule: "shadows-busybox", Severity: SeverityWarning, Path: manifest.Text(e.Path),
				Text: "it runs instead of busybox's /" + applet + ": options and output may differ",
			})
		}
	}
	return out
}

func rank(p string) int { return slices.Index(programDirs(), path.Dir(p)) }

// appletsOf are the names of busybox in the base: its symlinks and hard links.
func appletsOf(base *overlay.Tree) map[string]string {
	group := ""
	if b, err := base.Lookup("bin/busybox"); err == nil {
		group = b.HardLink
	}
	out := map[string]string{}
	for _, dir := range programDirs() {
		for _, e := range base.Children(dir) {
			name := path.Base(e.Path)
			switch {
			case strings.HasPrefix(name, "busybox"), out[name] != "":
			case e.IsLink() && strings.HasPrefix(path.Base(e.Link), "busybox"), group != "" && e.HardLink == group:
				out[name] = e.Path
			}
		}
	}
	return out
}
