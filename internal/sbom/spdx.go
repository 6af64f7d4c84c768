package sbom

import (
	"fmt"
	"io"
	"slices"
	"strings"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"
)

// none is how SPDX says that nothing is known.
const none = "NOASSERTION"

// rootID is the image's own.
const rootID = "Image"

func (i *Image) writeSPDX(w io.Writer) error {
	doc := &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT", DocumentName: i.Name + "-" + i.Version,
		DocumentNamespace: "urn:uuid:" + i.uuid(SPDX),
		CreationInfo: &spdx.CreationInfo{
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "mkbuild-" + i.Manifest.Mkbuild}}, Created: i.time(),
		},
		Packages: []*spdx.Package{{
			PackageName: i.Name, PackageSPDXIdentifier: rootID, PackageVersion: i.Version, PackageDownloadLocation: none,
			PackageLicenseConcluded: none, PackageLicenseDeclared: none, PackageCopyrightText: none, PrimaryPackagePurpose: "OPERATING-SYSTEM",
			PackageComment: "plan " + i.Manifest.Plan,
		}},
		Relationships: []*spdx.Relationship{relation("DOCUMENT", common.TypeRelationshipDescribe, rootID)},
	}
	for _, p := range i.parts() {
		addSPDX(doc, p)
	}
	return spdxjson.Write(doc, w, spdxjson.Indent("  "), spdxjson.EscapeHTML(false))
}

// addSPDX adds a part, its licence and its edges.
func addSPDX(doc *spdx.Document, p part) {
	id := spdxID(p.id)
	pkg := &spdx.Package{
		PackageName: p.name, PackageSPDXIdentifier: common.ElementID(id), PackageVersion: p.version, PackageFileName: p.file,
		PackageDownloadLocation: none, PackageLicenseConcluded: none, PackageLicenseDeclared: licenceOf(doc, p.licence), PackageCopyrightText: none,
		PackageExternalReferences: []*spdx.PackageExternalReference{{Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: p.purl}},
	}
	if p.sha256 != "" {
		pkg.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: p.sha256}}
	}
	doc.Packages = append(doc.Packages, pkg)
	doc.Relationships = append(doc.Relationships, relation(rootID, common.TypeRelationshipContains, id))
	for _, n := range p.needs {
		doc.Relationships = append(doc.Relationships, relation(id, common.TypeRelationshipDependsOn, spdxID(n)))
	}
}

func relation(a, how, b string) *spdx.Relationship {
	return &spdx.Relationship{RefA: common.MakeDocElementID("", a), Relationship: how, RefB: common.MakeDocElementID("", b)}
}

// spdxID makes an identifier of letters, digits, dots and dashes.
func spdxID(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '-'
	}, strings.NewReplacer("+", ".plus.", "_", ".under.").Replace(id))
}

// licenceOf returns the expression for a licence, and notes its words where SPDX has none for it.
func licenceOf(doc *spdx.Document, words string) string {
	if words == "" {
		return none
	}
	if id := identifier(words); id != "" {
		return id
	}
	ref := reference(words)
	if !slices.ContainsFunc(doc.OtherLicenses, func(l *spdx.OtherLicense) bool { return l.LicenseIdentifier == ref }) {
		doc.OtherLicenses = append(doc.OtherLicenses, &spdx.OtherLicense{
			LicenseIdentifier: ref, LicenseName: words, ExtractedText: fmt.Sprintf("Upstream says: %s", words),
		})
	}
	return ref
}
