package inputs

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/rubygems"
	"mkbuild/internal/tcz"
)

// noRelease explains why the source image has no digest, from the mirrors' listings if there are any: the release
// does not exist, or only its digest is missing.
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
			return fail.New(fail.Network, fmt.Sprintf("check %s: %s has no %s.md5.txt", iso, dir, iso),
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

// Listed is a release series on a mirror.
type Listed struct {
	tcz.Series
	// Releases are the versions, oldest first; Editions are the ISOs of the newest.
	Releases []string `json:"releases,omitempty"`
	Editions []string `json:"editions,omitempty"`
}

var seriesFolder = regexp.MustCompile(`^[0-9]{1,3}\.x$`)

// Releases asks the mirrors, given as configured, for their releases. The first that lists its folders counts,
// and is returned. If none does, the error joins their errors.
func Releases(ctx context.Context, bases []string, o Options) (all []Listed, mirror string, err error) {
	s := &source{Options: o}
	for _, base := range bases {
		names, lerr := o.Fetch.List(ctx, base)
		names = slices.DeleteFunc(names, func(n string) bool { return !seriesFolder.MatchString(n) })
		if lerr == nil && len(names) == 0 {
			lerr = fail.New(fail.Network, "list "+fetch.Shown(base)+": it names no release series", "")
		}
		if lerr != nil {
			err = cmp.Or(err, lerr)
			continue
		}
		all, err = s.survey(ctx, base, names)
		return all, fetch.Shown(base), err
	}
	return nil, "", err
}

// survey lists the series of a mirror.
func (s *source) survey(ctx context.Context, base string, series []string) ([]Listed, error) {
	var all []Listed
	for _, name := range series {
		for _, arch := range config.Choices("arch") {
			all = append(all, Listed{Series: tcz.SeriesOf(name, arch)})
		}
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelDownloads)
	for i := range all {
		group.Go(func() error {
			m, err := newMirror(base, &config.Config{Release: strconv.Itoa(all[i].Major), Arch: all[i].Arch})
			if err != nil {
				return err
			}
			all[i].Releases, all[i].Editions = listed(s.list(gctx, m.Release), s.list(gctx, m.Archive))
			return gctx.Err()
		})
	}
	err := group.Wait()
	all = slices.DeleteFunc(all, func(l Listed) bool { return len(l.Releases) == 0 })
	slices.SortStableFunc(all, func(a, b Listed) int { return cmp.Compare(a.Major, b.Major) })
	return all, err
}

// listed reads the names in release/ and archive/: versions, oldest first, and the editions of the newest.
func listed(release, archive []string) (versions, editions []string) {
	found, of := map[string]rubygems.Version{}, map[string][]string{}
	for _, name := range slices.Concat(release, archive) {
		edition, version, ok := strings.Cut(strings.TrimSuffix(name, ".iso"), "-")
		if !ok {
			edition, version = "", name
		} else if !slices.Contains(config.Choices("edition"), edition) || !strings.HasSuffix(name, ".iso") {
			continue
		}
		if v, err := rubygems.ParseVersion(version); err == nil {
			found[version] = v
			if edition != "" {
				of[version] = append(of[version], edition)
			}
		}
	}
	versions = slices.SortedFunc(maps.Keys(found), func(a, b string) int { return cmp.Or(found[a].Compare(found[b]), cmp.Compare(b, a)) })
	for _, v := range slices.Backward(versions) {
		if editions = of[v]; len(editions) > 0 {
			break
		}
	}
	return versions, editions
}

// list returns the names in a folder, or nothing if it cannot be listed.
func (s *source) list(ctx context.Context, dir string) []string {
	names, err := s.Fetch.List(ctx, dir)
	if err != nil {
		return nil
	}
	return names
}

// releases lists the mirrors' versions of the series, oldest first, without the wanted one, which may have an
// empty folder.
func (s *source) releases(ctx context.Context, p *Plan) []string {
	var iso, older []string
	for _, m := range s.mirrors {
		for _, name := range s.list(ctx, m.Release) {
			if strings.HasPrefix(name, p.Series.Edition+"-") {
				iso = append(iso, name)
			}
		}
		older = append(older, s.list(ctx, m.Archive)...)
	}
	versions, _ := listed(iso, older)
	return slices.DeleteFunc(versions, func(v string) bool { return v == p.Config.Release })
}
