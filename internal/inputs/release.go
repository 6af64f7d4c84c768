package inputs

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/rubygems"
)

// noRelease explains why there is no digest of the source image, by the mirrors' listings as far as they
// can be had: the release does not exist, or only its digest is missing.
func (s *source) noRelease(ctx context.Context, p *Plan, cause error) error {
	iso := p.ISO
	var others []string // editions of the same release
	for _, dir := range s.isoDirs() {
		names := s.list(ctx, dir)
		for _, n := range names {
			if edition, ok := strings.CutSuffix(n, "-"+p.Config.Release+".iso"); ok {
				others = append(others, "--edition "+edition)
			}
		}
		if slices.Contains(names, iso) {
			return fail.New(fail.Network, fmt.Sprintf("check %s of %s: %s.md5.txt is missing beside it", iso, dir, iso),
				"add a mirror that has it with --mirror URL, or, on a mirror of your own, make it: md5sum "+iso+" >"+iso+".md5.txt")
		}
	}
	hint := "`mkbuild releases` lists the series; look at the mirror's release/ and archive/ folders of one for a version, then --release VERSION"
	if len(others) > 0 {
		hint = "the mirror has other editions of this release: try " + strings.Join(unique(others), " or ")
	} else if known := s.releases(ctx, p); len(known) > 0 {
		hint = "the mirror has " + strings.Join(known, ", ") + ": try --release " + known[len(known)-1]
	}
	return &fail.Error{Class: fail.Network, What: fmt.Sprintf("find release %s: no mirror has %s", p.Config.Release, iso), Hint: hint, Err: cause}
}

// list returns the names in a folder, or nothing if it cannot be listed.
func (s *source) list(ctx context.Context, dir string) []string {
	names, err := s.Fetch.List(ctx, dir)
	if err != nil {
		return nil
	}
	return names
}

// releases lists the versions of the series that the mirrors have, oldest first. The wanted one is not
// among them, even if it has an empty folder.
func (s *source) releases(ctx context.Context, p *Plan) []string {
	found := map[string]rubygems.Version{}
	see := func(text string) {
		if v, err := rubygems.ParseVersion(text); err == nil && text != p.Config.Release {
			found[text] = v
		}
	}
	for _, m := range s.mirrors {
		for _, name := range s.list(ctx, m.Release) {
			if v, ok := strings.CutPrefix(strings.TrimSuffix(name, ".iso"), p.Series.Edition+"-"); ok && strings.HasSuffix(name, ".iso") {
				see(v)
			}
		}
		for _, name := range s.list(ctx, m.Archive) {
			see(name)
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b string) int { return found[a].Compare(found[b]) })
}
