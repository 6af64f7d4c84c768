// Package customize changes a built image for a site, without building it again: kernel arguments, settings of
// mk-client, authorized keys, an extension. For an ISO, a PXE folder and an initrd alone, it appends one segment
// to the last initrd, and updates boot menus, Razor's metadata and the manifest.
//
// All bytes of the built initrd stay, and the segment records the changes. So another run replaces the one
// before, and a run without changes restores the image as built. Nothing is fetched or built.
//
// Start reading at [Run].
package customize

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"

	"mkbuild/internal/bootmenu"
	"mkbuild/internal/cmdline"
	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/initrd"
	"mkbuild/internal/inspect"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/profile"
	"mkbuild/internal/remaster"
	"mkbuild/internal/wholefile"
)

// Run writes a copy of the image in with the changes of c to out, in the image's form.
func Run(ctx context.Context, in string, out wholefile.Output, c Changes) (err error) {
	defer fail.Recover(in, &err)
	if err := config.CheckArguments("kernel arguments", c.Append); err != nil {
		return err
	}
	m, err := medium.Open(in)
	if err != nil {
		return err
	}
	defer m.Close() //nolint:errcheck // only read
	img, err := read(m)
	if err != nil {
		return err
	}
	made, text, err := img.changed(ctx, c)
	if err != nil {
		return err
	}
	if err := made.Write(ctx, out); err != nil || text == nil || made.Form != medium.ISO || out.Stream != nil {
		return err
	}
	return wholefile.Write(manifest.Beside(out.Name), func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// image is an image as it was built.
type image struct {
	medium   *medium.Medium
	manifest *manifest.Manifest // nil for an image without one
	last     *builtInitrd
	tree     *overlay.Tree // the booted system
}

// read reads an image without its earlier customization.
func read(m *medium.Medium) (*image, error) {
	img := &image{medium: m}
	if err := checkForm(m); err != nil {
		return nil, err
	}
	var err error
	if img.manifest, _, err = m.Manifest(); err != nil {
		return nil, fmt.Errorf("%s: %w", m.Name, err)
	}
	if img.last, err = asBuilt(m.Files.Get(m.LastInitrd())); err != nil {
		return nil, err
	}
	all := m.Segments()
	all[len(all)-1] = img.last.segment.Padded()
	r, err := all.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // only read
	img.tree, err = initrd.Read(r, m.Name, medium.MaxInitrd)
	return img, err
}

// checkForm refuses an image that boots nothing, and an edited PXE folder: the edit would be lost in the copy.
func checkForm(m *medium.Medium) error {
	if m.Form == medium.PXE {
		if wrong := m.WrongSums(); len(wrong) > 0 {
			return fail.New(fail.Usage, "customize "+m.Name+": "+wrong[0]+" was changed after the build", "name a PXE folder as mkbuild iso --format pxe writes it")
		}
		if err := medium.CheckFolder(m.Name); err != nil {
			return err
		}
	}
	if m.Form == medium.Initrd {
		return nil
	}
	return m.Bootable()
}

// changed returns the image with the changes, and the text of its manifest, or nil if it has none.
func (img *image) changed(ctx context.Context, c Changes) (*medium.Medium, []byte, error) {
	edit, err := img.edit(c)
	if err != nil {
		return nil, nil, err
	}
	date := img.date()
	site, err := newSite(img.tree, c, date)
	if err != nil {
		return nil, nil, err
	}
	if site != nil && img.manifest != nil && img.manifest.Profile == "prod" {
		if err := checkProd(site.tree, img.manifest); err != nil {
			return nil, nil, err
		}
	}
	remake := img.edited
	if medium.BlobDigest(img.medium.Kernel) != "" {
		remake = img.inSegments
	}
	made, err := remake(edit, site, date)
	if err == nil {
		err = img.checkMenus(made)
	}
	if err == nil {
		err = followMetadata(made, date)
	}
	if err == nil {
		err = img.judge(ctx, made, site)
	}
	if err != nil {
		return nil, nil, err
	}
	if img.manifest == nil {
		return made, nil, nil
	}
	text, err := describe(ctx, img.manifest, made, site)
	if err == nil {
		made.Files.Get(made.ManifestPath()).SetContent(text, date)
	}
	return made, text, err
}

// judge checks the image against the rules of mkbuild verify before it is written.
func (img *image) judge(ctx context.Context, made *medium.Medium, s *site) error {
	before := &remaster.Unwritten{Name: img.medium.Name, System: img.tree}
	if img.manifest != nil {
		about := *img.manifest
		about.Boot = nil // its digests are from before the change
		before.Manifest = &about
	}
	after := *before
	if s != nil {
		after.System = s.tree
	}
	if made.Form != medium.Initrd {
		before.Medium, after.Medium = img.medium, made
	}
	return inspect.JudgeChange(ctx, before, &after)
}

// edited returns the medium with changed menus, and with the site's segment after its last initrd.
func (img *image) edited(e bootmenu.Edit, s *site, date int64) (*medium.Medium, error) {
	made, err := img.medium.Edit(e, date)
	if err != nil {
		return nil, err
	}
	all := initrd.Segments{img.last.segment}
	if s != nil {
		all = initrd.Segments{img.last.segment.Padded(), {Size: int64(len(s.segment)), Open: overlay.Bytes(s.segment)}}
	}
	f := made.Files.Get(made.LastInitrd())
	f.Size, f.HardLink, f.Open = all.Size(), "", all.Open
	return made, nil
}

// inSegments returns a new PXE folder in segments, with the site's segment as a separate file.
func (img *image) inSegments(e bootmenu.Edit, s *site, _ int64) (*medium.Medium, error) {
	m := img.medium
	var initrds []overlay.Entry
	for _, name := range m.Initrds {
		initrds = append(initrds, *m.Files.Get(name))
	}
	if img.last.record != nil {
		initrds = initrds[:len(initrds)-1]
	}
	if s != nil {
		initrds = append(initrds, overlay.File(origin, 0o444, s.segment))
	}
	made, err := medium.NewSegments(*m.Files.Get(m.Kernel), initrds, strings.TrimSpace(cmdline.Add(cmdline.Remove(m.Arguments, e.Remove), e.Append)))
	if f := m.Files.Get(m.ManifestPath()); err == nil && f != nil {
		err = made.Files.Put(*f)
	}
	return made, err
}

// checkProd refuses a prod image with a way in: the build's promise also covers a site's additions.
func checkProd(t *overlay.Tree, m *manifest.Manifest) error {
	c, err := config.Parse("the manifest", m.Config)
	if err != nil {
		return err
	}
	return profile.Closed(t, profile.Allow{Inittab: c.Boot.AllowInittab, Services: c.Services.Allow})
}

// edit replaces the arguments of an earlier run in the menus with the new ones. It refuses arguments that make a
// way into a prod image, and arguments of the image as built: later runs could not distinguish them.
func (img *image) edit(c Changes) (bootmenu.Edit, error) {
	e := bootmenu.Edit{Append: strings.TrimSpace(c.Append)}
	if img.last.record != nil {
		e.Remove = img.last.record.Append
	}
	if e.Append == "" {
		return e, nil
	}
	if img.medium.Form == medium.Initrd {
		return e, fail.New(fail.Usage, "--append: an initrd has no kernel arguments", "customize the ISO or the PXE folder, or set them in the boot menu of the initrd")
	}
	if err := img.checkProd(e.Append); err != nil {
		return e, err
	}
	have := " " + img.medium.Arguments
	if e.Remove != "" {
		have = strings.TrimSuffix(have, " "+e.Remove)
	}
	if strings.HasSuffix(have, " "+e.Append) {
		return e, fail.New(fail.Usage, fmt.Sprintf("--append: the image already boots with %q", e.Append), "leave --append out")
	}
	return e, nil
}

// checkProd refuses kernel arguments that a prod image may not have.
func (img *image) checkProd(args string) error {
	allow, err := img.allowed()
	if bad := cmdline.WaysIn(args, allow); err == nil && img.isProd() && len(bad) > 0 {
		return fail.Wrap(fail.Usage, fmt.Errorf("%w: %s", profile.ErrOpen, strings.Join(bad, ", ")), "leave it out, or build the image with it under `boot: allow` in mkbuild.yaml")
	}
	return err
}

// checkMenus refuses a prod image whose menus have a way in: they were changed after the build.
func (img *image) checkMenus(made *medium.Medium) error {
	allow, err := img.allowed()
	if ways := made.WaysIn(allow); err == nil && img.isProd() && len(ways) > 0 {
		return fail.Wrap(fail.Verification, fmt.Errorf("%w: %s", profile.ErrOpen, ways[0].String()), "build the image again")
	}
	return err
}

func (img *image) isProd() bool { return img.manifest != nil && img.manifest.Profile == "prod" }

// allowed returns the kernel arguments that the image was built to allow.
func (img *image) allowed() ([]string, error) {
	if !img.isProd() {
		return nil, nil
	}
	c, err := config.Parse(img.medium.Name, img.manifest.Config)
	if err != nil {
		return nil, err
	}
	return c.Boot.Allow, nil
}

// date is the time stamp of new files: the image's own, or its newest file's.
func (img *image) date() int64 {
	if img.manifest != nil {
		return img.manifest.SourceDate
	}
	if t := max(img.medium.ISO.Created, img.medium.ISO.Modified); t > 0 {
		return t
	}
	var newest int64
	for _, e := range img.tree.Entries() {
		newest = max(newest, e.MTime)
	}
	return newest
}

// initrdHash matches the digest in iso-metadata.yaml, after the start of the line in all its forms.
var initrdHash = regexp.MustCompile(`(?m)^([ \t]*["']?initrd_hash["']?[ \t]*:[ \t]*["']?)[0-9a-fA-F]{64}\b`) //nolint:gochecknoglobals // a constant

// followMetadata puts the digest of the initrd into Razor's metadata, which another tool may have written.
func followMetadata(m *medium.Medium, date int64) error {
	f := m.Files.Get(medium.RazorMetadata)
	if f == nil {
		return nil
	}
	text, err := f.Content(1 << 20)
	if err != nil {
		return err
	}
	if !initrdHash.Match(text) {
		return fail.New(fail.Usage, "customize "+medium.RazorMetadata+": it has no initrd_hash with a SHA-256 to update", "customize an image of mkbuild iso")
	}
	sum, err := m.Sum(m.LastInitrd())
	f.SetContent(initrdHash.ReplaceAll(text, []byte("${1}"+sum)), date)
	return err
}
