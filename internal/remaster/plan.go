// Package remaster turns a Tiny Core ISO and a [config.Config] into a microkernel image: [New]
// plans without touching anything, [Builder.Stage] fetches and stages the plan's inputs as
// values, and the result is written as an ISO or as the overlay archive alone.
package remaster

import (
	"fmt"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/fetch"
	"mkbuild/internal/tcz"
)

// Plan is what a build will do, worked out of the configuration alone: no network, no clock,
// no environment.
type Plan struct {
	Config config.Config
	// ISO is the source image's file name, "Core-4.5.2.iso".
	ISO string
	// ISODirs are the folders to look for it in, in order.
	ISODirs []string
	// TCZDirs are the extension folders of the mirrors, in order.
	TCZDirs []string
	// ArchiveDirs are the folders of the mirrors where source archives and gems may be, in order:
	// no mirror of Tiny Core has one, one that mkbuild made does.
	ArchiveDirs []string
	// Extensions are the wanted ones, KERNEL not yet replaced.
	Extensions []string
	// Series is what is known of the release's series, Followed what [config.FollowRelease] put in
	// place of the defaults.
	Series   tcz.Series
	Followed []string
}

// New plans an image.
func New(c config.Config) (*Plan, error) {
	series, followed := config.FollowRelease(&c)
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p := &Plan{Config: c, ISO: series.ISO(c.Release), Extensions: c.AllExtensions(), Series: series, Followed: followed}
	major, _, _ := strings.Cut(c.Release, ".")
	for _, m := range c.Mirrors {
		for _, dir := range []string{"release", "archive/" + c.Release} {
			u, err := fetch.Join(m, major+".x", c.Arch, dir)
			if err != nil {
				return nil, fmt.Errorf("plan mirror: %w", err)
			}
			p.ISODirs = append(p.ISODirs, u)
		}
		u, err := fetch.Join(m, major+".x", c.Arch, "tcz")
		if err != nil {
			return nil, fmt.Errorf("plan mirror: %w", err)
		}
		p.TCZDirs = append(p.TCZDirs, u)
		if u, err = fetch.Join(m, "archives"); err != nil {
			return nil, fmt.Errorf("plan mirror: %w", err)
		}
		p.ArchiveDirs = append(p.ArchiveDirs, u)
	}
	return p, nil
}

// inDirs returns name in each of dirs.
func inDirs(dirs []string, name string) ([]string, error) {
	out := make([]string, len(dirs))
	for i, d := range dirs {
		u, err := fetch.Join(d, name)
		if err != nil {
			return nil, err
		}
		out[i] = u
	}
	return out, nil
}
