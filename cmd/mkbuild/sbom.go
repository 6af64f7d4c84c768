package main

import (
	"fmt"
	"io"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/remaster"
	"mkbuild/internal/sbom"
	"mkbuild/internal/wholefile"
)

// bill is the format of the bill of materials that a build writes next to its first output, or "".
type bill string

// check refuses formats that do not exist, before anything is fetched.
func (f bill) check() error {
	if f == "" || f == "spdx" {
		return nil
	}
	return fail.New(fail.Usage, fmt.Sprintf("--sbom: there is no format %q", string(f)), "the format is spdx: --sbom spdx")
}

// write writes the bill.
func (f bill) write(b *remaster.Builder, s *remaster.Staged, output string) error {
	if f == "" {
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
	name := sbom.FileName(output)
	if err := wholefile.Write(name, func(w io.Writer) error { return sbom.Write(w, image) }); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
