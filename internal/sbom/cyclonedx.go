package sbom

import (
	"io"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

func (i *Image) writeCycloneDX(w io.Writer) error {
	root := cdx.Component{
		BOMRef: rootID, Type: cdx.ComponentTypeOS, Name: i.Name, Version: i.Version,
		Properties: &[]cdx.Property{{Name: "mkbuild:plan", Value: i.Manifest.Plan}, {Name: "mkbuild:profile", Value: i.Manifest.Profile}},
	}
	bom := cdx.NewBOM()
	bom.SerialNumber = "urn:uuid:" + i.uuid(CycloneDX)
	bom.Metadata = &cdx.Metadata{
		Timestamp: i.time(), Component: &root,
		Tools: &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "mkbuild", Version: i.Manifest.Mkbuild}}},
	}
	var components []cdx.Component
	edges := []cdx.Dependency{{Ref: rootID}}
	var direct []string
	for _, p := range i.parts() {
		components = append(components, component(p))
		d := cdx.Dependency{Ref: p.id}
		if len(p.needs) > 0 {
			d.Dependencies = &p.needs
		}
		if edges = append(edges, d); p.direct {
			direct = append(direct, p.id)
		}
	}
	edges[0].Dependencies = &direct
	bom.Components, bom.Dependencies = &components, &edges
	return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).EncodeVersion(bom, cdx.SpecVersion1_6)
}

func component(p part) cdx.Component {
	c := cdx.Component{BOMRef: p.id, Type: cdx.ComponentTypeLibrary, Name: p.name, Version: p.version, PackageURL: p.purl}
	if p.isSystem || p.id == "kernel" {
		c.Type = cdx.ComponentTypeOS
	}
	if p.sha256 != "" {
		c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: p.sha256}}
	}
	if p.file != "" {
		c.Properties = &[]cdx.Property{{Name: "mkbuild:file", Value: p.file}}
	}
	if p.licence != "" {
		l := &cdx.License{ID: identifier(p.licence)}
		if l.ID == "" {
			l.Name = p.licence
		}
		c.Licenses = &cdx.Licenses{{License: l}}
	}
	return c
}
