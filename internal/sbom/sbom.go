// Package sbom writes the bill of materials of an image: SPDX 2.3 as JSON, by the SPDX project's own library.
//
// A bill lists the image itself, its kernel, and every input: the base, the extensions with what they depend on,
// the gems and the archives. It has the image's own time, and its identifier is made from the plan's digest, so
// that the same image has the same bill. Licences are upstream's words; they become SPDX licences only if that is
// certain. A bill has no URLs. Start reading at [Write].
package sbom

import (
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"

	"mkbuild/internal/lock"
	"mkbuild/internal/manifest"
)

// FileName is the path of an image's bill, next to it.
func FileName(image string) string { return image + ".spdx.json" }

// Image is the image of a bill.
type Image struct {
	// Name and Version are the image's: "rz_mk_prod-image", "0.1.0".
	Name, Version string
	// Manifest needs no files.
	Manifest *manifest.Manifest
	// Inputs are the manifest's, with licences.
	Inputs []lock.Input
}

// imageID is the identifier of the image in its bill.
const imageID = "Image"

// Write writes the bill of an image.
func Write(w io.Writer, i Image) error {
	m := i.Manifest
	image := newPackage(imageID, i.Name, i.Version)
	image.PrimaryPackagePurpose, image.PackageComment = "OPERATING-SYSTEM", "plan "+m.Plan
	doc := &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT", DocumentName: i.Name + "-" + i.Version,
		DocumentNamespace: "urn:uuid:" + i.uuid(),
		CreationInfo: &spdx.CreationInfo{
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "mkbuild-" + m.Mkbuild}},
			Created:  time.Unix(m.SourceDate, 0).UTC().Format(time.RFC3339),
		},
		Packages:      []*spdx.Package{image},
		Relationships: []*spdx.Relationship{relation("DOCUMENT", common.TypeRelationshipDescribe, imageID)},
	}
	for _, in := range i.Inputs {
		i.addInput(doc, in)
	}
	addPackage(doc, newPackage("kernel", "linux", m.Kernel), "GPL-2.0-only", "pkg:generic/linux@"+escape(m.Kernel))
	if err := spdxjson.Write(doc, w, spdxjson.Indent("  "), spdxjson.EscapeHTML(false)); err != nil {
		return fmt.Errorf("write bill of materials: %w", err)
	}
	return nil
}

// uuid is a name-based UUID (RFC 9562, version 8) of the image that the bill is about.
func (i *Image) uuid() string {
	b := sha256.Sum256(fmt.Appendf(nil, "spdx\n%s\n%s\n%s\n%s\n", i.Name, i.Version, i.Manifest.Mkbuild, i.Manifest.Plan))
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// addInput adds a package for an input, and its dependencies on other inputs. A missing extension has no package.
func (i *Image) addInput(doc *spdx.Document, in lock.Input) {
	name, version := nameVersion(in)
	p := newPackage(spdxID(in.Kind, in.Name), name, version)
	if in.Kind == lock.ISO {
		p.PackageVersion = i.Manifest.Release
	}
	p.PackageFileName = in.Name
	p.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: in.SHA256}}
	addPackage(doc, p, in.Licence, purl(in, name, p.PackageVersion))
	for _, need := range in.Needs {
		if slices.ContainsFunc(i.Inputs, func(other lock.Input) bool { return other.Kind == lock.TCZ && other.Name == need }) {
			doc.Relationships = append(doc.Relationships, relation(string(p.PackageSPDXIdentifier), common.TypeRelationshipDependsOn, spdxID(lock.TCZ, need)))
		}
	}
}

// newPackage returns a package without other information.
func newPackage(id, name, version string) *spdx.Package {
	return &spdx.Package{
		PackageName: name, PackageSPDXIdentifier: common.ElementID(id), PackageVersion: version, PackageDownloadLocation: unknown,
		PackageLicenseConcluded: unknown, PackageLicenseDeclared: unknown, PackageCopyrightText: unknown,
	}
}

// addPackage adds a part of the image. licence is in upstream's words.
func addPackage(doc *spdx.Document, p *spdx.Package, licence, purl string) {
	p.PackageLicenseDeclared = declared(doc, licence)
	p.PackageExternalReferences = []*spdx.PackageExternalReference{{Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: purl}}
	doc.Packages = append(doc.Packages, p)
	doc.Relationships = append(doc.Relationships, relation(imageID, common.TypeRelationshipContains, string(p.PackageSPDXIdentifier)))
}

func relation(a, how, b string) *spdx.Relationship {
	return &spdx.Relationship{RefA: common.MakeDocElementID("", a), Relationship: how, RefB: common.MakeDocElementID("", b)}
}

// spdxID makes an identifier of letters, digits, dots and dashes (SPDX 2.3, 3.2).
func spdxID(kind, name string) string {
	return strings.Map(func(r rune) rune {
		if isAlphanumeric(r) || r == '.' {
			return r
		}
		return '-'
	}, strings.NewReplacer("+", ".plus.", "_", ".under.").Replace(kind+"-"+name))
}

// nameVersion splits the file name of an input. Extensions have no version of their own.
func nameVersion(in lock.Input) (name, version string) {
	name = in.Name
	for _, ending := range []string{".tcz", ".gem", ".tar.gz", ".tgz", ".iso"} {
		name = strings.TrimSuffix(name, ending)
	}
	if in.Kind == lock.TCZ {
		return name, ""
	}
	if at := strings.LastIndexByte(name, '-'); at > 0 && at+1 < len(name) && name[at+1] >= '0' && name[at+1] <= '9' {
		return name[:at], name[at+1:]
	}
	return name, ""
}

// purl is the package URL of an input (github.com/package-url/purl-spec). Only gems have a type of
// their own; the others are found by their digest.
func purl(in lock.Input, name, version string) string {
	if version != "" {
		version = "@" + escape(version)
	}
	if in.Kind == lock.Gem {
		return "pkg:gem/" + escape(name) + version
	}
	return "pkg:generic/" + escape(name) + version + "?checksum=sha256:" + in.SHA256
}

// escape percent-encodes characters that are invalid in a package URL.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; isAlphanumeric(rune(c)) || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
