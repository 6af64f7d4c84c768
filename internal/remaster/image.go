package remaster

import (
	"context"
	"fmt"
	"strings"

	"mkbuild/internal/cmdline"
	"mkbuild/internal/manifest"
)

// image is an image that is complete but for its form.
type image struct {
	b      *Builder
	staged *Staged
	initrd *Initrd
	files  []manifest.File // of the booted system
}

// image makes the initrd of a staged image. The caller closes it.
func (b *Builder) image(ctx context.Context, s *Staged) (*image, error) {
	defer b.step("initrd")()
	rd, err := makeInitrd(ctx, b.store(), s)
	if err != nil {
		return nil, err
	}
	files, err := s.fileRecords(ctx, rd.sums)
	if err != nil {
		rd.Close() //nolint:errcheck,gosec // nothing of it is needed
		return nil, fmt.Errorf("make manifest: %w", err)
	}
	return &image{b, s, rd, files}, nil
}

// Close releases the initrd.
func (i *image) Close() error { return i.initrd.Close() }

// kernelArgs are the arguments that the image boots with: those of the source's default entry, then
// the configuration's.
func (s *Staged) kernelArgs() string {
	return strings.TrimSpace(cmdline.Add(s.base.Arguments, strings.TrimSpace(s.Plan.Config.Boot.Append)))
}
