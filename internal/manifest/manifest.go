// Package manifest is the description inside an image: its inputs, and every file of the booted system. It is in
// the image's root as [Name], and a copy is next to the image. Inspect, diff, verify and the bill of materials
// read it.
//
// A manifest has no clock, no mirror, no URL and no path of the machine that built it: the same inputs give the
// same bytes wherever they were fetched from. It holds no secret, and no digest of a file with one: the digest of
// a short password reveals the password. The digests of whole segments and of the initrd do cover such files, as
// every checksum of an image does; choose secrets that cannot be guessed.
//
// Start reading at [Manifest]; [Parse] and [Manifest.Render] are its text.
package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"mkbuild/internal/lock"
	"mkbuild/internal/overlay"
)

const (
	// Schema is the version of the manifest's text.
	Schema = "mkbuild.manifest/v1"
	// Name is the manifest's path in the root of an ISO.
	Name = "mkbuild-manifest.json"
	// FolderName is its path in a PXE folder.
	FolderName = "manifest.json"
)

// Manifest describes one image.
type Manifest struct {
	// Schema is [Schema].
	Schema string `json:"schema"`
	// Mkbuild is the version of the program that made the image.
	Mkbuild string `json:"mkbuild"`
	// Plan is the digest of the configuration and the inputs: [Manifest.PlanDigest].
	Plan string `json:"plan"`
	// Profile, Release, Arch and Kernel are "prod", "4.5.2", "x86" and "3.0.21-tinycore".
	Profile string `json:"profile"`
	Release string `json:"release"`
	Arch    string `json:"arch"`
	Kernel  string `json:"kernel"`
	// SourceDate is the time stamp of generated files, in seconds since 1970.
	SourceDate int64 `json:"source_date"`
	// Config is the effective configuration: config.Config.Public.
	Config json.RawMessage `json:"config"`
	// Inputs are the inputs, without URLs, sorted by kind and name.
	Inputs []lock.Input `json:"inputs"`
	// Boot are the files of the image outside of its initrd, and the initrd itself.
	Boot []BootFile `json:"boot"`
	// Segments are the parts of the last initrd of Boot, in their order. In a PXE folder in segments they are
	// its last initrds, and offsets count from the first of these.
	Segments []Segment `json:"segments"`
	// Customization has the changes since the build; nil for an image as built.
	Customization *Customization `json:"customization,omitempty"`
	// Files are the booted system, sorted as [overlay.Tree.Entries].
	Files []File `json:"files"`
}

// Customization has the changes to an image since its build, without a rebuild.
type Customization struct {
	// Append are the kernel arguments after the build's. Values that look like secrets read REDACTED in a manifest.
	Append string `json:"append,omitempty"`
	// Settings are the names of the changed settings of mk-client.
	Settings []string `json:"settings,omitempty"`
	// Extension is the SHA-256 of the image's own extension archive.
	Extension string `json:"extension,omitempty"`
	// AuthorizedKeys are the fingerprints of the added keys.
	AuthorizedKeys []string `json:"authorized_keys,omitempty"`
	// Replaced are the build's records of replaced files.
	Replaced []File `json:"replaced,omitempty"`
	// Added are the new paths.
	Added []Text `json:"added,omitempty"`
}

// OriginOverlay is the origin of the user's own files.
const OriginOverlay = "overlay"

// Roles of boot files.
const (
	RoleKernel = "kernel"
	RoleInitrd = "initrd"
	RoleMenu   = "menu"
	RoleLoader = "loader"
)

// BootFile is a file of the medium.
type BootFile struct {
	Path string `json:"path"`
	// Role is one of the constants above, or empty.
	Role string `json:"role,omitempty"`
	Size int64  `json:"size"`
	// SHA256 is the content's digest. For a file with a boot-info-table, the table (bytes 8 to 63), which holds
	// the file's position, counts as zero.
	SHA256    string `json:"sha256"`
	InfoTable bool   `json:"info_table,omitempty"`
}

// Segment is a part of an initrd.
type Segment struct {
	Name   string `json:"name"`
	Offset int64  `json:"offset"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// File is one entry of the booted system.
type File struct {
	Path Text `json:"path"`
	// Mode is st_mode in octal: "100755", "40755", "120777".
	Mode string `json:"mode"`
	UID  uint32 `json:"uid"`
	GID  uint32 `json:"gid"`
	// Size and SHA256 describe a regular file's content. A file with secrets has neither.
	Size   int64  `json:"size,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	// Link is a symlink's target, Device a node's "major:minor".
	Link   Text   `json:"link,omitempty"`
	Device string `json:"device,omitempty"`
	// Origin is an input's name, "mkbuild", or "overlay" for the user's own.
	Origin string `json:"origin,omitempty"`
	// Secret says that size and digest are left out.
	Secret bool `json:"secret,omitempty"`
}

// Beside is the path of the manifest next to an ISO.
func Beside(image string) string { return image + ".manifest.json" }

// Describe returns an entry's record in a manifest. sum is the content's digest, "" for none, as for secrets.
func Describe(e *overlay.Entry, sum string) File {
	f := File{Path: Text(e.Path), Mode: strconv.FormatUint(uint64(e.Mode), 8), UID: e.UID, GID: e.GID, Origin: e.Origin}
	switch {
	case e.IsRegular() && sum == "":
		f.Secret = true
	case e.IsRegular():
		f.Size, f.SHA256 = e.Size, sum
	case e.IsLink():
		f.Link = Text(e.Link)
	case e.Mode&overlay.TypeMask == overlay.TypeChar, e.Mode&overlay.TypeMask == overlay.TypeBlock:
		f.Device = fmt.Sprintf("%d:%d", e.Major, e.Minor)
	}
	return f
}

// PlanDigest hashes the configuration, the content of the inputs and the time. It ignores the inputs' sources and
// the name of the result.
func (m *Manifest) PlanDigest() string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%d\n%s\n", Schema, m.SourceDate, m.Config)
	for _, in := range m.Inputs {
		fmt.Fprintf(sum, "%q %q %s\n", in.Kind, in.Name, in.SHA256)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// PublicInputs returns inputs for a manifest: sorted, without the parts that depend on the mirror. The licence in
// an extension's .info is not part of the extension, and no digest covers it.
func PublicInputs(inputs []lock.Input) []lock.Input {
	out := slices.Clone(inputs)
	for i := range out {
		out[i].URL = ""
		if out[i].Kind == lock.TCZ {
			out[i].Licence = ""
		}
	}
	slices.SortFunc(out, func(a, b lock.Input) int {
		return slices.Compare([]string{a.Kind, a.Name}, []string{b.Kind, b.Name})
	})
	return out
}
