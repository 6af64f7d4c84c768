package remaster

import (
	"context"
	"encoding/json"

	"mkbuild/internal/config"
	"mkbuild/internal/lock"
	"mkbuild/internal/overlay"
)

// Preview is an image as it would be written, to the byte, and why.
type Preview struct {
	// Config is the configuration without secrets, see [config.Config.Public].
	Config json.RawMessage
	// Arguments are what the kernel boots with by default; what looks like a secret reads REDACTED.
	Arguments string
	// ISO and Initrd are the sizes of the files, in bytes.
	ISO, Initrd int64
	// Inputs are the files that the image is made of, with the places that they came from.
	Inputs []lock.Input
	// Parts are the initrd's segments in load order: the source image, the inputs, mkbuild's own.
	// In the layout merged there is one segment, and the sizes of the parts are 0.
	Parts []Part
	// Conflicts are the files of extensions that something else had already.
	Conflicts []overlay.Conflict
	// Base and Image are the file systems of the source image and of the image.
	Base, Image *overlay.Tree
	// Secrets are the files that not everybody on the machine may read, but everybody who can read
	// the image; the base's own are not among them.
	Secrets []string
}

// Part is what one input brings.
type Part struct {
	// Name is that of the input.
	Name string
	// Size is that of its segment in the initrd, in bytes.
	Size int64
	// Tree is what it brings, with the directories above.
	Tree *overlay.Tree
}

// Preview works out what [Builder.Write] would write. Like it, it leaves segments in the cache; it
// writes nothing else.
func (b *Builder) Preview(ctx context.Context, s *Staged) (*Preview, error) {
	rd, err := b.WriteInitrd(ctx, s)
	if err != nil {
		return nil, err
	}
	defer rd.Close() //nolint:errcheck // only read
	out := &Preview{
		Arguments: config.RedactArguments(s.kernelArgs()), Initrd: rd.Size, Inputs: s.Inputs(), Conflicts: s.conflicts,
		Base: s.baseTree, Image: s.layers.Merged(), Secrets: s.secretFiles(),
	}
	if out.Config, err = s.Plan.Config.Public(); err != nil {
		return nil, err
	}
	img, err := s.remake(rd)
	if err != nil {
		return nil, err
	}
	if _, err := b.putManifest(ctx, s, rd, img); err != nil {
		return nil, err
	}
	if out.ISO, err = img.Size(); err != nil {
		return nil, err
	}
	out.Parts = s.parts(rd)
	return out, nil
}

// parts are what the base and each input bring, with the sizes of their segments.
func (s *Staged) parts(rd *Initrd) []Part {
	sizes := map[string]int64{}
	if s.Plan.Config.Initrd.Layout == "append" {
		for _, seg := range rd.Segments {
			sizes[seg.Name] = seg.Size
		}
	}
	out := []Part{{s.base.Name, sizes[s.base.Name], s.baseTree}}
	for _, name := range s.segments.all() {
		if t := s.tree(name); t != nil {
			out = append(out, Part{name, sizes[name], t})
		}
	}
	return out
}

// secretFiles are the private files of what was added, and those that hold secrets by their name.
func (s *Staged) secretFiles() []string {
	var out []string
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
