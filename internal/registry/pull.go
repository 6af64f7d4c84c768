package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"mkbuild/internal/config"
	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/remaster"
	"mkbuild/internal/wholefile"
)

// Bounds of what a registry hands out.
const (
	maxManifest = 4 << 20
	maxLayers   = 10_000
)

// ErrObject is returned for what is in a registry and is not what it should be.
var ErrObject = fail.New(fail.Verification, "not an image that `mkbuild push` pushed", "`skopeo inspect --raw docker://REF` shows what is there")

// Image is an image that was pulled: all of it is in the store and checked, nothing is written yet.
type Image struct {
	// Ref has the digest of the image's own manifest.
	Ref Reference
	// Form is the one that was pushed.
	Form remaster.Form
	// About is what the image says of itself.
	About *manifest.Manifest
	// Beside are the files that belong to the image as it was pushed, by the suffix of their names.
	Beside map[string][]byte

	text  []byte // of About
	files []pulledFile
}

// pulledFile is a file of the image.
type pulledFile struct {
	layoutFile
	*joined
}

// puller gets objects of one repository.
type puller struct {
	client *Client
	fetch  *fetch.Client
	ref    Reference
}

// Pull gets an image, of an index that for the architecture: "" is enough if there is one alone. The OCI of f
// is the client itself.
func (c *Client) Pull(ctx context.Context, f *fetch.Client, ref Reference, arch string) (*Image, error) {
	p := &puller{c, f, ref}
	if !f.Offline {
		if _, err := c.repository(ctx, ref); err != nil {
			return nil, err
		}
	}
	d, err := p.top(ctx)
	if err != nil {
		return nil, err
	}
	if d, err = p.choose(ctx, d, arch); err != nil {
		return nil, err
	}
	m, err := p.manifest(ctx, d)
	if err != nil {
		return nil, err
	}
	if m.ArtifactType != typeImage {
		return nil, p.wrong(fmt.Errorf("its artifact type is %.100q", m.ArtifactType))
	}
	img := &Image{Ref: ref}
	img.Ref.Digest = d.Digest.String()
	if err := p.fill(ctx, img, m); err != nil {
		return nil, err
	}
	if arch != "" && img.About.Arch != arch {
		return nil, fail.New(fail.Usage, fmt.Sprintf("pull %s: it is an image of %s", ref, img.About.Arch), "leave --arch out, or name "+img.About.Arch)
	}
	if !f.Offline {
		img.Beside, err = p.companionsOf(ctx, d)
	}
	return img, err
}

// wrong is an error about the object.
func (p *puller) wrong(err error) error { return fmt.Errorf("pull %s: %w: %w", p.ref, ErrObject, err) }

// get gets an object through fetch.
func (p *puller) get(ctx context.Context, r fetch.Request) (*fetch.Blob, error) {
	b, err := p.fetch.Get(ctx, r)
	switch {
	case errors.Is(err, fetch.ErrForbidden):
		return nil, &fail.Error{Class: fail.Network, Hint: loginHint, Err: err}
	case errors.Is(err, fetch.ErrUnreachable):
		return nil, &fail.Error{Class: fail.Network, Hint: unreachableHint, Err: err}
	case errors.Is(err, fetch.ErrNotFound):
		return nil, &fail.Error{Class: fail.Network, Hint: "`skopeo list-tags docker://" + p.ref.Name() + "` lists what there is", Err: err}
	}
	return b, err
}

// text gets an object that is read as a whole.
func (p *puller) text(ctx context.Context, name, address, digest string, limit int64) ([]byte, error) {
	b, err := p.get(ctx, fetch.Request{Name: name, URLs: []string{address}, SHA256: strings.TrimPrefix(digest, "sha256:"), Fresh: true, MaxSize: limit})
	if err != nil {
		return nil, err
	}
	return b.ReadAll()
}

// top is the descriptor of what the reference leads to.
func (p *puller) top(ctx context.Context) (ocispec.Descriptor, error) {
	var byTag, d ocispec.Descriptor
	if p.ref.Tag != "" {
		tag := p.ref
		tag.Digest = ""
		text, err := p.text(ctx, tag.String(), manifestAddress(tag), "", maxManifest)
		if err != nil {
			return d, err
		}
		byTag = describe(text)
	}
	switch {
	case p.ref.Digest == "":
		return byTag, nil
	case p.ref.Tag != "" && byTag.Digest.String() != p.ref.Digest:
		return d, fail.New(fail.Verification, fmt.Sprintf("pull %s: the tag has moved, it leads to %s now", p.ref, byTag.Digest),
			"name the digest alone to get what the tag led to: "+p.ref.Name()+"@"+p.ref.Digest)
	}
	text, err := p.text(ctx, p.ref.String(), manifestAddress(p.ref), p.ref.Digest, maxManifest)
	return describe(text), err
}

// describe is the descriptor of a manifest's text, with the type that it says it is of.
func describe(text []byte) ocispec.Descriptor {
	var m struct{ MediaType string }
	_ = json.Unmarshal(text, &m) // what is not JSON is no manifest either
	return textBlob(m.MediaType, text, "").Descriptor
}

// choose follows an index to the image of an architecture.
func (p *puller) choose(ctx context.Context, d ocispec.Descriptor, arch string) (ocispec.Descriptor, error) {
	if d.MediaType != ocispec.MediaTypeImageIndex {
		return d, nil
	}
	var x ocispec.Index
	if err := p.json(ctx, d, &x); err != nil {
		return d, err
	}
	var fits []ocispec.Descriptor
	for _, m := range x.Manifests {
		if m.Platform != nil && m.MediaType == ocispec.MediaTypeImageManifest && (arch == "" || m.Platform.Architecture == platform(arch).Architecture) {
			fits = append(fits, m)
		}
	}
	if len(fits) != 1 {
		return d, fail.New(fail.Usage, fmt.Sprintf("pull %s: of its %d images %d fit", p.ref, len(x.Manifests), len(fits)), "name an architecture that it has: --arch x86 or --arch x86_64")
	}
	return fits[0], nil
}

// json reads a manifest or an index.
func (p *puller) json(ctx context.Context, d ocispec.Descriptor, v any) error {
	digest := d.Digest.String()
	if !digestForm.MatchString(digest) || d.Size > maxManifest {
		return p.wrong(fmt.Errorf("the digest %.100q of %d bytes", digest, d.Size))
	}
	r := Reference{Host: p.ref.Host, Repository: p.ref.Repository, Digest: digest}
	text, err := p.text(ctx, p.ref.String(), manifestAddress(r), digest, maxManifest)
	if err != nil {
		return err
	}
	if got := describe(text); got.MediaType != d.MediaType || got.Size != d.Size {
		return p.wrong(fmt.Errorf("%.100q with %d bytes where %.100q with %d was to be", got.MediaType, got.Size, d.MediaType, d.Size))
	}
	if err := json.Unmarshal(text, v); err != nil {
		return p.wrong(err)
	}
	return nil
}

func (p *puller) manifest(ctx context.Context, d ocispec.Descriptor) (m ocispec.Manifest, err error) {
	if err = p.json(ctx, d, &m); err != nil {
		return m, err
	}
	if m.MediaType != ocispec.MediaTypeImageManifest || len(m.Layers) > maxLayers {
		err = p.wrong(fmt.Errorf("%.100q with %d layers", m.MediaType, len(m.Layers)))
	}
	return m, err
}

// blob gets the content of a descriptor into the store.
func (p *puller) blob(ctx context.Context, name string, d ocispec.Descriptor, limit int64) (*fetch.Blob, error) {
	digest := d.Digest.String()
	if !digestForm.MatchString(digest) || d.Size < 0 || d.Size > limit {
		return nil, p.wrong(fmt.Errorf("a layer of %d bytes with the digest %.100q", d.Size, digest))
	}
	b, err := p.get(ctx, fetch.Request{Name: name, URLs: []string{blobAddress(p.ref, digest)}, SHA256: d.Digest.Encoded(), MaxSize: max(d.Size, 1)})
	if err == nil && b.Size != d.Size {
		err = p.wrong(fmt.Errorf("%s has %d bytes, its descriptor says %d", name, b.Size, d.Size))
	}
	return b, err
}

// fill gets all of an image, and puts its files together.
func (p *puller) fill(ctx context.Context, img *Image, m ocispec.Manifest) error {
	if m.Config.MediaType != typeAbout {
		return p.wrong(fmt.Errorf("its config is of the type %.100q", m.Config.MediaType))
	}
	all := append([]ocispec.Descriptor{m.Config}, m.Layers...)
	blobs := make([]*fetch.Blob, len(all))
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(together)
	for i, d := range all {
		g.Go(func() (err error) {
			name := (&blob{Descriptor: d}).name()
			blobs[i], err = p.blob(inner, name, d, maxMedium)
			return err
		})
	}
	err := g.Wait()
	if err != nil {
		return err
	}
	if all[0].Size > manifest.MaxSize {
		return p.wrong(fmt.Errorf("its manifest has %d bytes", all[0].Size))
	}
	if img.text, err = blobs[0].ReadAll(); err == nil {
		img.About, err = manifest.Parse(img.text)
	}
	if err != nil {
		return p.wrong(err)
	}
	if err := img.join(all, blobs); err != nil {
		return p.wrong(err)
	}
	return img.check(ctx)
}

// join puts the files together as the layout says.
func (img *Image) join(all []ocispec.Descriptor, blobs []*fetch.Blob) error {
	content, sizes := map[string]*fetch.Blob{}, map[string]int64{}
	var text []byte
	var rest *fetch.Blob
	for i, d := range all {
		content[blobs[i].SHA256], sizes[blobs[i].SHA256] = blobs[i], d.Size
		switch d.MediaType {
		case typeRest:
			rest = blobs[i]
		case typeLayout:
			if d.Size > maxLayout {
				return fmt.Errorf("a layout of %d bytes", d.Size)
			}
			var err error
			if text, err = blobs[i].ReadAll(); err != nil {
				return err
			}
		}
	}
	var restSize, at int64
	var restAt io.ReaderAt = nulls{}
	if rest != nil {
		restAt, restSize = rest.Reader(), rest.Size
	}
	l, err := parseLayout(text, sizes, restSize)
	if err != nil {
		return fmt.Errorf("its layout: %w", err)
	}
	img.Form = remaster.Form(l.Form)
	for _, f := range l.Files {
		whole := f.open(func(sum string) (io.ReaderAt, int64) { return content[sum].Reader(), content[sum].Size }, restAt, &at)
		img.files = append(img.files, pulledFile{f, whole})
	}
	return nil
}

// check reads every file once: nothing is written of an image that is not what its layout says.
func (img *Image) check(ctx context.Context) error {
	for _, f := range img.files {
		sum := sha256.New()
		if _, err := io.Copy(wholefile.Interruptible(ctx, sum), f.reader()); err != nil {
			return err
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != f.SHA256 {
			return &fetch.ChecksumError{Name: orText(f.Path, "the ISO"), URL: img.Ref.String(), Algorithm: "sha256", Want: f.SHA256, Got: got}
		}
	}
	return nil
}

func orText(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func (f pulledFile) reader() io.Reader { return io.NewSectionReader(f.joined, 0, f.joined.size) }

// ISOName is what the image is called where nobody names it.
func (img *Image) ISOName() string { return isoName(img.About) }

// isoName is the name that the build gives by itself.
func isoName(about *manifest.Manifest) string {
	c := config.Config{Profile: about.Profile}
	c.Image.Version = imageVersion(about)
	if name := c.ISOName(); !strings.ContainsAny(name, "/\\:\x00") {
		return name
	}
	return "microkernel.iso"
}

func imageVersion(about *manifest.Manifest) string {
	var c struct{ Image struct{ Version string } }
	_ = json.Unmarshal(about.Config, &c) // without a version there is none
	return c.Image.Version
}

// Medium is the image as what it boots.
func (img *Image) Medium() (*medium.Medium, error) {
	if img.Form == remaster.FormISO {
		return medium.ReadISO(img.files[0], img.files[0].joined.size, img.Ref.String())
	}
	files := &overlay.Tree{}
	for _, f := range img.files {
		e := overlay.Entry{Path: f.Path, Mode: overlay.TypeRegular | 0o444, Size: f.joined.size, Open: func() (io.ReadCloser, error) { return io.NopCloser(f.reader()), nil }}
		if err := files.Put(e); err != nil {
			return nil, err
		}
	}
	return medium.ReadFolder(img.Ref.String(), files)
}

// Write writes the image in a form, with what lies next to that.
func (img *Image) Write(ctx context.Context, o remaster.Output) error {
	switch {
	case o.Form == img.Form && o.Form == remaster.FormISO:
		return img.writeISO(ctx, o)
	case o.Form == remaster.FormISO:
		return fail.New(fail.Usage, fmt.Sprintf("write %s: %s is a PXE folder, which has no ISO", o.Path, img.Ref), "push the ISO: PXE folders can be made of it")
	}
	m, err := img.Medium()
	if err == nil {
		err = m.Bootable()
	}
	if err != nil {
		return err
	}
	if o.Form != img.Form {
		return remaster.Convert(ctx, m, *img.About, o)
	}
	if err := m.Write(ctx, wholefile.Output{Name: o.Path}); err != nil {
		return err
	}
	return img.writeBeside(o.Path)
}

func (img *Image) writeISO(ctx context.Context, o remaster.Output) error {
	out := wholefile.Output{Name: o.Path, Stream: o.Stream}
	err := out.Write(func(w io.Writer) error {
		_, err := io.Copy(wholefile.Interruptible(ctx, w), img.files[0].reader())
		return err
	})
	if err != nil || o.Stream != nil {
		return err
	}
	if _, err := wholefile.Update(manifest.Beside(o.Path), img.text); err != nil {
		return err
	}
	return img.writeBeside(o.Path)
}

// Companions are the files that [Image.Write] writes next to the form that was pushed.
func (img *Image) Companions(o remaster.Output) (names []string) {
	for _, c := range companions {
		if _, ok := img.Beside[c.suffix]; ok && o.Form == img.Form && o.Stream == nil {
			names = append(names, o.Path+c.suffix)
		}
	}
	return names
}

func (img *Image) writeBeside(name string) error {
	for _, suffix := range slices.Sorted(maps.Keys(img.Beside)) {
		if _, err := wholefile.Update(name+suffix, img.Beside[suffix]); err != nil {
			return err
		}
	}
	return nil
}
