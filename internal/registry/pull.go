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
	"mkbuild/internal/manifest"
	"mkbuild/internal/medium"
	"mkbuild/internal/overlay"
	"mkbuild/internal/remaster"
	"mkbuild/internal/wholefile"
)

// ErrObject is returned for what is in a registry and is not what it should be.
var ErrObject = fail.New(fail.Verification, "not an image that `mkbuild push` pushed", "`skopeo inspect --raw docker://REF` shows what is there")

// puller gets objects of one repository.
type puller struct {
	client *Client
	fetch  *fetch.Client
	ref    Reference
	dir    string
}

// Pull gets an image into a folder, by way of f: of an index that for the architecture, "" if there is one alone.
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
		return nil, fail.New(fail.Usage, fmt.Sprintf("pull %s: it is an image of %s", ref, img.about.Arch), "leave --arch out, or name "+img.about.Arch)
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

// object gets a manifest or an index. Of a digest it has to be what that says.
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
		err = checkLayers(slices.Concat(o.Layers, o.Manifests))
	}
	if err != nil {
		return o, d, p.wrong(err)
	}
	return o, content.NewDescriptorFromBytes(o.MediaType, text), nil
}

// manifest gets an image manifest that another object names.
func (p *puller) manifest(ctx context.Context, want ocispec.Descriptor) (object, error) {
	o, d, err := p.object(ctx, "", want.Digest.String())
	if err == nil && (d.MediaType != ocispec.MediaTypeImageManifest || d.MediaType != want.MediaType || d.Size != want.Size) {
		err = p.wrong(fmt.Errorf("%.100q with %d bytes where %.100q with %d was to be", d.MediaType, d.Size, want.MediaType, want.Size))
	}
	return o, err
}

// image gets the manifest that the reference leads to, of an index that of the architecture.
func (p *puller) image(ctx context.Context, arch string) (object, ocispec.Descriptor, error) {
	sum := p.ref.Digest
	if p.ref.Tag != "" {
		sum = "" // it says where it leads to now
	}
	o, d, err := p.object(ctx, p.ref.Tag, sum)
	if err == nil && p.ref.Digest != "" && p.ref.Digest != d.Digest.String() {
		err = fail.New(fail.Verification, fmt.Sprintf("pull %s: the tag has moved, it leads to %s now", p.ref, d.Digest),
			"name the digest alone to get what the tag led to: "+p.ref.Name()+"@"+p.ref.Digest)
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
		err = fail.New(fail.Usage, fmt.Sprintf("pull %s: of its %d images %d fit", p.ref, len(images), fit), "name an architecture that it has: --arch x86 or --arch x86_64")
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

// unpack gets the layers of an image and puts its files together.
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

// readLayout gets the layout, which is the first layer. The rest has to be behind it.
func (p *puller) readLayout(ctx context.Context, layers []ocispec.Descriptor) (*layout, error) {
	if len(layers) < 2 || layers[0].MediaType != typeLayout || layers[1].MediaType != typeRest {
		return nil, p.wrong(errors.New("its first layers are not a layout and a rest that this mkbuild reads"))
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

// files puts the files together. The only one of an ISO is the image itself.
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
