package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"mkbuild/internal/remaster"
	"mkbuild/internal/sbom"
	"mkbuild/internal/wholefile"
)

// bills are the bills of materials that a build writes beside its first output.
type bills []string

// check refuses formats that do not exist, before anything is fetched.
func (l bills) check() error {
	for i, f := range l {
		if !slices.Contains(sbom.Formats(), f) || slices.Contains(l[:i], f) {
			return &usageError{fmt.Sprintf("--sbom: %q is no format, or named twice", f), "the formats are " + strings.Join(sbom.Formats(), " and ") + "; for example: --sbom spdx"}
		}
	}
	return nil
}

// write writes them.
func (l bills) write(b *remaster.Builder, s *remaster.Staged, output string) error {
	if len(l) == 0 {
		return nil
	}
	m, err := b.About(s)
	if err != nil {
		return err
	}
	c := s.Plan.Config
	image := sbom.Image{
		Name: strings.TrimSuffix(c.ISOName(), "."+c.Image.Version+".iso"), Version: c.Image.Version, Manifest: m, Inputs: s.Inputs(),
	}
	for _, f := range l {
		name := sbom.FileName(output, f)
		if err := wholefile.Write(name, func(w io.Writer) error { return sbom.Write(w, image, f) }); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}
