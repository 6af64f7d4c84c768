package inputs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/fetch"
	"mkbuild/internal/tcz"
)

// Plan lists the requests to mirrors. It depends only on the configuration, not on the network, the clock or the
// environment.
type Plan struct {
	Config config.Config
	// Series is the release's series.
	Series tcz.Series
	// Followed are remarks on defaults that the release's own replaced.
	Followed []string
	// ISO is the source image's file name, "Core-4.5.2.iso".
	ISO string
	// Mirrors are the configured mirrors, in order, each once.
	Mirrors []Mirror
	// Extensions are the configured entries.
	Extensions []string
}

// Mirror is the folders of a Tiny Core mirror.
type Mirror struct {
	// Release holds the newest release of the series, Archive a folder for each older one, and Archived
	// is the wanted release's there.
	Release, Archive, Archived string
	// TCZ holds extensions.
	TCZ string
	// Archives holds source archives and gems. Only mirrors written by mkbuild have it.
	Archives string
}

// NewPlan plans the images of a configuration.
func NewPlan(c config.Config) (*Plan, error) {
	series, followed := tcz.SeriesOf(c.Release, c.Arch), followRelease(&c)
	if err := c.Validate(); err != nil {
		return nil, err
	}
	series.Edition = cmp.Or(c.Edition, series.Edition)
	p := &Plan{Config: c, Series: series, Followed: followed, ISO: series.ISO(c.Release), Extensions: c.AllExtensions()}
	if c.ISO != nil {
		p.ISO = c.ISO.Name()
	}
	for _, base := range c.Mirrors {
		m, err := newMirror(base, &c)
		if err != nil {
			return nil, fmt.Errorf("plan mirror: %w", err)
		}
		if !slices.ContainsFunc(p.Mirrors, func(have Mirror) bool { return have.TCZ == m.TCZ }) {
			p.Mirrors = append(p.Mirrors, m)
		}
	}
	return p, nil
}

func newMirror(base string, c *config.Config) (m Mirror, err error) {
	join := func(path ...string) string {
		address, wrong := fetch.Join(base, path...)
		if wrong != nil {
			err = wrong
		}
		return address
	}
	series := majorOf(c.Release) + ".x"
	return Mirror{
		Release:  join(series, c.Arch, "release"),
		Archive:  join(series, c.Arch, "archive"),
		Archived: join(series, c.Arch, "archive", c.Release),
		TCZ:      join(series, c.Arch, "tcz"),
		Archives: join("archives"),
	}, err
}

func majorOf(release string) string {
	major, _, _ := strings.Cut(release, ".")
	return major
}

// forEveryProfile returns the plan with the inputs of all profiles.
func (p *Plan) forEveryProfile() *Plan {
	all := *p
	all.Config.Profile = "dev" // debug needs no more
	all.Extensions = all.Config.AllExtensions()
	return &all
}

// fileNames turns names of extensions into file names, each once, at its last position: the last name in a .dep
// is loaded first. It drops invalid names.
func fileNames(names []string, kernel string) []string {
	var out []string
	for _, n := range names {
		if file, err := tcz.FileName(n, kernel); err == nil {
			out = append(slices.DeleteFunc(out, func(f string) bool { return f == file }), file)
		}
	}
	return out
}

func gemFile(g config.Gem) string { return g.Name + "-" + g.Version + ".gem" }

// inDirs returns name in each of dirs.
func inDirs(dirs []string, name string) ([]string, error) {
	out := make([]string, len(dirs))
	for i, d := range dirs {
		var err error
		if out[i], err = fetch.Join(d, name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// preferred puts first before the others of all.
func preferred(first string, all []string) []string { return unique(append([]string{first}, all...)) }

// unique drops repeats: no address is asked twice.
func unique(list []string) []string {
	var out []string
	for _, v := range list {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}
