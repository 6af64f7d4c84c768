package registry

import (
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/content"

	"mkbuild/internal/fail"
	"mkbuild/internal/fetch"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/remaster"
	"mkbuild/internal/wholefile"
)

// ErrObject is returned for a registry's object of an unexpected form.
var ErrObject = fail.New(fail.Verification, "not an image that `mkbuild push` pushed", "`skopeo inspect --raw docker://REF` shows the object")

// puller gets objects of one repository.
type puller struct {
	client *Client
	fetch  *fetch.Client
	ref    Reference
	dir    string
}

// Pull gets an image into a folder, through f: from an index, the image for the architecture, which may be "" if
// there is only one.
func (c *Client) Pull(ctx context.Context, f *fetch.Client, ref Reference, arch, dir string) (*Image, error) {
	p := &puller{c, f, ref, dir}
	f.OCI = c
	if !f.Offline {
		if _, err := c.repository(ref); err != nil {
			return nil, err
		}
	}
	o, d, err := p.image(ctx, arch)
	if err != nil {
		return nil, err
	}
	ref.Digest = d.Digest.String()
	img := &Image{Ref: ref, Path: filepath.Join(dir, "image")}
	if err := p.unpack(ctx, img, o.Layers); err != nil {
		return nil, err
	}
	if arch != "" && img.about.Arch != arch {
		return nil, fail.New(fail.Usage, fmt.Sprintf("pull %s: it is an image for %s", ref, img.about.Arch), "leave --arch out, or name "+img.about.Arch)
	}
	if !f.Offline {
		err = p.companions(ctx, img, d)
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
	case errors.Is(err, fetch.ErrOffline):
		return nil, &fail.Error{Class: fail.Network, Hint: "pull it once without --offline", Err: err}
	case errors.Is(err, fetch.ErrUnresolved):
		return nil, &fail.Error{Class: fail.Network, Hint: unresolvedHint, Err: err}
	case errors.Is(err, fetch.ErrUnreachable):
		return nil, &fail.Error{Class: fail.Network, Hint: unreachableHint, Err: err}
	case errors.Is(err, fetch.ErrNotFound):
		return nil, &fail.Error{Class: fail.Network, Hint: "`skopeo list-tags docker://" + p.ref.Name() + "` lists what there is", Err: err}
	}
	return b, err
}

// object is a manifest or an index.
type object struct {
	ocispec.Manifest
	Manifests []ocispec.Descriptor
}

// object gets a manifest or an index, which must have the reference's digest, if there is one.
func (p *puller) object(ctx context.Context, tag, sum string) (o object, d ocispec.Descriptor, err error) {
	r := Reference{p.ref.Host, p.ref.Repository, tag, sum}
	text, err := readAll(p.get(ctx, fetch.Request{
		Name: r.String(), URLs: []string{manifestAddress(r)}, SHA256: strings.TrimPrefix(sum, "sha256:"), Fresh: true, MaxSize: maxManifest,
	}))
	if err != nil {
		return o, d, err
	}
	err = json.Unmarshal(text, &o)
	if err == nil {
		err = checkLayers(slices.Concat(o.Layers, o.Manifests), maxLayers)
	}
	if err != nil {
		return o, d, p.wrong(err)
	}
	return o, content.NewDescriptorFromBytes(o.MediaType, text), nil
}

func (p *puller) manifest(ctx context.Context, want ocispec.Descriptor) (object, error) {
	o, d, err := p.object(ctx, "", want.Digest.String())
	if err == nil && (d.MediaType != ocispec.MediaTypeImageManifest || d.MediaType != want.MediaType || d.Size != want.Size) {
		err = p.wrong(fmt.Errorf("got %.100q with %d bytes instead of %.100q with %d", d.MediaType, d.Size, want.MediaType, want.Size))
	}
	return o, err
}

// image gets the reference's manifest: from an index, that for the architecture.
func (p *puller) image(ctx context.Context, arch string) (object, ocispec.Descriptor, error) {
	sum := p.ref.Digest
	if p.ref.Tag != "" {
		sum = "" // the tag's current digest
	}
	o, d, err := p.object(ctx, p.ref.Tag, sum)
	if err == nil && p.ref.Digest != "" && p.ref.Digest != d.Digest.String() {
		err = fail.New(fail.Verification, fmt.Sprintf("pull %s: the tag has moved to %s", p.ref, d.Digest),
			"to get the earlier image, name the digest alone: "+p.ref.Name()+"@"+p.ref.Digest)
	}
	if err == nil && o.MediaType == ocispec.MediaTypeImageIndex {
		if d, err = p.choose(o.Manifests, arch); err == nil {
			o, err = p.manifest(ctx, d)
		}
	}
	if err == nil && (o.MediaType != ocispec.MediaTypeImageManifest || o.ArtifactType != typeImage || o.Config.MediaType != typeConfig) {
		err = p.wrong(fmt.Errorf("%.100q of the artifact type %.100q, with a config of %.100q", o.MediaType, o.ArtifactType, o.Config.MediaType))
	}
	return o, d, err
}

// choose returns the only image of an architecture.
func (p *puller) choose(images []ocispec.Descriptor, arch string) (d ocispec.Descriptor, err error) {
	fit := 0
	for _, m := range images {
		if m.Platform != nil && (arch == "" || m.Platform.Architecture == platform(arch).Architecture) {
			d, fit = m, fit+1
		}
	}
	if fit != 1 {
		err = fail.New(fail.Usage, fmt.Sprintf("pull %s: %d of its %d images match", p.ref, len(images), fit), "name an architecture that it has: --arch x86 or --arch x86_64")
	}
	return d, err
}

// blob gets the content of a descriptor into the store.
func (p *puller) blob(ctx context.Context, d ocispec.Descriptor, limit int64) (*fetch.Blob, error) {
	if d.Size < 0 || d.Size > limit {
		return nil, p.wrong(fmt.Errorf("a layer of %d bytes", d.Size))
	}
	b, err := p.get(ctx, fetch.Request{Name: displayName(d), URLs: []string{blobAddress(p.ref, d.Digest.String())}, SHA256: d.Digest.Encoded(), MaxSize: max(d.Size, 1)})
	if err == nil && b.Size != d.Size {
		err = p.wrong(fmt.Errorf("%s has %d bytes, its descriptor says %d", displayName(d), b.Size, d.Size))
	}
	return b, err
}

func readAll(b *fetch.Blob, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return b.ReadAll()
}

// unpack gets the layers of an image and writes its files.
func (p *puller) unpack(ctx context.Context, img *Image, layers []ocispec.Descriptor) error {
	l, err := p.readLayout(ctx, layers)
	if err != nil {
		return err
	}
	blobs, err := p.blobs(ctx, layers[1:])
	if err != nil {
		return err
	}
	img.Form = remaster.Form(l.Form)
	files, err := p.files(ctx, img, l, blobs, blobs[layers[1].Digest.Encoded()])
	if err != nil {
		return err
	}
	if img.Form == remaster.FormPXE {
		m, err := medium.ReadFolder(p.ref.String(), files)
		if err == nil {
			err = m.Write(ctx, wholefile.Output{Name: img.Path})
		}
		if err != nil {
			return p.wrong(err)
		}
	}
	s, err := openSource(img.Path)
	if err != nil {
		return p.wrong(err)
	}
	defer s.Close() //nolint:errcheck // only read
	img.about, img.Name = s.about, defaultName(s.about)
	if img.Form == remaster.FormISO {
		err = img.put(manifest.Beside(""), s.text)
	}
	return err
}

// readLayout gets the layout, which is the first layer. The second must be the rest.
func (p *puller) readLayout(ctx context.Context, layers []ocispec.Descriptor) (*layout, error) {
	if len(layers) < 2 || layers[0].MediaType != typeLayout || layers[1].MediaType != typeRest {
		return nil, p.wrong(errors.New("its first two layers are not a layout and a rest that this mkbuild reads"))
	}
	text, err := readAll(p.blob(ctx, layers[0], maxLayout))
	if err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	for _, l := range layers[1:] {
		sizes[l.Digest.Encoded()] = l.Size
	}
	l, err := parseLayout(text, sizes)
	if err != nil {
		err = p.wrong(fmt.Errorf("its layout: %w", err))
	}
	return l, err
}

// blobs gets layers.
func (p *puller) blobs(ctx context.Context, layers []ocispec.Descriptor) (map[string]*fetch.Blob, error) {
	var mu sync.Mutex
	out, left := map[string]*fetch.Blob{}, int64(maxMedium)
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(together)
	for _, d := range layers {
		limit := left
		left -= max(d.Size, 0)
		g.Go(func() error {
			b, err := p.blob(inner, d, limit)
			mu.Lock()
			defer mu.Unlock()
			out[d.Digest.Encoded()] = b
			return err
		})
	}
	return out, g.Wait()
}

// files writes the files. An ISO has only one, the image itself.
func (p *puller) files(ctx context.Context, img *Image, l *layout, blobs map[string]*fetch.Blob, packed *fetch.Blob) (*overlay.Tree, error) {
	rest, err := gzip.NewReader(packed.Reader())
	if err != nil {
		return nil, p.wrong(err)
	}
	out := &overlay.Tree{}
	for i, f := range l.Files {
		name := img.Path
		if f.Path != "" {
			name = filepath.Join(p.dir, strconv.Itoa(i)) // not under a name that others chose
		}
		if err := f.write(ctx, name, blobs, rest); err != nil {
			return nil, fmt.Errorf("put together %s: %w", p.ref, err)
		}
		open := func() (io.ReadCloser, error) { return os.Open(name) }
		if err := out.Put(overlay.Entry{Path: cmp.Or(f.Path, "iso"), Mode: overlay.TypeRegular | 0o444, Size: f.Size, Open: open}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Image is a pulled and checked image in the folder of [Client.Pull].
type Image struct {
	// Ref has the digest of the image's own manifest.
	Ref Reference
	// Form is the pushed form.
	Form remaster.Form
	// Path is its path, with the files that belong to it next to it.
	Path string
	// Name is the default name of its ISO.
	Name string

	about  *manifest.Manifest
	beside []string // suffixes of the files next to it
}

// put writes a file next to the image.
func (img *Image) put(suffix string, text []byte) error {
	img.beside = append(img.beside, suffix)
	return os.WriteFile(img.Path+suffix, text, 0o600)
}

// Places are the files and folders that [Image.Write] writes.
func (img *Image) Places(o remaster.Output) []hostfile.Place {
	out := o.Places()
	for _, suffix := range img.companions(o) {
		if suffix != manifest.Beside("") {
			out = append(out, hostfile.File(o.Path+suffix, "-o FILE"))
		}
	}
	return out
}

// companions are the suffixes of the files next to a form: only the pushed form has any.
func (img *Image) companions(o remaster.Output) []string {
	if o.Form != img.Form || o.Stream != nil {
		return nil
	}
	return img.beside
}

// Write writes the image in a form, with the files next to it.
func (img *Image) Write(ctx context.Context, o remaster.Output) error {
	m, err := medium.Open(img.Path)
	if err != nil {
		return err
	}
	defer m.Close() //nolint:errcheck // only read
	out := wholefile.Output{Name: o.Path, Stream: o.Stream}
	switch {
	case o.Form != img.Form && o.Form == remaster.FormISO:
		return fail.New(fail.Usage, fmt.Sprintf("write %s: %s is a PXE folder, which has no ISO", o.Path, img.Ref), "push the ISO: pull can make a PXE folder of it")
	case o.Form != img.Form:
		return remaster.Convert(ctx, m, *img.about, o)
	case o.Form == remaster.FormPXE:
		err = m.Write(ctx, out)
	default:
		err = out.Write(func(w io.Writer) error { return copyFile(wholefile.Interruptible(ctx, w), img.Path) })
	}
	for _, suffix := range img.companions(o) {
		if err == nil {
			err = wholefile.Write(o.Path+suffix, func(w io.Writer) error { return copyFile(w, img.Path+suffix) })
		}
	}
	return err
}

func copyFile(w io.Writer, name string) error {
	f, _, err := hostfile.Open(name)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	_, err = io.Copy(w, f)
	return err
}
