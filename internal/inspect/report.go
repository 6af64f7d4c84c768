package inspect

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"mkbuild/internal/config"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/lock"
	"mkbuild/internal/manifest"
	"mkbuild/internal/overlay"
)

// Schema is the version of a report's JSON.
const Schema = "mkbuild.inspect/v1"

// Report is what [Image.Report] says of an image. Members that an image has nothing for are left
// out; lists are sorted or in the order of the image.
type Report struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	// Kind is "iso", "pxe", "initrd" or "lock".
	Kind   string  `json:"kind"`
	Size   int64   `json:"size"`
	SHA256 string  `json:"sha256"`
	Volume *Volume `json:"volume,omitempty"`
	// Boot are the entries of the El Torito catalog, Menu those of all boot menus.
	Boot []BootEntry `json:"boot,omitempty"`
	Menu []MenuEntry `json:"menu,omitempty"`
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

// MenuEntry is an entry of a boot menu.
type MenuEntry struct {
	Menu    string   `json:"menu"`
	Loader  string   `json:"loader"`
	Label   string   `json:"label"`
	Kernel  string   `json:"kernel"`
	Initrds []string `json:"initrds,omitempty"`
	// Append are the kernel arguments; values that look like secrets read REDACTED.
	Append string `json:"append,omitempty"`
	// Missing are files that it names and the medium lacks.
	Missing []string `json:"missing,omitempty"`
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
	Paths    []string       `json:"paths,omitempty"`
	Segments []SegmentEntry `json:"segments"`
	// Entries are those of the booted system, Unpacked the bytes of its files.
	Entries  int   `json:"entries"`
	Unpacked int64 `json:"unpacked"`
}

// SegmentEntry is a part of an initrd.
type SegmentEntry struct {
	Name     string `json:"name,omitempty"`
	Offset   int64  `json:"offset"`
	Size     int64  `json:"size"`
	Packing  string `json:"packing"`
	Unpacked int64  `json:"unpacked"`
	Entries  int    `json:"entries"`
	SHA256   string `json:"sha256"`
}

// Summary is the head of the manifest that mkbuild left.
type Summary struct {
	Mkbuild    string          `json:"mkbuild,omitempty"`
	Plan       string          `json:"plan,omitempty"`
	Profile    string          `json:"profile,omitempty"`
	Release    string          `json:"release,omitempty"`
	Arch       string          `json:"arch,omitempty"`
	SourceDate int64           `json:"source_date,omitempty"`
	Config     json.RawMessage `json:"config,omitempty"`
	Inputs     []lock.Input    `json:"inputs,omitempty"`
	// Error says why it cannot be read.
	Error string `json:"error,omitempty"`
}

// Options say what a report is to have beyond the usual.
type Options struct{ Files, Sizes bool }

// Report describes the image.
func (m *Image) Report(o Options) (*Report, error) {
	r := &Report{Schema: Schema, Name: m.Name, Kind: m.Kind, Size: m.Size, SHA256: m.SHA256, Lock: m.Lock}
	if m.Medium != nil {
		if err := m.reportMedium(r); err != nil {
			return nil, err
		}
	}
	if m.Tree != nil {
		m.reportTree(r)
	}
	r.Razor = m.razor()
	var err error
	if o.Files {
		if r.Files, err = m.records(); err != nil {
			return nil, err
		}
	}
	if o.Sizes {
		r.Sizes = m.sizes()
	}
	return r, nil
}

func (m *Image) reportMedium(r *Report) error {
	iso := m.ISO
	if m.Kind == KindISO {
		r.Volume = &Volume{
			ID: iso.VolumeID, System: iso.SystemID, Application: iso.ApplicationID, Preparer: iso.Preparer,
			RockRidge: iso.RockRidge, Joliet: iso.Joliet, Files: m.Medium.Files.Len(),
			Hybrid: slices.ContainsFunc(iso.System, func(b byte) bool { return b != 0 }),
		}
	}
	for i := range iso.Boot {
		e := &iso.Boot[i]
		r.Boot = append(r.Boot, BootEntry{platform(e.Platform), e.Path, e.Bootable, emulation(e.Media), int(e.LoadSectors), e.InfoTable})
	}
	for _, e := range m.Medium.Entries {
		r.Menu = append(r.Menu, MenuEntry{e.Menu, e.Loader, e.Name, e.Kernel, e.Initrds, config.RedactArguments(e.Append), e.Missing})
	}
	if m.Medium.Kernel != "" {
		f := m.Medium.Files.Get(m.Medium.Kernel)
		sum, err := m.sumFile(f)
		if err != nil {
			return err
		}
		r.Kernel = &Kernel{Path: f.Path, Release: m.Kernel, Size: f.Size, SHA256: sum}
	}
	if s := m.Manifest; s != nil {
		r.Manifest = &Summary{
			Mkbuild: s.Mkbuild, Plan: s.Plan, Profile: s.Profile, Release: s.Release, Arch: s.Arch,
			SourceDate: s.SourceDate, Config: s.Config, Inputs: s.Inputs,
		}
	} else if m.ManifestError != nil {
		r.Manifest = &Summary{Error: m.ManifestError.Error()}
	}
	return nil
}

// sumFile is the digest of a file of the medium.
func (m *Image) sumFile(f *overlay.Entry) (string, error) {
	if f.Open == nil {
		return sumOf(strings.NewReader(""))
	}
	r, err := f.Open()
	if err != nil {
		return "", fmt.Errorf("read %s in %s: %w", f.Path, m.Name, err)
	}
	defer r.Close() //nolint:errcheck // only read
	return sumOf(r)
}

func platform(p byte) string {
	switch p {
	case iso9660.PlatformBIOS:
		return "bios"
	case iso9660.PlatformUEFI:
		return "uefi"
	case iso9660.PlatformPPC:
		return "ppc"
	case iso9660.PlatformMac:
		return "mac"
	}
	return fmt.Sprintf("%#02x", p)
}

func emulation(media byte) string {
	switch media {
	case iso9660.MediaNone:
		return "none"
	case iso9660.MediaHardDisk:
		return "disk"
	}
	return "floppy"
}

func (m *Image) reportTree(r *Report) {
	r.Initrd = &Initrd{Segments: []SegmentEntry{}, Entries: m.Tree.Len()}
	if m.Medium != nil {
		r.Initrd.Paths = m.Medium.Initrds
	}
	for _, s := range m.Segments {
		r.Initrd.Segments = append(r.Initrd.Segments, SegmentEntry{s.Name, s.Offset, s.Size, s.Packing, s.Unpacked, s.Entries, s.SHA256})
	}
	for _, e := range m.Tree.Entries() {
		r.Initrd.Unpacked += e.Size
		if e.IsRegular() && e.Perm()&0o6000 != 0 {
			r.SetID = append(r.SetID, manifest.File{Path: manifest.Text(e.Path), Mode: fmt.Sprintf("%o", e.Mode), UID: e.UID, GID: e.GID, Size: e.Size})
		}
	}
	r.Release = m.release()
	r.Extensions, r.Gems, r.Services, r.Accounts = m.extensions(), m.gems(), m.services(), m.accounts()
}
