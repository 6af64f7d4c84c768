// Package remaster makes a microkernel image out of the inputs of a Tiny Core image. It is the heart of the
// product, and tells the story of an image in order:
//
//  1. Layers: the files of each input are placed on those of the source image, as trees in memory
//     (layers.go, pick.go, ruby.go, client.go; checks.go refuses what would not boot or would not be safe).
//     The result is a [Staged] image.
//  2. Segments: the layers of one input become one segment of the initrd, which the store keeps
//     (segments.go, unpacked.go). Segments in load order are an [Initrd] (initrd.go).
//  3. Forms: kernel, initrd and boot menus become an ISO, a PXE folder or Razor's tar (forms.go
//     names them; image.go, iso.go, netboot.go), with a manifest of everything in it (manifest.go), and
//     with a signature and its provenance on request (sign.go).
//
// Inputs come from the package inputs: it asks no mirror and reads no lock. The package medium reads and edits
// boot menus. Nothing is unpacked onto the host.
//
// Start reading at [Builder].
package remaster

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"mkbuild/internal/inputs"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/wholefile"
)

// Stage fetches the plan's inputs and places them. Contents stay in the store.
func (b *Builder) Stage(ctx context.Context, p *inputs.Plan) (*Staged, error) {
	l := &layering{b: b, out: &Staged{Plan: p}}
	if err := l.readClient(); err != nil {
		return nil, err // before the first request
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := b.step("base")
	g, err := inputs.Begin(ctx, p, b.Inputs)
	done()
	if err != nil {
		return nil, err
	}
	l.out.Kernel, l.out.base, l.out.baseSum = g.Kernel, g.Medium, g.SHA256
	if err := l.checkBase(); err != nil {
		return nil, err
	}
	l.unpackedBase = sync.OnceValues(func() (*overlay.Tree, error) { return l.unpackBase(ctx) })
	go l.unpackedBase()    //nolint:errcheck // its error comes from unpackedBase
	defer l.unpackedBase() //nolint:errcheck // cancelled on an error, and ended when Stage returns
	defer cancel()
	if err := l.checkRelease(); err != nil {
		return nil, err
	}
	if l.out.inputs, err = g.Finish(ctx); err != nil {
		return nil, err
	}
	l.out.Plan, l.out.Epoch = l.out.inputs.Plan(), l.out.inputs.Lock.SourceDate
	return l.out, placeAll(ctx, l)
}

// placeAll places the inputs in layers.
func placeAll(ctx context.Context, l *layering) error {
	for _, part := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"unpack", l.layBase},
		{"extensions", l.extensions},
		{"pick", l.picks},
		{"ruby", l.ruby},
		{"mcollective", l.mcollective},
		{"profile", l.profile},
		{"overlay", l.userOverlay},
		{"check", l.check},
	} {
		done := l.b.step(part.name)
		err := part.do(ctx)
		done()
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// Write writes an image in several forms that share an initrd. Each appears whole or not at all, in the given
// order, after all forms were judged.
func (b *Builder) Write(ctx context.Context, s *Staged, outputs []Output) error {
	i := &image{b: b, staged: s}
	if slices.ContainsFunc(outputs, func(o Output) bool { return o.Form != FormTar }) {
		var err error
		if i, err = b.image(ctx, s); err != nil {
			return err
		}
		defer i.Close() //nolint:errcheck // only read
	}
	var pieces []*piece
	for _, o := range outputs {
		p, err := i.piece(ctx, o)
		if err != nil {
			return err
		}
		pieces = append(pieces, p)
	}
	if err := i.judge(ctx, pieces); err != nil {
		return err
	}
	for n, o := range outputs {
		done := b.step(stepOf(o.Form))
		err := pieces[n].write(ctx)
		done()
		if err != nil {
			return err
		}
	}
	if b.Sign != nil {
		return sign(ctx, i, outputs)
	}
	return nil
}

// piece is a form that is ready to be written.
type piece struct {
	name     string
	medium   *medium.Medium
	manifest *manifest.Manifest
	write    func(context.Context) error
}

// stepOf names the step of a form for the table of timings.
func stepOf(f Form) string {
	if f == FormTar {
		return "write"
	}
	return string(f)
}

// piece makes one form of the image up to the writing.
func (i *image) piece(ctx context.Context, o Output) (*piece, error) {
	defer i.b.step(stepOf(o.Form))()
	switch o.Form {
	case FormISO:
		return i.isoPiece(ctx, o.to())
	case FormPXE:
		return i.pxePiece(ctx, o.Path)
	case FormRazor:
		return &piece{name: o.Path, write: func(ctx context.Context) error { return i.writeRazor(ctx, o.to()) }}, nil
	case FormTar:
		return &piece{name: o.Path, write: func(ctx context.Context) error { return i.b.writeOverlay(ctx, i.staged, o.to()) }}, nil
	}
	return nil, fmt.Errorf("write %s: no form %q", o.Path, o.Form)
}

// judge checks each medium against the rules for finished images, and the system, which they share, once. An
// overlay alone is not an image.
func (i *image) judge(ctx context.Context, pieces []*piece) error {
	if i.b.Judge == nil || i.initrd == nil {
		return nil
	}
	defer i.b.step("judge")()
	about, err := i.b.About(i.staged)
	if err != nil {
		return err
	}
	about.Files = i.files
	u := &Unwritten{Base: i.staged.baseTree, System: i.staged.layers.Merged()}
	for _, p := range pieces {
		u.Name, u.Medium, u.Manifest = p.name, p.medium, p.manifest
		if u.Manifest == nil {
			u.Manifest = about
		}
		if err := i.b.Judge(ctx, u); err != nil {
			return err
		}
		u.System = nil
	}
	return nil
}

// WriteOverlay writes the overlay alone.
func (b *Builder) WriteOverlay(ctx context.Context, s *Staged, name string) error {
	return b.Write(ctx, s, []Output{{Form: FormTar, Path: name}})
}

// writeOverlay writes the files that the image adds to its base as a gzip'd tar archive: the snapshot of the
// manual procedure.
func (b *Builder) writeOverlay(ctx context.Context, s *Staged, out wholefile.Output) error {
	return out.Write(func(w io.Writer) error {
		if err := overlay.WriteTarGz(wholefile.Interruptible(ctx, w), s.Added(), s.Epoch); err != nil {
			return fmt.Errorf("write %s: %w", out.Name, err)
		}
		return nil
	})
}

// WriteISO writes the image as an ISO, and its manifest next to it, at [manifest.Beside].
func (b *Builder) WriteISO(ctx context.Context, s *Staged, name string) error {
	return b.Write(ctx, s, []Output{{Form: FormISO, Path: name}})
}

// Preview makes an image as [Builder.WriteISO] does, but does not write it. It leaves segments in the cache. The
// caller closes the result.
func (b *Builder) Preview(ctx context.Context, s *Staged) (*Preview, error) {
	i, err := b.image(ctx, s)
	if err != nil {
		return nil, err
	}
	made, err := i.remake()
	if err == nil {
		_, _, err = i.putManifest(ctx, made)
	}
	if err != nil {
		i.Close() //nolint:errcheck,gosec // nothing of it is needed
		return nil, err
	}
	return &Preview{
		Medium: made, Inputs: s.Inputs(), LeftOut: s.inputs.LeftOut, Conflicts: s.conflicts, Base: s.baseTree, System: s.layers.Merged(),
		Private: privateFiles(s), image: i,
	}, nil
}
