// Package sbom writes the bill of materials of an image, in the two formats that tools read: SPDX
// 2.3 and CycloneDX 1.6, both as JSON, by the libraries of the two projects.
//
// A bill lists the image itself, its kernel, and every input: the base, the extensions with what
// they depend on, the gems and the archives. It has the image's own time, and its serial number is
// made from the plan's digest, so that the same image has the same bill. Licences are what upstream
// says of them; they are SPDX licences only where that is certain.
package sbom

import (
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"time"

	"mkbuild/internal/lock"
	"mkbuild/internal/manifest"
)

// Formats of a bill.
const (
	SPDX      = "spdx"
	CycloneDX = "cyclonedx"
)

// Formats lists all formats.
func Formats() []string { return []string{SPDX, CycloneDX} }

// FileName is where the bill of an image lies beside it.
func FileName(image, format string) string {
	if format == CycloneDX {
		return image + ".cdx.json"
	}
	return image + ".spdx.json"
}

// Image is what a bill is about.
type Image struct {
	// Name and Version are the image's: "rz_mk_prod-image", "0.1.0".
	Name, Version string
	// Manifest needs no files.
	Manifest *manifest.Manifest
	// Inputs are the manifest's, with licences.
	Inputs []lock.Input
}

// Write writes a bill in a format of [Formats].
func Write(w io.Writer, i Image, format string) error {
	var err error
	switch format {
	case SPDX:
		err = i.writeSPDX(w)
	case CycloneDX:
		err = i.writeCycloneDX(w)
	default:
		err = fmt.Errorf("no format is called %q", format)
	}
	if err != nil {
		return fmt.Errorf("write bill of materials: %w", err)
	}
	return nil
}

// uuid is a name-based UUID (RFC 9562, version 8) of the image that the bill is about.
func (i *Image) uuid(format string) string {
	b := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s\n%s\n", format, i.Name, i.Version, i.Manifest.Mkbuild, i.Manifest.Plan))
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// time is when the image was made, by its own account.
func (i *Image) time() string {
	return time.Unix(i.Manifest.SourceDate, 0).UTC().Format(time.RFC3339)
}

// part is an input, or the kernel.
type part struct {
	id            string // unique in the bill
	name, version string
	file, sha256  string
	licence       string
	purl          string
	needs         []string // ids
	isSystem      bool
	direct        bool // somebody asked for it, other than another part
}

// parts lists everything in the image, the kernel last.
func (i *Image) parts() []part {
	var out []part
	for _, in := range i.Inputs {
		p := part{id: in.Kind + "-" + in.Name, file: in.Name, sha256: in.SHA256, licence: in.Licence, isSystem: in.Kind == lock.ISO}
		p.name, p.version = nameVersion(in)
		if in.Kind == lock.ISO {
			p.version = i.Manifest.Release
		}
		p.purl = purl(in, p.name, p.version)
		for _, n := range in.Needs {
			p.needs = append(p.needs, lock.TCZ+"-"+n)
		}
		for _, why := range in.Why {
			p.direct = p.direct || !strings.HasSuffix(why, ".tcz")
		}
		out = append(out, p)
	}
	kernel := i.Manifest.Kernel
	return existing(append(out, part{id: "kernel", name: "linux", version: kernel, purl: "pkg:generic/linux@" + escape(kernel), direct: true, licence: "GPL-2.0-only"}))
}

// existing drops needs that the image goes without.
func existing(parts []part) []part {
	known := map[string]bool{}
	for _, p := range parts {
		known[p.id] = true
	}
	for i := range parts {
		var needs []string
		for _, n := range parts[i].needs {
			if known[n] {
				needs = append(needs, n)
			}
		}
		parts[i].needs = needs
	}
	return parts
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
	at := ""
	if version != "" {
		at = "@" + escape(version)
	}
	if in.Kind == lock.Gem {
		return "pkg:gem/" + escape(name) + at
	}
	return "pkg:generic/" + escape(name) + at + "?checksum=sha256:" + in.SHA256
}

// escape percent-encodes what a package URL cannot have.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
