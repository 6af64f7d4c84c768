package remaster

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"mkbuild/internal/config"
	"mkbuild/internal/iso9660"
	"mkbuild/internal/manifest"
	"mkbuild/internal/mcoconfig"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/profile"
	"mkbuild/internal/sbom"
	"mkbuild/internal/wholefile"
)

// About is the head of an image's manifest: its configuration and its inputs.
func (b *Builder) About(s *Staged) (*manifest.Manifest, error) {
	c := &s.Plan.Config
	public, err := c.Public()
	if err != nil {
		return nil, err
	}
	m := &manifest.Manifest{
		Schema: manifest.Schema, Mkbuild: b.Version, Profile: c.Profile, Release: c.Release, Arch: c.Arch,
		Kernel: s.Kernel, SourceDate: s.Epoch, Config: public, Inputs: manifest.PublicInputs(s.Inputs()),
	}
	m.Plan = m.PlanDigest()
	return m, nil
}

// WriteBill writes a bill of materials next to an output of the image.
func (b *Builder) WriteBill(s *Staged, output string) error {
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

// fileRecords describes the booted system. known are known digests by path.
func (s *Staged) fileRecords(ctx context.Context, known map[string]string) ([]manifest.File, error) {
	entries := s.layers.Merged().Entries()
	out := make([]manifest.File, len(entries))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, e := range entries {
		shown := *e
		shown.Origin = publicOrigin(e.Origin, s.Plan.Config.Overlay)
		if !e.IsRegular() || holdsSecrets(&shown, &s.Plan.Config) {
			out[i] = manifest.Describe(&shown, "")
			continue
		}
		if sum := known[e.Path]; sum != "" {
			out[i] = manifest.Describe(&shown, sum)
			continue
		}
		g.Go(func() error {
			sum, err := digest(ctx, e.CopyTo)
			out[i] = manifest.Describe(&shown, sum)
			return err
		})
	}
	return out, g.Wait()
}

// digest returns the SHA-256 of the bytes that write writes.
func digest(ctx context.Context, write func(io.Writer) error) (string, error) {
	sum := sha256.New()
	if err := write(wholefile.Interruptible(ctx, sum)); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Origins of files without an input.
const (
	originOwn     = "mkbuild"
	originOverlay = manifest.OriginOverlay
)

// publicOrigin hides paths of this machine, the origin of the user's own files. An input's name has no slash.
func publicOrigin(origin string, own []config.UserFiles) string {
	if origin == "" {
		return originOwn
	}
	if strings.ContainsAny(origin, `/\`) || slices.ContainsFunc(own, func(o config.UserFiles) bool { return o.Source == origin }) {
		return originOverlay
	}
	return origin
}

// holdsSecrets reports whether the manifest must leave out a file's digest: with it, anyone who knows the rest of
// a file can guess a short secret. Such files are server.cfg, the client's settings if some look secret, the
// user's own password files, and other files of the user that not everybody on the machine may read. Published
// files are not secret.
func holdsSecrets(e *overlay.Entry, c *config.Config) bool {
	switch {
	case e.Path == mcoconfig.ServerCfg:
		return true
	case e.Path == profile.ClientConfig:
		return c.Client.HasSecrets()
	case e.Origin != originOverlay:
		return false
	}
	name := strings.TrimSuffix(path.Base(e.Path), "-")
	return e.Perm()&0o004 == 0 || path.Dir(e.Path) == "etc" && (name == "shadow" || name == "gshadow" || name == "passwd")
}

// bootRecords describes the files of the medium, without the boot catalog, which holds their positions. known are
// known digests by path.
func bootRecords(ctx context.Context, known map[string]string, m *medium.Medium) ([]manifest.BootFile, error) {
	var out []manifest.BootFile
	for _, f := range bootFiles(m) {
		if !f.IsRegular() || f.Path == m.ISO.CatalogPath {
			continue
		}
		r := manifest.BootFile{Path: f.Path, Size: f.Size, Role: role(f.Path, m)}
		var err error
		switch {
		case medium.BlobDigest(f.Path) != "":
			r.SHA256 = medium.BlobDigest(f.Path)
		case known[f.Path] != "":
			r.SHA256 = known[f.Path]
		case m.ISO.HasTables(f.Path):
			r.InfoTable = true
			r.SHA256, err = digest(ctx, func(w io.Writer) error {
				b, err := m.ISO.WithoutTables(f)
				if err == nil {
					_, err = w.Write(b)
				}
				return err
			})
		default:
			r.SHA256, err = digest(ctx, f.CopyTo)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// bootFiles lists the files of an ISO by their paths. In a PXE folder kernel and initrds come first.
func bootFiles(m *medium.Medium) []*overlay.Entry {
	files := m.Files.Entries()
	if m.Form == medium.PXE {
		first := append([]string{m.Kernel}, m.Initrds...)
		slices.SortStableFunc(files, func(a, b *overlay.Entry) int {
			return cmp.Compare(uint(slices.Index(first, a.Path)), uint(slices.Index(first, b.Path))) // -1 is the last
		})
	}
	return files
}

func role(name string, m *medium.Medium) string {
	switch {
	case name == m.Kernel:
		return manifest.RoleKernel
	case slices.Contains(m.Initrds, name):
		return manifest.RoleInitrd
	case m.IsMenu(name):
		return manifest.RoleMenu
	case slices.ContainsFunc(m.ISO.Boot, func(e iso9660.BootEntry) bool { return e.Path == name }):
		return manifest.RoleLoader
	}
	return ""
}

// putManifest adds the manifest to an otherwise complete medium, and returns it with its text.
func (i *image) putManifest(ctx context.Context, onto *medium.Medium) (*manifest.Manifest, []byte, error) {
	m, err := i.b.About(i.staged)
	if err == nil {
		m.Boot, err = bootRecords(ctx, map[string]string{onto.Kernel: i.kernelSum, onto.LastInitrd(): i.initrd.SHA256}, onto)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("make manifest: %w", err)
	}
	m.Files = i.files
	offset := int64(0)
	for _, s := range i.initrd.Segments {
		m.Segments = append(m.Segments, manifest.Segment{Name: s.Name, Offset: offset, Size: s.Size, SHA256: s.SHA256})
		offset += s.Size
	}
	text, err := m.Render()
	if err != nil {
		return nil, nil, err
	}
	return m, text, put(onto, onto.ManifestPath(), text, i.staged.Epoch)
}
