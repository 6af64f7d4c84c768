package remaster

import (
	"mkbuild/internal/lock"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
)

// Preview is a complete image before it is written, and how it came about.
type Preview struct {
	// Medium is the ISO, with the size and bytes of [Builder.WriteISO]'s file.
	Medium *medium.Medium
	// Inputs are the image's inputs, with their URLs.
	Inputs []lock.Input
	// LeftOut are optional extensions that no mirror has.
	LeftOut []string
	// Conflicts are files of extensions that an earlier layer has.
	Conflicts []overlay.Conflict
	// Base and System are the file systems of the source image and of the image.
	Base, System *overlay.Tree
	// Private are files that not everybody on the machine may read, but everybody who can read the image. The
	// base's own are left out.
	Private []string

	image *image
}

// Close removes the image's temporary files.
func (p *Preview) Close() error { return p.image.Close() }

// privateFiles are the added private files, and those that hold secrets by their name.
func privateFiles(s *Staged) []string {
	out := []string{}
	for _, e := range s.Added().Entries() {
		shown := *e
		shown.Origin = publicOrigin(e.Origin, s.Plan.Config.Overlay)
		old := s.baseTree.Get(e.Path)
		own := e.IsRegular() && e.Size > 0 && e.Perm()&0o004 == 0 && old == nil
		if e.IsRegular() && (own || holdsSecrets(&shown, &s.Plan.Config)) {
			out = append(out, e.Path)
		}
	}
	return out
}
