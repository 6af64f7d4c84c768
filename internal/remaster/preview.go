package remaster

import (
	"mkbuild/internal/lock"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
)

// Preview is an image that is complete and not written, and why it is so.
type Preview struct {
	// Medium is the ISO. Its size and bytes are those of the file that [Builder.WriteISO] writes.
	Medium *medium.Medium
	// Inputs are the files that the image is made of, with the places that they came from.
	Inputs []lock.Input
	// LeftOut are extensions that may be left out, and are, since no mirror has them.
	LeftOut []string
	// Conflicts are the files of extensions that something else had already.
	Conflicts []overlay.Conflict
	// Base and System are the file systems of the source image and of the image.
	Base, System *overlay.Tree
	// Private are the files that not everybody on the machine may read, but everybody who can read
	// the image; the base's own are not among them.
	Private []string

	image *image
}

// Close gives up the space that the image takes.
func (p *Preview) Close() error { return p.image.Close() }

// privateFiles are the private files of what was added, and those that hold secrets by their name.
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
