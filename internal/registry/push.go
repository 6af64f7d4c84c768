package registry

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/registry/remote"

	"mkbuild/internal/fail"
	"mkbuild/internal/ui"
)

// Push pushes images, one for each architecture, with the files next to them, and returns the reference with the
// tag's new digest. container makes images that container runtimes can unpack and mount.
func (c *Client) Push(ctx context.Context, ref Reference, names []string, container bool, sink ui.Sink) (Reference, error) {
	if ref.Digest != "" {
		return ref, fail.New(fail.Usage, "push to "+ref.String()+": a push cannot choose the digest", "name a tag instead: "+ref.Name()+":nightly")
	}
	p := newParcel(sink)
	var images, all []ocispec.Descriptor
	for _, name := range names {
		s, err := openSource(name)
		if err != nil {
			return ref, err // which names it
		}
		defer s.Close() //nolint:errcheck // only read
		pack := s.artifact
		if container {
			pack = s.container
		}
		d, err := pack(ctx, p)
		if err != nil {
			return ref, fmt.Errorf("push %s: %w", name, err)
		}
		d.Platform = platform(s.about.Arch)
		if slices.ContainsFunc(images, func(x ocispec.Descriptor) bool { return x.Platform.Architecture == d.Platform.Architecture }) {
			return ref, fail.New(fail.Usage, fmt.Sprintf("push %s: an earlier image is for %s, too", name, s.about.Arch), "push one image for each architecture, and the others under another tag")
		}
		beside, err := p.companions(name, d)
		if err != nil {
			return ref, err
		}
		images, all = append(images, d), append(all, beside...)
	}
	top := images[0]
	if len(images) > 1 {
		slices.SortFunc(images, func(a, b ocispec.Descriptor) int {
			return cmp.Compare(a.Platform.Architecture, b.Platform.Architecture)
		})
		top = p.index(images)
	}
	return c.send(ctx, ref, p, append(all, top))
}

// PushMirror pushes the files of a mirror, and returns the reference with their digest. The same files give the
// same digest. The files at the top, which name the folder itself, are left out.
func (c *Client) PushMirror(ctx context.Context, ref Reference, dir string, sink ui.Sink) (Reference, error) {
	p := newParcel(sink)
	m := ocispec.Manifest{ArtifactType: typeMirror}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.Contains(name, "/") {
			return err
		}
		l, err := p.file(ctx, typeFile, name, func() (io.ReadCloser, error) { return os.Open(filepath.Join(dir, filepath.FromSlash(name))) })
		m.Layers = append(m.Layers, l)
		return err
	})
	if err != nil {
		return ref, err
	}
	return c.send(ctx, ref, p, []ocispec.Descriptor{p.manifest(m)})
}

// send sends the objects that the registry lacks, with retries, and returns the reference with the digest of the
// last one.
func (c *Client) send(ctx context.Context, ref Reference, p *parcel, objects []ocispec.Descriptor) (Reference, error) {
	repo, err := c.repository(ref)
	if err != nil {
		return ref, err
	}
	err = attempt(ctx, "push "+ref.String(), func() error { return p.send(ctx, repo, ref.Tag, objects...) })
	ref.Digest = objects[len(objects)-1].Digest.String()
	return ref, err
}

// send sends the objects that the registry lacks. The tag, of the last object, is moved last, so that it never
// names half an image.
func (p *parcel) send(ctx context.Context, repo *remote.Repository, tag string, objects ...ocispec.Descriptor) error {
	if p.err != nil {
		return p.err
	}
	o := oras.CopyGraphOptions{
		Concurrency:   together,
		PostCopy:      func(_ context.Context, d ocispec.Descriptor) error { p.tell(d, d.Size, ""); return nil },
		OnCopySkipped: func(_ context.Context, d ocispec.Descriptor) error { p.tell(d, d.Size, "is already there"); return nil },
	}
	for _, d := range objects {
		if err := oras.CopyGraph(ctx, p, repo, d, o); err != nil {
			return err
		}
	}
	top := objects[len(objects)-1]
	if there, err := repo.Resolve(ctx, tag); err == nil && there.Digest == top.Digest {
		return nil
	}
	return repo.Tag(ctx, top, tag)
}

// tell reports the sent bytes of an object.
func (p *parcel) tell(d ocispec.Descriptor, done int64, text string) {
	if p.sink != nil && d.Size > 0 {
		p.sink.Event(ui.Event{Level: ui.Progress, Step: "push", Item: displayName(d), Text: text, Done: done, Total: d.Size})
	}
}

// watchedReader reports the bytes read.
type watchedReader struct {
	io.ReadCloser
	*parcel
	d    ocispec.Descriptor
	done int64
}

// Read reads.
func (r *watchedReader) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	if r.done += int64(n); r.done < r.d.Size {
		r.tell(r.d, r.done, "")
	}
	return n, err
}
