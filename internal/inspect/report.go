package inspect

import (
	"cmp"
	"fmt"
	"slices"

	"mkbuild/internal/config"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/lock"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
)

// Schema is the version of a report's JSON.
const Schema = "mkbuild.report/v1"

// Report describes an image, written or planned. Empty members are left out; lists are sorted or in the order of
// the image. Sizes are in bytes.
type Report struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	// Kind is "iso", "pxe", "initrd" or "lock".
	Kind   string `json:"kind"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	// Plan describes how an unwritten image comes about; nil for a written one.
	Plan   *Planned `json:"plan,omitempty"`
	Volume *Volume  `json:"volume,omitempty"`
	// Boot are the entries of the El Torito catalog, Menu the entries of all boot menus. Values of arguments that
	// look like secrets read REDACTED.
	Boot []BootEntry    `json:"boot,omitempty"`
	Menu []medium.Entry `json:"menu,omitempty"`
	// Kernel and Initrd are the default entry's.
	Kernel *Kernel `json:"kernel,omitempty"`
	Initrd *Initrd `json:"initrd,omitempty"`
	// Release is Tiny Core's version; Razor has the values of iso-metadata.yaml and mk-version.yaml.
	Release    string      `json:"release,omitempty"`
	Razor      *Razor      `json:"razor,omitempty"`
	Extensions []Extension `json:"extensions,omitempty"`
	// Gems are Ruby's packages, "stomp-1.2.0".
	Gems     []string  `json:"gems,omitempty"`
	Services []Service `json:"services,omitempty"`
	// Accounts are the accounts that can log in with a password or without one.
	Accounts []Account `json:"accounts,omitempty"`
	// SetID are set-uid and set-gid files.
	SetID    []manifest.File `json:"setid,omitempty"`
	Manifest *Summary        `json:"manifest,omitempty"`
	Lock     *lock.Lock      `json:"lock,omitempty"`
	// Files and Sizes are present on request.
	Files []manifest.File `json:"files,omitempty"`
	Sizes *Sizes          `json:"sizes,omitempty"`
}

// Volume is the medium's file system.
type Volume struct {
	ID          string `json:"id"`
	System      string `json:"system,omitempty"`
	Application string `json:"application,omitempty"`
	Preparer    string `json:"preparer,omitempty"`
	RockRidge   bool   `json:"rock_ridge"`
	Joliet      bool   `json:"joliet"`
	// Hybrid says that it also boots from a disk: its first sectors have boot code and partitions.
	Hybrid bool `json:"hybrid"`
	Files  int  `json:"files"`
}

// BootEntry is an entry of the El Torito catalog.
type BootEntry struct {
	// Platform is "bios", "uefi", "ppc", "mac" or a number.
	Platform string `json:"platform"`
	// Path is empty for an image without a name.
	Path     string `json:"path,omitempty"`
	Bootable bool   `json:"bootable"`
	// Emulation is "none", "floppy" or "disk".
	Emulation   string `json:"emulation"`
	LoadSectors int    `json:"load_sectors"`
	InfoTable   bool   `json:"info_table,omitempty"`
}

// Kernel is a bzImage.
type Kernel struct {
	Path string `json:"path"`
	// Release is the output of uname -r.
	Release string `json:"release,omitempty"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
}

// Initrd describes the unpacked initrd.
type Initrd struct {
	Paths    []string  `json:"paths,omitempty"`
	Size     int64     `json:"size"`
	Segments []Segment `json:"segments"`
	// Entries counts the booted system's entries; Unpacked, the bytes of its files.
	Entries  int   `json:"entries"`
	Unpacked int64 `json:"unpacked"`
	// RAM is the memory of the unpacked files. While the kernel unpacks them, the initrd itself is in memory,
	// too: BootRAM.
	RAM     int64 `json:"ram"`
	BootRAM int64 `json:"boot_ram"`
}

// Summary is mkbuild's manifest, without the parts in the rest of the report.
type Summary struct {
	*manifest.Manifest
	Files    []manifest.File     `json:"files,omitempty"`
	Boot     []manifest.BootFile `json:"boot,omitempty"`
	Segments []manifest.Segment  `json:"segments,omitempty"`
	// Error says why it is unreadable.
	Error string `json:"error,omitempty"`
}

// Planned says how an unwritten image comes about. Paths are those of the booted system, without the first slash.
type Planned struct {
	// LeftOut are optional extensions that no mirror has.
	LeftOut []string `json:"left_out,omitempty"`
	// Changes are the files, links and devices added to the source image, or replaced.
	Changes []FileChange `json:"changes"`
	// Conflicts are files left out because an earlier layer has their path.
	Conflicts []overlay.Conflict `json:"conflicts"`
	// Findings are the build's warnings, and violations of rules that are not the source image's own.
	Findings []Finding `json:"findings"`
	// Private are files that not everybody on the machine may read, but everybody who can read the
	// image.
	Private []string `json:"private"`
}

// FileChange is one file added to or replaced in the source image.
type FileChange struct {
	Path string `json:"path"`
	// Change is "add" or "replace".
	Change string `json:"change"`
	// Origin is its origin: an input, "mkbuild", or the user's own path.
	Origin string `json:"origin"`
}

// Options ask for optional parts of a report.
type Options struct{ Files, Sizes bool }

// Report describes the image.
func (m *Image) Report(o Options) (*Report, error) {
	r := &Report{Schema: Schema, Name: m.Name, Kind: m.Kind, Size: m.Size, SHA256: m.SHA256, Razor: razor(m), Manifest: summary(m), Lock: m.Lock}
	var err error
	if m.Medium != nil {
		if r.Kernel, err = kernelOf(m); err != nil {
			return nil, err
		}
		r.Volume, r.Boot, r.Menu = volume(m), catalog(m.Medium.ISO), menus(m.Medium)
	}
	if m.Tree == nil {
		return r, nil
	}
	r.Initrd, r.SetID, r.Release = initrdOf(m), setID(m), release(m.Tree)
	r.Extensions, r.Gems, r.Services, r.Accounts = extensions(m), gems(m.Tree), services(m.Tree), accounts(m.Tree)
	if o.Sizes {
		r.Sizes = sizes(m)
	}
	if o.Files {
		r.Files, err = records(m)
	}
	return r, err
}

func volume(m *Image) *Volume {
	if m.Kind != KindISO {
		return nil
	}
	iso := m.Medium.ISO
	return &Volume{
		ID: iso.VolumeID, System: iso.SystemID, Application: iso.ApplicationID, Preparer: iso.Preparer,
		RockRidge: iso.RockRidge, Joliet: iso.Joliet, Files: m.Medium.Files.Len(),
		Hybrid: slices.ContainsFunc(iso.System, func(b byte) bool { return b != 0 }),
	}
}

func catalog(iso *iso9660.Image) []BootEntry {
	var out []BootEntry
	for i := range iso.Boot {
		e := &iso.Boot[i]
		out = append(out, BootEntry{platform(e.Platform), e.Path, e.Bootable, emulation(e.Media), int(e.LoadSectors), e.InfoTable})
	}
	return out
}

func platform(p byte) string {
	known := map[byte]string{iso9660.PlatformBIOS: "bios", iso9660.PlatformUEFI: "uefi", iso9660.PlatformPPC: "ppc", iso9660.PlatformMac: "mac"}
	return cmp.Or(known[p], fmt.Sprintf("%#02x", p))
}

func emulation(media byte) string {
	return cmp.Or(map[byte]string{iso9660.MediaNone: "none", iso9660.MediaHardDisk: "disk"}[media], "floppy")
}

func menus(md *medium.Medium) []medium.Entry {
	out := slices.Clone(md.Entries)
	for i := range out {
		out[i].Append = config.RedactArguments(out[i].Append)
	}
	return out
}

func kernelOf(m *Image) (*Kernel, error) {
	if m.Medium.Kernel == "" {
		return nil, nil //nolint:nilnil // a medium may boot nothing
	}
	f := m.Medium.Files.Get(m.Medium.Kernel)
	sum, err := m.Medium.Sum(f.Path)
	return &Kernel{Path: f.Path, Release: m.Kernel, Size: f.Size, SHA256: sum}, err
}

func initrdOf(m *Image) *Initrd {
	i := &Initrd{Segments: m.Segments, Size: m.Size, Entries: m.Tree.Len()}
	if m.Medium != nil {
		i.Paths, i.Size = m.Medium.Initrds, m.Medium.Segments().Size()
	}
	all := Amount{}
	for _, e := range contents(m.Tree) {
		all.add(e.Size)
	}
	i.Unpacked, i.RAM, i.BootRAM = all.Bytes, all.RAM, all.RAM+i.Size
	return i
}

func setID(m *Image) []manifest.File {
	var out []manifest.File
	for _, e := range m.Tree.Entries() {
		if e.IsRegular() && e.Perm()&0o6000 != 0 {
			out = append(out, manifest.File{Path: manifest.Text(e.Path), Mode: fmt.Sprintf("%o", e.Mode), UID: e.UID, GID: e.GID, Size: e.Size})
		}
	}
	return out
}

func summary(m *Image) *Summary {
	switch {
	case m.ManifestError != nil:
		return &Summary{Error: m.ManifestError.Error()}
	case m.Manifest == nil:
		return nil
	}
	head := *m.Manifest
	return &Summary{Manifest: &head}
}
