package inspect

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
)

// openFolder reads a PXE folder.
func openFolder(name string) (_ *Image, err error) {
	defer recovered(name, &err)
	m := &Image{Name: name, Kind: KindPXE}
	if m.Medium, err = medium.OpenFolder(name); err != nil {
		return nil, err
	}
	m.ISO = m.Medium.ISO
	sums := sha256.New()
	for _, f := range m.Medium.Files.Entries() {
		m.Size += f.Size
		if f.Path == medium.PXESums {
			continue
		}
		sum, err := m.sumFile(f)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(sums, "%s  %s\n", sum, f.Path)
	}
	m.SHA256 = hex.EncodeToString(sums.Sum(nil))
	return m, m.readBoot()
}

// manifestName is where a medium has its manifest.
func (m *Image) manifestName() string {
	if m.Kind == KindPXE {
		return medium.PXEManifest
	}
	return manifest.Name
}

// checkSums holds a PXE folder against its SHA256SUMS, if it has one.
func checkSums(j *judge) error {
	if j.Kind != KindPXE || j.Medium.Files.Get(medium.PXESums) == nil {
		return nil
	}
	for _, name := range medium.WrongSums(j.Name) {
		j.add(rulePXESums, isoPrefix+name, "it is missing, or its sha256 is another")
	}
	return nil
}
