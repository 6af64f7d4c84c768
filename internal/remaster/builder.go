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

// Builder does what an [inputs.Plan] says. Its fields are everything that comes from outside.
type Builder struct {
	// Inputs are what inputs are gathered with; warnings and timings go where they send theirs.
	Inputs inputs.Options
	// Keys are the checked authorized_keys lines for dev and debug.
	Keys []string
	// Secrets reads values that mkbuild.yaml takes from files and the environment.
	Secrets config.Sources
	// Client returns the mk-client program for an architecture, gzip'd or as it is.
	Client func(arch string) (*io.SectionReader, error)
	// Sign, if set, signs every form that is written, with its provenance.
	Sign *signing.Signer
	// Version is mkbuild's own, for the manifest.
	Version string
	// Judge, if set, refuses an image that must not be written.
	Judge func(context.Context, *Unwritten) error
}

// Unwritten is an image that is complete and not written: what [Builder.Judge] decides on.
type Unwritten struct {
	Name string
	// Medium boots by itself; it is nil for the forms razor and tar.
	Medium *medium.Medium
	// Base and System are the file systems of the source image and of the image; System is nil where another
	// form of the image was judged before.
	Base, System *overlay.Tree
	// Manifest describes the image. It has no Boot where there is no Medium.
	Manifest *manifest.Manifest
}

// store keeps what is costly to make.
func (b *Builder) store() *store.Store { return b.Inputs.Fetch.Store }

// step notes the begin of a step and returns what to call at its end.
func (b *Builder) step(name string) func() {
	if b.Inputs.Step == nil {
		return func() {}
	}
	return b.Inputs.Step(name)
}

// say tells the user something about an item.
func (b *Builder) say(level ui.Level, step, item, text string) {
	b.Inputs.Sink.Event(ui.Event{Level: level, Step: step, Item: item, Text: text})
}
