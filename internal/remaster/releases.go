package remaster

import (
	"cmp"
	"context"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// noRelease says why there is no digest of the source image: what the mirrors' listings show
// decides, as far as they can be listed.
func (s *sources) noRelease(ctx context.Context, cause error) error {
	for _, dir := range unique(s.plan.ISODirs) {
		if names, err := s.client.List(ctx, []string{dir}); err == nil && slices.Contains(names, s.plan.ISO) {
			return &NoDigestError{s.plan.ISO, dir, cause}
		}
	}
	e := &ReleaseError{Release: s.plan.Config.Release, ISO: s.plan.ISO, Err: cause}
	if e.Known = s.releases(ctx); len(e.Known) == 0 {
		e.Series = s.series(ctx)
	}
	return e
}

// releases lists the versions that the mirrors have, oldest first: best effort. The wanted one is
// not among them, even where there is an empty folder for it.
func (s *sources) releases(ctx context.Context) []string {
	prefix, _, _ := strings.Cut(s.plan.ISO, "-")
	found := map[string]bool{}
	for i, dir := range s.plan.ISODirs {
		if i%2 == 1 { // archive/<release>: its parent lists all of them
			dir = strings.TrimRight(strings.TrimSuffix(dir, s.plan.Config.Release), `/\`)
		}
		names, err := s.client.List(ctx, []string{dir})
		if err != nil {
			continue
		}
		for _, n := range names {
			v, isISO := strings.CutSuffix(n, ".iso")
			v, isCore := strings.CutPrefix(v, prefix+"-")
			if i%2 == 1 && n != "" && n[0] >= '0' && n[0] <= '9' || isISO && isCore && v != "current" {
				found[path.Base(v)] = true
			}
		}
	}
	delete(found, s.plan.Config.Release)
	return sorted(found)
}

// seriesName is the folder of a major version.
var seriesName = regexp.MustCompile(`^[0-9]{1,3}\.x$`)

// series lists the major versions that the mirrors have: best effort.
func (s *sources) series(ctx context.Context) []string {
	found := map[string]bool{}
	for _, m := range unique(s.plan.Config.Mirrors) {
		names, err := s.client.List(ctx, []string{m})
		if err != nil {
			continue
		}
		for _, n := range names {
			if seriesName.MatchString(n) {
				found[n] = true
			}
		}
	}
	return sorted(found)
}

func sorted(found map[string]bool) []string {
	out := make([]string, 0, len(found))
	for v := range found {
		out = append(out, v)
	}
	slices.SortFunc(out, compareReleases)
	return out
}

// compareReleases orders versions as people do: 4.9, 4.10rc1, 4.10rc2, 4.10.
func compareReleases(a, b string) int {
	an, as := splitRelease(a)
	bn, bs := splitRelease(b)
	aKind, bKind := strings.TrimRight(as, "0123456789"), strings.TrimRight(bs, "0123456789")
	return cmp.Or(
		slices.Compare(an, bn),
		-cmp.Compare(boolInt(as != ""), boolInt(bs != "")),
		strings.Compare(aKind, bKind),
		cmp.Compare(number(as[len(aKind):]), number(bs[len(bKind):])),
		strings.Compare(a, b),
	)
}

// splitRelease takes "4.0rc1" apart: its numbers, and "rc1".
func splitRelease(v string) (numbers []int, suffix string) {
	end := strings.IndexFunc(v, unicode.IsLetter)
	if end < 0 {
		end = len(v)
	}
	for _, part := range strings.Split(strings.TrimSuffix(v[:end], "."), ".") {
		numbers = append(numbers, number(part))
	}
	return numbers, v[end:]
}

// number is 0 for what is none: an order is wanted, not a check.
func number(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
