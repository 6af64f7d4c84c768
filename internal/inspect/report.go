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

// Report says what is in an image, or will be. Members that an image has nothing for are left out;
// lists are sorted or in the order of the image. Sizes are in bytes.
type Report struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	// Kind is "iso", "pxe", "initrd" or "lock".
	Kind   string `json:"kind"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	// Plan is there if the image is not written yet: how it comes to be.
	Plan   *Planned `json:"plan,omitempty"`
	Volume *Volume  `json:"volume,omitempty"`
	// Boot are the entries of the El Torito catalog, Menu those of all boot menus, in whose arguments
	// values that look like secrets read REDACTED.
	Boot []BootEntry    `json:"boot,omitempty"`
	Menu []medium.Entry `json:"menu,omitempty"`
	// Kernel and Initrd are those of the default entry.
	Kernel *Kernel `json:"kernel,omitempty"`
	Initrd *Initrd `json:"initrd,omitempty"`
	// Release is Tiny Core's own version, Razor what iso-metadata.yaml and mk-version.yaml say.
	Release    string      `json:"release,omitempty"`
	Razor      *Razor      `json:"razor,omitempty"`
	Extensions []Extension `json:"extensions,omitempty"`
	// Gems are Ruby's packages, "stomp-1.2.0".
	Gems     []string  `json:"gems,omitempty"`
	Services []Service `json:"services,omitempty"`
	// Accounts are those that can log in with a password or without one.
	Accounts []Account `json:"accounts,omitempty"`
	// SetID are the files that run with the rights of their owner or group.
	SetID    []manifest.File `json:"setid,omitempty"`
	Manifest *Summary        `json:"manifest,omitempty"`
	Lock     *lock.Lock      `json:"lock,omitempty"`
	// Files and Sizes are there when they were asked for.
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
	// Hybrid says that it also boots from a disk: its first sectors hold boot code and partitions.
	Hybrid bool `json:"hybrid"`
	Files  int  `json:"files"`
}

// BootEntry is an entry of the El Torito catalog.
type BootEntry struct {
	// Platform is "bios", "uefi", "ppc", "mac" or a number.
	Platform string `json:"platform"`
	// Path is empty for an image that no name leads to.
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
	// Release is what uname -r will say.
	Release string `json:"release,omitempty"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
}

// Initrd is what the kernel unpacks.
type Initrd struct {
	Paths    []string  `json:"paths,omitempty"`
	Size     int64     `json:"size"`
	Segments []Segment `json:"segments"`
	// Entries are those of the booted system, Unpacked the bytes of its files.
	Entries  int   `json:"entries"`
	Unpacked int64 `json:"unpacked"`
	// RAM is the memory that the files take once they are unpacked. While the kernel unpacks them, the
	// initrd itself is in memory, too: BootRAM.
	RAM     int64 `json:"ram"`
	BootRAM int64 `json:"boot_ram"`
}

// Summary is the manifest that mkbuild left, without what the rest of the report says.
type Summary struct {
	*manifest.Manifest
	Files    []manifest.File     `json:"files,omitempty"`
	Boot     []manifest.BootFile `json:"boot,omitempty"`
	Segments []manifest.Segment  `json:"segments,omitempty"`
	// Error says why it cannot be read.
	Error string `json:"error,omitempty"`
}

// Planned says how an image that is not written yet comes to be. Paths are those of the booted
// system, without the first slash.
type Planned struct {
	// LeftOut are extensions that may be left out, and are, since no mirror has them.
	LeftOut []string `json:"left_out,omitempty"`
	// Changes are the files, links and devices that are put over those of the source image.
	Changes []FileChange `json:"changes"`
	// Conflicts are files that were left out, since something else had their path.
	Conflicts []overlay.Conflict `json:"conflicts"`
	// Findings are what deserves a look: what the build warns of, and broken rules that the source
	// image does not break by itself.
	Findings []Finding `json:"findings"`
	// Private are files that not everybody on the machine may read, but everybody who can read the
	// image.
	Private []string `json:"private"`
}

// FileChange is one file that is put over the source image.
type FileChange struct {
	Path string `json:"path"`
	// Change is "add" or "replace".
	Change string `json:"change"`
	// Origin is who puts it there: an input, "mkbuild", or the user's own path.
	Origin string `json:"origin"`
}

// Options say what a report is to have beyond the usual.
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
