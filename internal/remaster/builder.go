package remaster

import (
	"context"
	"io"

	"mkbuild/internal/config"
	"mkbuild/internal/inputs"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/signing"
	"mkbuild/internal/store"
	"mkbuild/internal/ui"
)

// Builder carries out an [inputs.Plan]. Its fields are everything from outside.
type Builder struct {
	// Inputs are the options of a gathering; the builder's warnings and timings go to the same sink.
	Inputs inputs.Options
	// Keys are the checked authorized_keys lines for dev and debug.
	Keys []string
	// Secrets reads the values that mkbuild.yaml takes from files and the environment.
	Secrets config.Sources
	// Client returns the mk-client program for an architecture, gzip'd or as it is.
	Client func(arch string) (*io.SectionReader, error)
	// Sign, if set, signs every form, with its provenance.
	Sign *signing.Signer
	// Version is mkbuild's own, for the manifest.
	Version string
	// Judge, if set, refuses an image that must not be written.
	Judge func(context.Context, *Unwritten) error
}

// Unwritten is a complete image before it is written: [Builder.Judge] decides on it.
type Unwritten struct {
	Name string
	// Medium boots by itself; it is nil for the forms razor and tar.
	Medium *medium.Medium
	// Base and System are the file systems of the source image and of the image; System is nil if another form of
	// the image was judged before.
	Base, System *overlay.Tree
	// Manifest describes the image. It has no Boot if there is no Medium.
	Manifest *manifest.Manifest
}

// store keeps segments and other costly results.
func (b *Builder) store() *store.Store { return b.Inputs.Fetch.Store }

// step records the start of a step and returns a function to call at its end.
func (b *Builder) step(name string) func() {
	if b.Inputs.Step == nil {
		return func() {}
	}
	return b.Inputs.Step(name)
}

func (b *Builder) say(level ui.Level, step, item, text string) {
	b.Inputs.Sink.Event(ui.Event{Level: level, Step: step, Item: item, Text: text})
}
